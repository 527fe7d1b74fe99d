"""Topic rules: what they are refused for, every action by a real device, roles, error actions, Basic Ingest."""
import base64
import http.server
import json
import threading

import paho.mqtt.client as mqtt
import pytest
from botocore.exceptions import ClientError
from crash import acknowledged_of, attempted_of, numbered, send_under_kills
from devices import Thing, unique, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
import lake


@pytest.fixture
def rule_name(name):
    return name.replace("-", "_")


@pytest.fixture
def device(server, name):
    thing = Thing(server, name)
    with thing.client() as client:
        yield client


def republish(server, rule_name, topic, **extra):
    role = lake.role(server, unique(f"{rule_name[:20]}-re"), "iot", ["iot:Publish"])
    return {"republish": {"roleArn": role, "topic": topic, "qos": 1, **extra}}


def create(server, rule_name, sql, *actions, error=None, version="2016-03-23"):
    payload = {"sql": sql, "actions": list(actions), "awsIotSqlVersion": version}
    if error:
        payload["errorAction"] = error
    server.boto("iot").create_topic_rule(ruleName=rule_name, topicRulePayload=payload, tags="team=fleet")


def refused(call, *arguments, **named):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_life_of_a_rule(server, rule_name):
    iot = server.boto("iot")
    action = republish(server, rule_name, "out")
    create(server, rule_name, f"SELECT a FROM '{rule_name}/+'", action)
    shown = iot.get_topic_rule(ruleName=rule_name)
    assert shown["ruleArn"] == f"arn:aws:iot:{server.region}:{server.account}:rule/{rule_name}"
    assert shown["rule"]["actions"][0]["republish"]["topic"] == "out"
    assert shown["rule"]["awsIotSqlVersion"] == "2016-03-23"
    assert iot.list_tags_for_resource(resourceArn=shown["ruleArn"])["tags"] == [{"Key": "team", "Value": "fleet"}]
    listed = iot.list_topic_rules(topic=f"{rule_name}/x")["rules"]
    assert [item["ruleName"] for item in listed] == [rule_name]
    iot.disable_topic_rule(ruleName=rule_name)
    assert iot.get_topic_rule(ruleName=rule_name)["rule"]["ruleDisabled"]
    iot.enable_topic_rule(ruleName=rule_name)
    iot.replace_topic_rule(ruleName=rule_name, topicRulePayload={"sql": "SELECT b FROM 'c'", "actions": []})
    assert iot.get_topic_rule(ruleName=rule_name)["rule"]["sql"] == "SELECT b FROM 'c'"
    code, _ = refused(create, server, rule_name, "SELECT a FROM 'b'")
    assert code == "ResourceAlreadyExistsException"
    iot.delete_topic_rule(ruleName=rule_name)
    iot.delete_topic_rule(ruleName=rule_name)
    assert refused(iot.get_topic_rule, ruleName=rule_name)[0] == "UnauthorizedException"


@pytest.mark.parametrize("sql, part", [
    ("SELECT a FORM 'b'", "'FORM' at line 1, column 10"),
    ("SELECT a FROM 'b' WHERE a LIKE 'x'", "'LIKE' is not part of the language"),
    ("SELECT aws_lambda('arn', a) AS x FROM 'b'", "aws_lambda() is not available"),
    ("SELECT a FROM 'a/#/b'", "'#' must be the last level"),
])
def test_statements_are_checked_when_created(server, rule_name, sql, part):
    code, message = refused(create, server, rule_name, sql)
    assert code == "SqlParseException" and part in message


def test_actions_are_checked_when_created(server, rule_name):
    code, message = refused(create, server, rule_name, "SELECT a FROM 'b'",
                            {"lambda": {"functionArn": f"arn:aws:lambda:{server.region}:{server.account}:function:f"}})
    assert code == "InvalidRequestException" and "'lambda' is not available" in message
    missing = {"republish": {"roleArn": f"arn:aws:iam::{server.account}:role/none", "topic": "x"}}
    assert refused(create, server, rule_name, "SELECT a FROM 'b'", missing)[0] == "InvalidRequestException"


def test_select_where_and_republish(server, rule_name, device):
    create(server, rule_name,
           f"SELECT reading.value * 2 AS twice, topic(2) AS id, clientid() AS who FROM '{rule_name}/+' "
           "WHERE reading.value > 10", republish(server, rule_name, rule_name + "-out/${topic(2)}"))
    device.subscribe(f"{rule_name}-out/+")
    device.publish(f"{rule_name}/m1", json.dumps({"reading": {"value": 5}}))
    device.publish(f"{rule_name}/m2", json.dumps({"reading": {"value": 21}}))
    message = device.receive()
    assert message.topic == f"{rule_name}-out/m2"
    assert json.loads(message.payload) == {"twice": 42, "id": "m2", "who": device.paho._client_id.decode()}
    assert device.messages.empty()


def test_mqtt5_properties_and_headers(server, name, rule_name):
    headers = {"contentType": "text/plain", "correlationData": base64.b64encode(b"abc").decode(),
               "userProperties": [{"key": "kind", "value": "${get(get_user_properties('site'), 0)}"}]}
    create(server, rule_name, f"SELECT get_mqtt_property('content_type') AS type FROM '{rule_name}'",
           republish(server, rule_name, rule_name + "-out", headers=headers))
    with Thing(server, name).client(version=mqtt.MQTTv5) as client:
        client.subscribe(rule_name + "-out")
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.UserProperty = ("site", "north")
        client.publish(rule_name, "{}", properties=properties)
        message = client.receive()
    assert json.loads(message.payload) == {"type": "application/json"}
    assert message.properties.ContentType == "text/plain"
    assert message.properties.CorrelationData == b"abc"
    assert message.properties.UserProperty == [("kind", "north")]


def test_chains_of_rules_end(server, rule_name, device):
    """A rule that feeds itself is cut off after a bounded number of hops."""
    create(server, rule_name, f"SELECT n + 1 AS n FROM '{rule_name}'", republish(server, rule_name, rule_name))
    device.subscribe(rule_name)
    device.publish(rule_name, '{"n": 0}')
    device.publish(rule_name + "-end", "{}")
    seen = [device.receive_json()["n"]]
    while seen[-1] < 8:
        seen.append(device.receive_json()["n"])
    assert seen == list(range(9))
    device.publish(rule_name + "-barrier", "{}")
    assert device.messages.empty()


def test_binary_payloads_reach_the_bucket_unchanged(server, rule_name, device):
    bucket = lake.bucket(server)
    role = lake.role(server, unique("s3"), "iot", ["s3:PutObject"])
    create(server, rule_name, f"SELECT * FROM '{rule_name}/#'",
           {"s3": {"roleArn": role, "bucketName": bucket, "key": "in/${topic(2)}/${timestamp()}"}})
    payload = bytes(range(256))
    device.publish(f"{rule_name}/x", payload)
    objects = wait_for(lambda: lake.objects(server, bucket), what="the object")
    (key, body), = objects.items()
    assert key.startswith("in/x/") and body == payload


def test_batch_mode_writes_one_record_for_each_element(server, name, rule_name, device):
    bucket = lake.bucket(server)
    stream = lake.stream(server, name, bucket)
    create(server, rule_name, f"SELECT * FROM '{rule_name}'",
           lake.firehose_action(server, name, stream, separator="\n", batchMode=True))
    device.publish(rule_name, json.dumps([{"n": 1}, {"n": 2}, {"n": 3}]))
    records = wait_for(lambda: lake.records(server, bucket), what="the records")
    assert records == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert list(lake.objects(server, bucket).values()) == [b'{"n":1}\n{"n":2}\n{"n":3}\n']


def test_basic_ingest_runs_that_rule_only(server, rule_name, device):
    create(server, rule_name, "SELECT topic() AS t FROM 'nothing/here'",
           republish(server, rule_name, rule_name + "-out"))
    create(server, rule_name + "_all", f"SELECT * FROM '{rule_name}/#'",
           republish(server, rule_name, rule_name + "-other"))
    device.subscribe(rule_name + "-out")
    device.subscribe(rule_name + "-other")
    device.subscribe(f"{rule_name}/#")
    device.publish(f"$aws/rules/{rule_name}/{rule_name}/x", "{}")
    device.publish(f"$aws/rules/no_such_rule/x", "{}")
    assert device.receive_json() == {"t": f"{rule_name}/x"}
    device.publish(f"{rule_name}/end", '{"end": 1}')
    assert {device.receive().topic for _ in range(2)} == {f"{rule_name}/end", rule_name + "-other"}


def test_error_action_tells_every_failure(server, rule_name, device):
    denied = lake.role(server, unique("no"), "iot", ["s3:GetObject"])
    untrusting = lake.role(server, unique("no"), "lambda", ["iot:Publish"])
    create(server, rule_name, f"SELECT * FROM '{rule_name}'",
           {"s3": {"roleArn": denied, "bucketName": "some-bucket", "key": "k"}},
           {"republish": {"roleArn": untrusting, "topic": "never"}},
           error=republish(server, rule_name, rule_name + "-errors/${topic()}"))
    device.subscribe(f"{rule_name}-errors/#")
    device.publish(rule_name, b"\x00\x01")
    message = device.receive()
    assert message.topic == f"{rule_name}-errors/{rule_name}"
    error = json.loads(message.payload)
    assert error["ruleName"] == rule_name and error["topic"] == rule_name
    assert base64.b64decode(error["base64OriginalPayload"]) == b"\x00\x01"
    failures = {failure["failedAction"]: failure for failure in error["failures"]}
    assert set(failures) == {"S3Action", "RepublishAction"}
    assert failures["S3Action"]["failedResource"] == "some-bucket"
    assert "s3:PutObject" in failures["S3Action"]["errorMessage"]
    assert "trust policy" in failures["RepublishAction"]["errorMessage"]
    assert device.messages.empty()


def test_missing_bucket_is_final(server, rule_name, device):
    role = lake.role(server, unique("s3"), "iot", ["s3:PutObject"])
    create(server, rule_name, f"SELECT * FROM '{rule_name}'",
           {"s3": {"roleArn": role, "bucketName": unique("none").lower().replace("_", "-"), "key": "k"}},
           error=republish(server, rule_name, rule_name + "-errors"))
    device.subscribe(f"{rule_name}-errors")
    device.publish(rule_name, "{}")
    assert device.receive_json()["failures"][0]["failedAction"] == "S3Action"


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_sns_action(server, rule_name, device):
    sns = server.boto("sns")
    topic = sns.create_topic(Name=rule_name)["TopicArn"]
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    receiver.bodies = []
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{receiver.server_port}/")
        confirmation = wait_for(lambda: [b for b in receiver.bodies if b["Type"] == "SubscriptionConfirmation"],
                                what="the confirmation")[0]
        sns.confirm_subscription(TopicArn=topic, Token=confirmation["Token"])
        role = lake.role(server, unique("sns"), "iot", ["sns:Publish"])
        create(server, rule_name, f"SELECT n FROM '{rule_name}'", {"sns": {"roleArn": role, "targetArn": topic}})
        device.publish(rule_name, '{"n": 7, "m": 8}')
        notice = wait_for(lambda: [b for b in receiver.bodies if b["Type"] == "Notification"], what="the notice")[0]
        assert json.loads(notice["Message"]) == {"n": 7}
    finally:
        receiver.shutdown()


HOPS = 8  # broker::Options::republish_hops_max


def cut_chains(server):
    return server.metrics().get('fleetward_broker_refused_total{reason="republish_hops"}', 0)


def test_a_loop_through_a_failing_s3_action_ends(server, rule_name, device):
    role = lake.role(server, unique("s3"), "iot", ["s3:PutObject"])
    before = cut_chains(server)
    device.subscribe(rule_name)
    create(server, rule_name, f"SELECT * FROM '{rule_name}'",
           {"s3": {"roleArn": role, "bucketName": unique("none").lower().replace("_", "-"), "key": "k"}},
           error=republish(server, rule_name, rule_name))
    device.publish(rule_name, "{}")
    wait_for(lambda: cut_chains(server) == before + 1, what="the chain to be cut")
    seen = [device.receive() for _ in range(HOPS + 1)]  # the first and what the error action made of it
    assert len(seen) == HOPS + 1 and device.messages.empty()


def test_a_loop_through_a_notification_topic_ends(server, rule_name, device):
    sns = server.boto("sns")
    topic = sns.create_topic(Name=rule_name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="mqtt", Endpoint=rule_name)
    role = lake.role(server, unique("sns"), "iot", ["sns:Publish"])
    before = cut_chains(server)
    device.subscribe(rule_name)
    create(server, rule_name, f"SELECT topic() AS again FROM '{rule_name}'",
           {"sns": {"roleArn": role, "targetArn": topic}})
    device.publish(rule_name, "{}")
    wait_for(lambda: cut_chains(server) == before + 1, what="the chain to be cut")
    assert len([device.receive() for _ in range(HOPS + 1)]) == HOPS + 1 and device.messages.empty()


@pytest.mark.timeout(300)
def test_s3_actions_survive_kill_9(new_server):
    """What was acknowledged is in the bucket under its own key, whenever the server died."""
    server = new_server()
    bucket = lake.bucket(server)
    role = lake.role(server, "objects", "iot", ["s3:PutObject"])
    create(server, "objects", "SELECT * FROM 'crash/#'",
           {"s3": {"roleArn": role, "bucketName": bucket, "key": "${thing}/${n}"}})
    senders = [numbered(Thing(server, f"s3-{i}")) for i in range(2)]
    send_under_kills(server, senders, kills=6, pause_max=1.0)
    acknowledged = {f"{thing}/{n}" for thing, n in acknowledged_of(senders)}
    assert len(acknowledged) > 50, "the devices hardly sent anything"

    def keys():
        pages = server.boto("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    wait_for(lambda: acknowledged <= keys(), timeout=60, what="every acknowledged message to be an object")
    assert keys() <= {f"{thing}/{n}" for thing, n in attempted_of(senders)}
