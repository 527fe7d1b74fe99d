"""The data lake as the story builds it: roles, bucket, delivery stream, rule, profile; and reading it back."""
import json
import uuid

from devices import wait_for

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": ""},
                                                 "Action": "sts:AssumeRole"}]}
# A stream's ProcessingConfiguration: a newline after each record.
NEWLINE = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord", "Parameters": [
    {"ParameterName": "Delimiter", "ParameterValue": "\\n"}]}]}


def role(server, name, service, actions, resource="*"):
    """A role that `service` may assume and that allows `actions`; its ARN."""
    trust = json.loads(json.dumps(TRUST))
    trust["Statement"][0]["Principal"]["Service"] = f"{service}.amazonaws.com"
    iam = server.boto("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if actions:
        allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}
        iam.put_role_policy(RoleName=name, PolicyName="allow", PolicyDocument=json.dumps(allow))
    return arn


def bucket(server):
    """A new bucket; its name."""
    name = "bucket-" + uuid.uuid4().hex
    server.boto("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": server.region})
    return name


def stream(server, name, bucket_name, seconds=1, role_arn=None, **destination):
    """An ACTIVE Direct PUT stream into the bucket."""
    firehose = server.boto("firehose")
    role_arn = role_arn or role(server, f"{name}-s3", "firehose", ["s3:PutObject", "s3:AbortMultipartUpload"])
    firehose.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration={
            "RoleARN": role_arn, "BucketARN": f"arn:aws:s3:::{bucket_name}",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": seconds}, **destination})
    wait_for(lambda: status(server, name) == "ACTIVE", what="the stream to become ACTIVE")
    return name


def status(server, stream_name):
    answer = server.boto("firehose").describe_delivery_stream(DeliveryStreamName=stream_name)
    return answer["DeliveryStreamDescription"]["DeliveryStreamStatus"]


def rule(server, name, sql, *actions, error_action=None):
    payload = {"sql": sql, "actions": list(actions)}
    if error_action:
        payload["errorAction"] = error_action
    server.boto("iot").create_topic_rule(ruleName=name, topicRulePayload=payload)
    return name


def firehose_action(server, rule_name, stream_name, separator=None, **extra):
    action = {"deliveryStreamName": stream_name, **extra,
              "roleArn": role(server, f"{rule_name}-firehose", "iot",
                              ["firehose:PutRecord", "firehose:PutRecordBatch"])}
    if separator:
        action["separator"] = separator
    return {"firehose": action}


def objects(server, bucket_name, prefix=""):
    """{key: bytes} of every object."""
    s3 = server.boto("s3")
    out = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket_name, Prefix=prefix):
        for entry in page.get("Contents", []):
            out[entry["Key"]] = s3.get_object(Bucket=bucket_name, Key=entry["Key"])["Body"].read()
    return out


def split_json(data):
    """The JSON values of a text that holds them one after another, with or without separators."""
    decoder, text, position, out = json.JSONDecoder(), data.decode(), 0, []
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        value, position = decoder.raw_decode(text, position)
        out.append(value)
    return out


def records(server, bucket_name, prefix=""):
    """Every JSON record of every object."""
    found = objects(server, bucket_name, prefix)
    return [record for key in sorted(found) for record in split_json(found[key])]


def datapoints(batches, metric):
    """[(thing, value)] of one metric over exported batches."""
    return [(point["thing"], next(iter(point["value"].values())))
            for batch in batches for point in batch["metrics"] if point["name"] == metric]
