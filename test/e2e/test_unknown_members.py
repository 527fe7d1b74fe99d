"""What a client sends beyond the operations' models is refused by name, in every protocol, or ignored where an
installation says so: with boto3 whose requests get a further member, as a later SDK would send it, and by hand."""
import json

import botocore.auth
import botocore.awsrequest
import botocore.exceptions
import pytest
import requests
from botocore.credentials import Credentials

BEHAVIOR = {"name": "few", "metric": "aws:num-disconnects",
            "criteria": {"comparisonOperator": "less-than", "value": {"count": 3}, "durationSeconds": 300}}
PROFILE = {"behaviors": [BEHAVIOR]}


def later_sdk(client, operation, change):
    """Every request of `operation` is changed before it is signed."""
    service = client.meta.service_model.service_name
    client.meta.events.register(f"before-call.{service}.{operation}", lambda params, **_: change(params))
    return client


def with_member(*path, value=1):
    """Adds a member at `path` of a JSON body."""
    def change(params):
        document = json.loads(params["body"])
        at = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        params["body"] = json.dumps(document)
    return change


def with_parameter(name, value="1"):
    """Adds a parameter to the form, or to the query string of a GET."""
    def change(params):
        if isinstance(params["body"], dict):
            params["body"][name] = value
        else:
            params["url"] += ("&" if "?" in params["url"] else "?") + f"{name}={value}"
    return change


def message_of(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


def signed(server, service, method, path, body=b"", headers=None):
    request = botocore.awsrequest.AWSRequest(method, server.api_url + path, data=body, headers=headers or {})
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer(Credentials(*server.credentials), service, server.region).add_auth(request)
    return requests.request(method, server.api_url + path, data=body, headers=dict(request.headers), timeout=10)


@pytest.mark.parametrize("path, shown", [
    (("behaviors", 0, "severity"), "behaviors[0].severity"),
    (("behaviors", 0, "criteria", "hysteresis"), "behaviors[0].criteria.hysteresis"),
    (("behaviors", 0, "criteria", "value", "unit"), "behaviors[0].criteria.value.unit"),
    (("owner",), "owner"),
])
def test_of_a_security_profile(server, name, path, shown):
    iot = server.boto("iot")
    iot.create_security_profile(securityProfileName=name, **PROFILE)
    for operation, arguments in (("CreateSecurityProfile", {"securityProfileName": f"{name}-2", **PROFILE}),
                                 ("UpdateSecurityProfile", {"securityProfileName": name, **PROFILE}),
                                 ("ValidateSecurityProfileBehaviors", PROFILE)):
        client = later_sdk(server.boto("iot"), operation, with_member(*path))
        call = getattr(client, botocore.xform_name(operation))
        assert message_of("InvalidRequestException", call, **arguments) == f"Unknown or unsupported member: {shown}"
    assert iot.describe_security_profile(securityProfileName=name)["version"] == 1
    names = [p["name"] for p in iot.list_security_profiles()["securityProfileIdentifiers"]]
    assert f"{name}-2" not in names


def test_in_every_protocol(server, name):
    unknown = "Unknown or unsupported member: "
    # REST-JSON: a member of the body, a query parameter.
    iot = later_sdk(server.boto("iot"), "CreateThing", with_member("attributePayload", "ttl"))
    assert message_of("InvalidRequestException", iot.create_thing, thingName=name,
                      attributePayload={"attributes": {"a": "b"}}) == unknown + "attributePayload.ttl"
    iot = later_sdk(server.boto("iot"), "ListThings", with_parameter("sortBy"))
    assert message_of("InvalidRequestException", iot.list_things) == unknown + "sortBy"
    iot = later_sdk(server.boto("iot"), "CreateTopicRule", with_member("priority"))
    assert message_of("InvalidRequestException", iot.create_topic_rule, ruleName=name.replace("-", "_"),
                      topicRulePayload={"sql": "SELECT 1 AS a", "actions": []}) == unknown + "priority"
    # JSON 1.1
    firehose = later_sdk(server.boto("firehose"), "ListDeliveryStreams", with_member("Prefix"))
    assert message_of("InvalidArgumentException", firehose.list_delivery_streams) == unknown + "Prefix"
    # Query
    iam = later_sdk(server.boto("iam"), "CreateUser", with_parameter("Quota"))
    assert message_of("ValidationError", iam.create_user, UserName=name) == unknown + "Quota"
    sts = later_sdk(server.boto("sts"), "GetCallerIdentity", with_parameter("Verbose"))
    assert message_of("ValidationError", sts.get_caller_identity) == unknown + "Verbose"
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    later_sdk(sns, "PublishBatch", with_parameter("PublishBatchRequestEntries.member.1.Delay"))
    assert message_of("InvalidParameter", sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "1", "Message": "m"}]) == unknown + "PublishBatchRequestEntries[0].Delay"
    # S3
    bucket = name.replace("_", "-").lower()
    answer = signed(server, "s3", "PUT", f"/{bucket}", b"<CreateBucketConfiguration><Quota>1</Quota>"
                                                     b"</CreateBucketConfiguration>")
    assert answer.status_code == 400 and "CreateBucketConfiguration/Quota is not a known element" in answer.text
    server.boto("s3").create_bucket(Bucket=bucket)
    assert signed(server, "s3", "DELETE", f"/{bucket}?metadataTable=").status_code == 501
    assert signed(server, "s3", "GET", f"/{bucket}?future=").status_code == 501
    server.boto("s3").head_bucket(Bucket=bucket)


def test_what_has_no_value_asks_for_nothing(server, name):
    body = json.dumps({"thingTypeName": None, "laterMember": None}).encode()
    assert signed(server, "iot", "POST", f"/things/{name}", body).status_code == 200


def test_ignored_where_the_configuration_says_so(new_server, name):
    server = new_server(config="[api]\nunknown_members = \"ignore\"\n")
    iot = later_sdk(server.boto("iot"), "CreateSecurityProfile", with_member("behaviors", 0, "severity"))
    later_sdk(iot, "CreateSecurityProfile", with_member("owner", value={"a": [1]}))
    iot.create_security_profile(securityProfileName=name, **PROFILE)
    iot.create_security_profile(securityProfileName=f"{name}-2", **PROFILE)
    shown = iot.describe_security_profile(securityProfileName=name)
    assert shown["behaviors"] == [BEHAVIOR] and "owner" not in shown
    later_sdk(iot, "ListThings", with_parameter("sortBy")).list_things()
    later_sdk(iot, "CreateTopicRule", with_member("actions", 0, "republish", "priority"))
    iot.create_topic_rule(ruleName="r", topicRulePayload={"sql": "SELECT 1 AS a", "actions": [
        {"republish": {"topic": "t", "roleArn": role(server)}}]})
    later_sdk(server.boto("firehose"), "ListDeliveryStreams", with_member("Prefix")).list_delivery_streams()
    later_sdk(server.boto("iam"), "CreateUser", with_parameter("Quota")).create_user(UserName=name)
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    later_sdk(sns, "PublishBatch", with_parameter("PublishBatchRequestEntries.member.1.Delay"))
    assert len(sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "1", "Message": "m"}])["Successful"]) == 1
    # What is known and not there is refused as ever, and so is what is wrong.
    assert "billingGroupName" in message_of("InvalidRequestException", iot.create_thing, thingName=name,
                                            billingGroupName="b")
    later_sdk(iot, "UpdateSecurityProfile", with_member("owner"))
    assert "behaviors.1.criteria.durationSeconds" in message_of(
        "InvalidRequestException", iot.update_security_profile, securityProfileName=name,
        behaviors=[{**BEHAVIOR, "criteria": {**BEHAVIOR["criteria"], "durationSeconds": 301}}])

    metrics = server.metrics()
    counted = {s: metrics[f'fleetward_api_unknown_members_total{{service="{s}"}}']
               for s in ("iot", "firehose", "iam", "sns", "sts")}
    assert counted == {"iot": 7, "firehose": 1, "iam": 1, "sns": 1, "sts": 0}
    lines = [line for line in server.log().splitlines() if "api_unknown_member_ignored" in line]
    assert len(lines) == 7, lines  # one for each operation
    assert sum("operation=CreateSecurityProfile" in line for line in lines) == 1


def role(server):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                     "Principal": {"Service": "iot.amazonaws.com"}}]}
    return server.boto("iam").create_role(RoleName="rules", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
