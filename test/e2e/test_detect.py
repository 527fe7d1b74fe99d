"""Detect and metric export with real clients: reports under kill -9, custom metrics and profiles with boto3, CBOR."""
import collections
import datetime
import time

import botocore.exceptions
import pytest
from crash import Sender, acknowledged_of, attempted_of, send_under_kills
from devices import Thing, wait_for
import lake


def report(thing):
    """A Sender of reports with a rising number as a custom metric."""
    return Sender(thing, lambda number: (
        f"$aws/things/{thing.name}/defender/metrics/json",
        {"hed": {"rid": number, "v": "1.0"}, "cmet": {"n": [{"number": number}]}}))


@pytest.mark.timeout(600)
def test_reports_survive_kill_9_exactly_once(new_server):
    server = new_server()
    iot = server.boto("iot")
    bucket = lake.bucket(server)
    stream = lake.stream(server, "detect", bucket)
    lake.rule(server, "detect", "SELECT * FROM 'x/#'", lake.firehose_action(server, "detect", stream, "\n"))
    iot.create_custom_metric(metricName="n", metricType="number", clientRequestToken="t")
    iot.create_security_profile(
        securityProfileName="numbers",
        behaviors=[{"name": "odd-times", "metric": "n",
                    "criteria": {"comparisonOperator": "less-than", "value": {"number": 50}}}],
        additionalMetricsToRetainV2=[{"metric": "n", "exportMetric": True}],
        metricsExportConfig={"mqttTopic": "$aws/rules/detect/x",
                             "roleArn": lake.role(server, "detect-export", "iot", ["iot:Publish"])})
    iot.attach_security_profile(
        securityProfileName="numbers",
        securityProfileTargetArn=f"arn:aws:iot:{server.region}:{server.account}:all/registered-things")
    senders = [report(Thing(server, f"report-{i}")) for i in range(4)]
    send_under_kills(server, senders, kills=8)

    def delivered():
        return collections.Counter((m["thing"], m["value"]["number"]) for record in lake.records(server, bucket)
                                   for m in record["metrics"] if m["name"] == "n")

    acknowledged, attempted = acknowledged_of(senders), attempted_of(senders)
    assert len(acknowledged) > 100, "the devices hardly sent anything"
    wait_for(lambda: acknowledged <= set(delivered()), timeout=60, what="every acknowledged value in the bucket")
    time.sleep(3)  # a repeated export would show by now
    counts = delivered()
    assert not [k for k, n in counts.items() if n > 1], "exported twice"
    assert set(counts) <= attempted
    # Each device crossed the threshold once and stayed there: one alarm each, whatever crashed in between.
    now = datetime.datetime.now(datetime.timezone.utc)
    iot = server.boto("iot")
    events = iot.list_violation_events(startTime=now - datetime.timedelta(hours=1), endTime=now, maxResults=250)
    starts = collections.Counter(e["thingName"] for e in events["violationEvents"]
                                 if e["violationEventType"] == "in-alarm")
    crossed = {s.thing.name for s in senders if max(s.acknowledged, default=0) >= 50}
    assert {k: n for k, n in starts.items() if k in crossed} == dict.fromkeys(crossed, 1)


def cbor(value):
    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        size = next(s for s in (1, 2, 4, 8) if n < 1 << 8 * s)
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(size, "big")
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(0, value) if value >= 0 else head(1, -1 - value)


def test_a_report_in_cbor_is_answered_in_cbor_and_kept(server, name):
    iot = server.boto("iot")
    iot.create_thing_group(thingGroupName=name)
    thing = Thing(server, name, group=name)
    iot.create_security_profile(securityProfileName=name, additionalMetricsToRetainV2=[
        {"metric": "aws:all-bytes-out"}, {"metric": "aws:listening-tcp-ports"}])
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=iot.describe_thing_group(
        thingGroupName=name)["thingGroupArn"])
    report = {"hed": {"rid": 7, "v": "1.0"}, "met": {"ns": {"bo": 70000}, "tp": {"pts": [{"pt": 443}], "t": 1}}}
    topic = f"$aws/things/{name}/defender/metrics/cbor"
    with thing.client() as client:
        client.subscribe(f"{topic}/+")
        client.publish(topic, cbor(report))
        answer = client.receive()
        assert answer.topic == f"{topic}/accepted"
        head = cbor({"thingName": name, "reportId": 7, "status": "ACCEPTED", "timestamp": 1 << 40})
        assert answer.payload[:-8] == head[:-8]
        client.publish(topic, cbor(report)[:-1])
        assert client.receive().topic == f"{topic}/rejected"
    now = datetime.datetime.now(datetime.timezone.utc)

    def values(metric):
        answer = iot.list_metric_values(thingName=name, metricName=metric, startTime=now - datetime.timedelta(hours=1),
                                        endTime=now + datetime.timedelta(minutes=5))
        return [datum["value"] for datum in answer["metricDatumList"]]

    wait_for(lambda: values("aws:all-bytes-out") == [{"count": 70000}], what="the value")
    assert values("aws:listening-tcp-ports") == [{"ports": [443]}]


@pytest.mark.parametrize("criteria, part", [
    ({"comparisonOperator": "less-than", "statisticalThreshold": {"statistic": "p95"}}, "p99.99"),
    ({"mlDetectionConfig": {"confidenceLevel": "LOW"}}, "mlDetectionConfig"),
    ({"comparisonOperator": "in-cidr-set", "value": {"cidrs": ["10.0.0.0/8"]}}, "cannot be used"),
])
def test_criteria_that_cannot_be_are_refused_by_name(server, name, criteria, part):
    behavior = {"name": "b", "metric": "aws:num-disconnects", "criteria": criteria}
    iot = server.boto("iot")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        iot.create_security_profile(securityProfileName=name, behaviors=[behavior])
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
    assert part in refused.value.response["Error"]["Message"]
    answer = iot.validate_security_profile_behaviors(behaviors=[behavior])
    assert not answer["valid"] and part in answer["validationErrors"][0]["errorMessage"]


def test_cloud_side_values_are_what_the_device_did(server, name):
    """Messages of known size and number, counted by hand."""
    iot = server.boto("iot")
    iot.create_thing_group(thingGroupName=name)
    thing = Thing(server, name, group=name)
    metrics = ["aws:num-messages-sent", "aws:num-messages-received", "aws:message-byte-size", "aws:num-connection-attempts"]
    iot.create_security_profile(securityProfileName=name,
                                additionalMetricsToRetainV2=[{"metric": metric} for metric in metrics])
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=iot.describe_thing_group(
        thingGroupName=name)["thingGroupArn"])
    with thing.client() as client:
        client.subscribe(f"{name}/#")
        for size in (10, 500, 30):
            client.publish(f"{name}/a", "x" * size)
        for _ in range(3):
            client.receive()
        time.sleep(0.2)
    now = datetime.datetime.now(datetime.timezone.utc)

    def values(metric):
        answer = iot.list_metric_values(thingName=name, metricName=metric, startTime=now - datetime.timedelta(hours=1),
                                        endTime=now + datetime.timedelta(minutes=5), maxResults=250)
        return [datum["value"]["count"] for datum in answer["metricDatumList"]]

    wait_for(lambda: sum(values("aws:num-messages-sent")) == 3, what="three messages sent")
    wait_for(lambda: sum(values("aws:num-messages-received")) == 3, what="three messages received")
    assert max(values("aws:message-byte-size")) == 500
    assert sum(values("aws:num-connection-attempts")) == 1
