"""IAM and STS by boto3, and roles that are really evaluated."""
import json

import botocore.exceptions
import pytest
from devices import wait_for
import lake


def allow(*actions, resource="*"):
    return json.dumps({"Version": "2012-10-17",
                       "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}]})


def code(error):
    return error.value.response["Error"]["Code"]


def user_client(server, name, service, policy):
    iam = server.boto("iam")
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.boto(service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def test_the_root_is_itself(boto, server):
    identity = boto("sts").get_caller_identity()
    assert identity["Account"] == server.account
    assert identity["Arn"] == f"arn:aws:iam::{server.account}:root"


def test_a_user_may_do_what_its_policies_say(server, name):
    iot = user_client(server, name, "iot", allow("iot:CreateThing"))
    iot.create_thing(thingName=name)
    with pytest.raises(botocore.exceptions.ClientError) as error:
        iot.delete_thing(thingName=name)
    assert code(error) == "AccessDeniedException"
    assert "is not authorized to perform: iot:DeleteThing" in error.value.response["Error"]["Message"]


def test_a_user_who_names_nobody_acts_on_itself(server, name):
    """Authorized on the caller's own ARN, its path included, as when it is named."""
    iam, path = server.boto("iam"), "/team/"
    iam.create_user(UserName=name, Path=path)
    own = f"arn:aws:iam::{server.account}:user{path}{name}"
    actions = ["iam:ListAccessKeys", "iam:GetUser", "iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow(*actions, resource=own))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    me = server.boto("iam", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert me.get_user()["User"]["Arn"] == own
    second = me.create_access_key()["AccessKey"]["AccessKeyId"]
    assert len(me.list_access_keys()["AccessKeyMetadata"]) == 2
    assert len(me.list_access_keys(UserName=name)["AccessKeyMetadata"]) == 2
    me.update_access_key(AccessKeyId=second, Status="Inactive")
    me.delete_access_key(AccessKeyId=second)
    # Another's ARN, or everybody's without it, is not one's own.
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": "*"},
            {"Effect": "Deny", "Action": actions, "Resource": own}]}))
    for call in (me.list_access_keys, me.get_user):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            call()
        assert code(error) == "AccessDenied" and own in error.value.response["Error"]["Message"]


def test_wrong_and_unknown_keys_are_refused(server):
    for key, expected in ((server.credentials[0], "SignatureDoesNotMatch"), ("AKIAAAAAAAAAAAAAAAAA", "InvalidClientTokenId")):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            server.boto("sts", aws_access_key_id=key, aws_secret_access_key="wrong").get_caller_identity()
        assert code(error) == expected


def test_assume_role_and_its_session(server, name):
    iam, sts = server.boto("iam"), server.boto("sts")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                     "Principal": {"AWS": f"arn:aws:iam::{server.account}:root"}}]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allow("iot:ListThings"))
    c = sts.assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    session = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"],
                   aws_session_token=c["SessionToken"])
    assert server.boto("sts", **session).get_caller_identity()["Arn"].endswith(f"assumed-role/{name}/one")
    server.boto("iot", **session).list_things()
    with pytest.raises(botocore.exceptions.ClientError) as error:
        server.boto("iot", **session).create_thing(thingName=name)
    assert code(error) == "AccessDeniedException"
    with pytest.raises(botocore.exceptions.ClientError) as error:
        server.boto("sts", **{**session, "aws_session_token": "other"}).get_caller_identity()
    assert code(error) in ("InvalidClientTokenId", "ExpiredToken")


def session_of(server, role_arn, name="one"):
    c = server.boto("sts").assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]
    return dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"],
                aws_session_token=c["SessionToken"])


def trust(server):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{server.account}:root"}}]})


def test_a_session_ends_with_its_role_or_user_whoever_takes_the_name(server, name):
    iam = server.boto("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(server))["Role"]["Arn"]
    of_role = session_of(server, arn)
    user = user_client(server, name, "sts", None)
    c = user.get_session_token()["Credentials"]
    of_user = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"],
                   aws_session_token=c["SessionToken"])
    for session in (of_role, of_user):
        server.boto("sts", **session).get_caller_identity()
        with pytest.raises(botocore.exceptions.ClientError) as error:  # it would never end
            server.boto("sts", **session).get_session_token()
        assert code(error) == "AccessDenied"

    iam.delete_role(RoleName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(server))
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name)
    for session in (of_role, of_user):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            server.boto("sts", **session).get_caller_identity()
        assert code(error) == "InvalidClientTokenId"


def test_a_role_gets_no_keys_of_the_user_of_its_name(server, name):
    iam = server.boto("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(server))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allow("iam:*"))
    iam.create_user(UserName=name)
    role = server.boto("iam", **session_of(server, arn))
    for call in (role.create_access_key, role.list_access_keys, role.get_user):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            call()
        assert code(error) == "ValidationError"


def test_managed_policies_and_their_life(server, name):
    iam = server.boto("iam")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=allow("iot:*"))["Policy"]["Arn"]
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    assert iam.list_attached_user_policies(UserName=name)["AttachedPolicies"] == [{"PolicyName": name, "PolicyArn": arn}]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arn)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"), SetAsDefault=True)
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Action"] == ["s3:*"]
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.delete_user(UserName=name)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn=arn)


def test_malformed_documents(server, name):
    iam = server.boto("iam")
    for bad in ("{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"a:b","Resource":"*"}]}'):
        with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
            iam.create_policy(PolicyName=name, PolicyDocument=bad)


def test_a_missing_operation_is_named(server):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        server.boto("iam").list_groups()
    assert "ListGroups" in error.value.response["Error"]["Message"]


def test_a_delivery_role_without_the_right_fails_readably_and_recovers(server, name):
    """The records wait, the reason is in the log, and they arrive once the role allows it."""
    bucket = lake.bucket(server)
    role_arn = lake.role(server, f"{name}-s3", "firehose", None)
    lake.stream(server, name, bucket, role_arn=role_arn)
    server.boto("firehose").put_record(DeliveryStreamName=name, Record={"Data": b'{"n":1}'})
    wait_for(lambda: "s3:PutObject" in server.log() and name in server.log(), what="the reason in the log")
    assert not lake.objects(server, bucket)
    server.boto("iam").put_role_policy(RoleName=f"{name}-s3", PolicyName="allow", PolicyDocument=allow("s3:PutObject"))
    wait_for(lambda: lake.records(server, bucket) == [{"n": 1}], what="the record")
