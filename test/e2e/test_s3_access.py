"""Who may do what in the lake: identity policies, bucket policies, anonymous readers; and what a crash leaves."""
import http.client
import json
import urllib.error
import urllib.request
import uuid

import pytest
from botocore.exceptions import ClientError

import devices
import lake


@pytest.fixture
def bucket(server):
    return lake.bucket(server)


def user(server, policy=None):
    """A new user's S3 client, and the user's ARN."""
    iam = server.boto("iam")
    name = "s3-" + uuid.uuid4().hex[:12]
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.boto("s3", aws_access_key_id=key["AccessKeyId"],
                       aws_secret_access_key=key["SecretAccessKey"]), arn


def statement(effect, action, resource, **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


def refused(call):
    with pytest.raises(ClientError) as error:
        call()
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "403")
    return error.value.response["Error"]["Message"]


def test_identity_policies(server, bucket):
    root = server.boto("s3")
    root.put_object(Bucket=bucket, Key="in/k", Body=b"v")
    s3, arn = user(server, statement("Allow", ["s3:GetObject"], f"arn:aws:s3:::{bucket}/in/*"))
    assert s3.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"v"
    said = refused(lambda: s3.put_object(Bucket=bucket, Key="in/k", Body=b""))
    assert said == (f'User: {arn} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::{bucket}/in/k" '
                    "because no identity-based policy allows the s3:PutObject action")
    refused(lambda: s3.get_object(Bucket=bucket, Key="in/absent"))  # may not list, so is not told
    refused(lambda: s3.list_objects_v2(Bucket=bucket))
    refused(lambda: s3.head_object(Bucket=bucket, Key="out"))
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "in/k"}]})
    assert deleted["Errors"][0]["Code"] == "AccessDenied"


def test_condition_on_the_prefix_of_a_listing(server, bucket):
    s3, _ = user(server, statement("Allow", "s3:ListBucket", f"arn:aws:s3:::{bucket}",
                                   Condition={"StringLike": {"s3:prefix": "mine/*"}}))
    s3.list_objects_v2(Bucket=bucket, Prefix="mine/x")
    refused(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="yours/"))


def test_bucket_policy_admits_and_denies(server, bucket):
    root = server.boto("s3")
    root.put_object(Bucket=bucket, Key="k", Body=b"v")
    s3, arn = user(server)
    refused(lambda: s3.get_object(Bucket=bucket, Key="k"))
    policy = statement("Allow", "s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": arn})
    policy["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
                                "Resource": f"arn:aws:s3:::{bucket}/*"})
    root.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(root.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    refused(lambda: root.delete_object(Bucket=bucket, Key="k"))
    root.delete_bucket_policy(Bucket=bucket)
    root.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError) as error:
        root.get_bucket_policy(Bucket=bucket)
    assert error.value.response["Error"]["Code"] == "NoSuchBucketPolicy"


def test_a_bucket_policy_means_a_role_by_its_whole_arn(server, bucket):
    iam = server.boto("iam")
    name = "s3-" + uuid.uuid4().hex[:12]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                     "Principal": {"AWS": f"arn:aws:iam::{server.account}:root"}}]}
    arn = iam.create_role(RoleName=name, Path="/team/", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(statement("Allow", "s3:*", "*")))
    c = server.boto("sts").assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    s3 = server.boto("s3", aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"],
                     aws_session_token=c["SessionToken"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    server.boto("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(
        statement("Deny", "s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": arn})))
    assert "with an explicit deny in a resource-based policy" in refused(lambda: s3.get_object(Bucket=bucket, Key="k"))


def test_a_bucket_policy_is_asked_for_deliveries_too(server, name):
    """By a stream's role and by a rule's, whatever the roles allow; and its Allow is enough for a role it names."""
    bucket = lake.bucket(server)
    s3, firehose = server.boto("s3"), server.boto("firehose")
    lake.stream(server, name, bucket, Prefix="stream/")
    deny = statement("Deny", "s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal="*")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(deny))
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})

    def told():
        return [line for line in server.log().splitlines() if "delivery_failed" in line and f"stream={name} " in line]
    devices.wait_for(told, what="the refusal in the log")
    assert (f"User: arn:aws:iam::{server.account}:role/{name}-s3 is not authorized to perform: s3:PutObject on resource: "
            f"arn:aws:s3:::{bucket}/stream/") in told()[0]
    assert "with an explicit deny in a resource-based policy" in told()[0]
    assert lake.objects(server, bucket) == {}
    s3.delete_bucket_policy(Bucket=bucket)
    devices.wait_for(lambda: list(lake.objects(server, bucket).values()) == [b"x"], timeout=10, what="the object")

    weak = lake.role(server, f"{name}-weak", "iot", ["s3:GetObject"])
    rule = name.replace("-", "_")
    lake.rule(server, rule, f"SELECT * FROM '{name}'",
              {"s3": {"roleArn": weak, "bucketName": bucket, "key": "rule"}})
    server.boto("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(
        statement("Allow", "s3:PutObject", f"arn:aws:s3:::{bucket}/rule", Principal={"AWS": weak})))
    server.boto("iot-data").publish(topic=name, qos=1, payload=b"{}")
    devices.wait_for(lambda: lake.objects(server, bucket, "rule") == {"rule": b"{}"}, what="the rule's object")


def test_tags_at_an_upload_need_their_own_right(server, bucket):
    s3, _ = user(server, statement("Allow", "s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert "s3:PutObjectTagging" in refused(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"v", Tagging="a=b"))


def test_anonymous_readers_of_a_public_bucket(server, bucket):
    root = server.boto("s3")
    root.put_object(Bucket=bucket, Key="k", Body=b"v")
    url = f"{server.api_url}/{bucket}/k"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url)
    assert error.value.code == 403 and b"<Code>AccessDenied</Code>" in error.value.read()
    root.put_bucket_policy(Bucket=bucket, Policy=json.dumps(
        statement("Allow", "s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*")))
    assert urllib.request.urlopen(url).read() == b"v"


def test_objects_survive_kill_9_and_nothing_else_does(new_server):
    server = new_server()
    bucket = lake.bucket(server)
    s3 = server.boto("s3")
    bodies = {f"k{size}": b"x" * size for size in (0, 10, 100_000, 3_000_000)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p" * 200_000)
    # A body of which only the beginning arrives before the process dies.
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "half"})
    connection = http.client.HTTPConnection(server.api_url.removeprefix("http://"))
    connection.putrequest("PUT", url.removeprefix(server.api_url))
    connection.putheader("Content-Length", "10000000")
    connection.endheaders()
    connection.send(b"h" * 5_000_000)
    server.kill()
    connection.close()

    server.start()
    assert lake.objects(server, bucket) == bodies
    s3 = server.boto("s3")
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"p" * 200_000
    contents = [f for f in (server.data_dir / "lake/contents").rglob("*") if f.is_file()]
    assert len(contents) == 3  # 100,000, 3,000,000 and the part; the smaller ones are in the index
