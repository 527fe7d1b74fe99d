"""The walk-through: a fleet's metrics on their way to the lake, by both ways out, with the violation it leaves out."""
import collections
import json

import pytest
from devices import Thing, unique, wait_for
import lake

RSSI = {"name": "signal", "metric": "mobilerssi",
        "criteria": {"comparisonOperator": "greater-than", "value": {"number": -100},
                     "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1}}
RETAINED = ["aws:message-byte-size", "aws:num-messages-received", "mobilerssi"]


def report(report_id, rssi):
    return json.dumps({"header": {"report_id": report_id, "version": "1.0"},
                       "custom_metrics": {"mobilerssi": [{"number": rssi}]}})


@pytest.fixture
def metric(server):
    iot = server.boto("iot")
    try:
        iot.create_custom_metric(metricName="mobilerssi", metricType="number",
                                 displayName="Cellular Network Strength", clientRequestToken=unique("t"))
    except iot.exceptions.ResourceAlreadyExistsException:
        pass
    return "mobilerssi"


def profile(server, name, group, topic, behaviors=(), alert_topic=None):
    iot = server.boto("iot")
    extra = {}
    if alert_topic:
        alert_role = lake.role(server, f"{name}-alert", "iot", ["sns:Publish"])
        extra["alertTargets"] = {"SNS": {"alertTargetArn": alert_topic, "roleArn": alert_role}}
    if topic:
        extra["metricsExportConfig"] = {"mqttTopic": topic,
                                        "roleArn": lake.role(server, f"{name}-export", "iot", ["iot:Publish"])}
    iot.create_security_profile(
        securityProfileName=name, behaviors=list(behaviors),
        additionalMetricsToRetainV2=[{"metric": m, "exportMetric": bool(topic)} for m in RETAINED], **extra)
    group_arn = iot.describe_thing_group(thingGroupName=group)["thingGroupArn"]
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=group_arn)


def group_of(server, name):
    server.boto("iot").create_thing_group(thingGroupName=name)
    return name


@pytest.mark.parametrize("separator", [None, "\n"])
def test_option_1_rules_engine_to_bucket(server, name, metric, separator):
    """Basic Ingest -> rule -> stream -> bucket, every reported value exactly once."""
    bucket = lake.bucket(server)
    stream = lake.stream(server, name, bucket)
    rule = name.replace("-", "_")
    lake.rule(server, rule, "SELECT * FROM 'ddmetric/#'", lake.firehose_action(server, rule, stream, separator))
    group = group_of(server, name)
    profile(server, name, group, f"$aws/rules/{rule}/ddmetric/cellular")
    things = [Thing(server, f"{name}-{i}", group=group) for i in range(3)]
    sent = collections.Counter()
    for thing in things:
        with thing.client() as client:
            client.subscribe(f"$aws/things/{thing.name}/defender/metrics/json/accepted")
            for i in range(4):
                rssi = -60 - i
                client.publish(f"$aws/things/{thing.name}/defender/metrics/json", report(1000 + i, rssi))
                answer = client.receive_json()
                assert (answer["status"], answer["reportId"]) == ("ACCEPTED", 1000 + i)
                sent[thing.name, rssi] += 1

    def delivered():
        return collections.Counter(lake.datapoints(lake.records(server, bucket), "mobilerssi"))

    wait_for(lambda: sum(delivered().values()) >= sum(sent.values()), what="the values in the bucket")
    assert delivered() == sent
    objects = lake.objects(server, bucket)
    for key, data in objects.items():
        assert key[:14].count("/") == 4, key  # YYYY/MM/dd/HH/
        assert data.endswith(b"\n") == (separator == "\n")
    # What the service observed itself: each report sent is a message of the device.
    batches = lake.records(server, bucket)
    assert batches[0]["version"] == "1.0"
    received = collections.Counter()
    for thing, count in lake.datapoints(batches, "aws:num-messages-received"):
        received[thing] += count
    wait_for(lambda: all(sum(count for t, count in lake.datapoints(lake.records(server, bucket),
                                                                   "aws:num-messages-received") if t == thing.name) == 4
                         for thing in things), what="the answers that the devices received")


def test_option_2_subscriber(server, name, metric):
    """An ordinary topic and an MQTT subscriber."""
    group = group_of(server, name)
    profile(server, name, group, f"fleet/{name}/metrics")
    watcher = Thing(server, f"{name}-watcher")
    device = Thing(server, f"{name}-device", group=group)
    with watcher.client() as subscriber, device.client() as client:
        subscriber.subscribe(f"fleet/{name}/metrics")
        client.publish(f"$aws/things/{device.name}/defender/metrics/json", report(7, -71.5))
        batches = []
        wait_for(lambda: batches.append(subscriber.receive_json()) or lake.datapoints(batches, "mobilerssi"))
        assert lake.datapoints(batches, "mobilerssi") == [(device.name, -71.5)]


def test_violation_alert_and_clear(server, name, metric):
    """A device falls below the threshold: alarm with its value, alert by SNS over MQTT, then the clear."""
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="mqtt", Endpoint=f"alerts/{name}")
    group = group_of(server, name)
    profile(server, name, group, None, [RSSI], topic)
    device = Thing(server, f"{name}-device", group=group)
    watcher = Thing(server, f"{name}-watcher")
    iot = server.boto("iot")
    with watcher.client() as subscriber, device.client() as client:
        subscriber.subscribe(f"alerts/{name}")
        reports = f"$aws/things/{device.name}/defender/metrics/json"
        client.publish(reports, report(1, -70))
        client.publish(reports, report(2, -115))
        alert = json.loads(subscriber.receive_json()["Message"])
        assert alert["violationEventType"] == "in-alarm"
        assert (alert["thingName"], alert["metricValue"]) == (device.name, {"number": -115})
        active = iot.list_active_violations(thingName=device.name)["activeViolations"]
        assert [v["violationId"] for v in active] == [alert["violationId"]]
        client.publish(reports, report(3, -80))
        cleared = json.loads(subscriber.receive_json()["Message"])
        assert (cleared["violationEventType"], cleared["violationId"]) == ("alarm-cleared", alert["violationId"])
        wait_for(lambda: not iot.list_active_violations(thingName=device.name)["activeViolations"])


@pytest.mark.parametrize("payload, code", [
    (b"not json", "InvalidPayload"),
    (b'{"metrics":{}}', "MissingHeader"),
    (b'{"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"mobilerssi":{"number":1}}}', "InvalidPayload"),
])
def test_a_bad_report_is_rejected_with_the_reason(server, name, metric, payload, code):
    device = Thing(server, name)
    with device.client() as client:
        topic = f"$aws/things/{name}/defender/metrics/json"
        client.subscribe(f"{topic}/rejected")
        client.publish(topic, payload)
        answer = client.receive_json()
        assert (answer["status"], answer["statusDetails"]["ErrorCode"]) == ("REJECTED", code)
        assert answer["statusDetails"]["ErrorMessage"]
