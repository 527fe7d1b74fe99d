"""Dimensions with boto3 and Paho: what is counted by topic, judged, exported and listed."""
import datetime
import json

import botocore.exceptions
import pytest
from devices import Thing, wait_for
import lake


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_messages_are_counted_by_topic(server, name):
    iot = server.boto("iot")
    token = dict(type="TOPIC_FILTER", stringValues=["telemetry/${iot:ClientId}/#"], clientRequestToken=name)
    made = iot.create_dimension(name=name, tags=[{"Key": "team", "Value": "fleet"}], **token)
    assert made["arn"].endswith(f":dimension/{name}")
    assert iot.create_dimension(name=name, **token)["arn"] == made["arn"], "the SDK's retry"
    assert iot.list_tags_for_resource(resourceArn=made["arn"])["tags"] == [{"Key": "team", "Value": "fleet"}]
    assert name in iot.list_dimensions()["dimensionNames"]
    iot.create_thing_group(thingGroupName=name)
    thing = Thing(server, name, group=name)
    few = {"comparisonOperator": "less-than", "value": {"count": 5}}

    def behavior(kind, operator):
        return {"name": kind, "metric": "aws:num-messages-sent", "criteria": few, "exportMetric": True,
                "metricDimension": {"dimensionName": name, "operator": operator}}

    iot.create_security_profile(
        securityProfileName=name, behaviors=[behavior("own", "IN"), behavior("others", "NOT_IN")],
        additionalMetricsToRetainV2=[
            {"metric": "aws:num-messages-sent"},
            {"metric": "aws:message-byte-size", "metricDimension": {"dimensionName": name}},
            {"metric": "aws:source-ip-address", "metricDimension": {"dimensionName": name, "operator": "NOT_IN"}}],
        metricsExportConfig={"mqttTopic": f"exported/{name}", "roleArn": lake.role(server, name, "iot", ["iot:Publish"])})
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=iot.describe_thing_group(
        thingGroupName=name)["thingGroupArn"])
    assert refused(iot.delete_dimension, name=name) == "InvalidRequestException"
    assert iot.list_security_profiles(dimensionName=name)["securityProfileIdentifiers"][0]["name"] == name

    def between():
        now = datetime.datetime.now(datetime.timezone.utc)
        return dict(startTime=now - datetime.timedelta(hours=1), endTime=now + datetime.timedelta(minutes=5))

    def values(metric, **dimension):
        answer = iot.list_metric_values(thingName=name, metricName=metric, maxResults=250, **between(), **dimension)
        return [datum["value"] for datum in answer["metricDatumList"]]

    def sent(**dimension):
        return sum(value["count"] for value in values("aws:num-messages-sent", **dimension))

    def alarms():
        events = iot.list_violation_events(securityProfileName=name, **between())["violationEvents"]
        return {e["behavior"]["name"] for e in events if e["violationEventType"] == "in-alarm"}

    observer = Thing(server, f"{name}-observer")
    with observer.client() as watching, thing.client() as client:
        watching.subscribe(f"exported/{name}")
        for _ in range(10):
            client.publish(f"telemetry/{name}/temperature", "x" * 7)
        wait_for(lambda: sent(dimensionName=name) == 10, what="ten messages in the dimension")
        wait_for(lambda: alarms() == {"own"}, what="the alarm of its own topics")
        assert sent(dimensionName=name, dimensionValueOperator="NOT_IN") == 0
        for _ in range(10):
            client.publish(f"telemetry/{name}-other/temperature", "y" * 90)
        wait_for(lambda: alarms() == {"own", "others"}, what="the alarm of other topics")
        assert sent(dimensionName=name, dimensionValueOperator="NOT_IN") == 10
        assert sent() == 20
        assert max(v["count"] for v in values("aws:message-byte-size", dimensionName=name)) == 7
        assert {"cidrs": ["127.0.0.1"]} in values("aws:source-ip-address", dimensionName=name,
                                                  dimensionValueOperator="NOT_IN")
        exported = {"IN": 0, "NOT_IN": 0}
        while min(exported.values()) < 10:
            for element in json.loads(watching.receive().payload)["metrics"]:
                assert element["name"] == "aws:num-messages-sent" and element["dimension"]["name"] == name
                exported[element["dimension"]["operator"]] += element["value"]["count"]
        assert exported == {"IN": 10, "NOT_IN": 10}

        # Other filters apply from then on.
        iot.update_dimension(name=name, stringValues=["elsewhere/#"])
        for _ in range(3):
            client.publish("elsewhere/a", "z")
        wait_for(lambda: sent(dimensionName=name) == 13, what="what the new filter matches")

    assert refused(iot.list_metric_values, thingName=name, metricName="aws:num-disconnects", dimensionName=name,
                   **between()) == "InvalidRequestException"
    assert refused(iot.list_metric_values, thingName=name, metricName="aws:num-messages-sent",
                   dimensionName="no-such", **between()) == "ResourceNotFoundException"
    iot.delete_security_profile(securityProfileName=name)
    iot.delete_dimension(name=name)
    assert refused(iot.describe_dimension, name=name) == "ResourceNotFoundException"


def test_a_profile_reads_back_as_it_was_written(server, name):
    """As CloudFormation's AWS::IoT::Dimension and SecurityProfile handlers would: create, read, update, delete."""
    iot = server.boto("iot")
    iot.create_dimension(name=name, type="TOPIC_FILTER", stringValues=["a/+", "b/#"], clientRequestToken=name)
    behavior = {"name": "b", "metric": "aws:num-authorization-failures",
                "metricDimension": {"dimensionName": name, "operator": "NOT_IN"},
                "criteria": {"comparisonOperator": "less-than-equals", "value": {"count": 3}, "durationSeconds": 300,
                             "consecutiveDatapointsToAlarm": 2, "consecutiveDatapointsToClear": 1},
                "suppressAlerts": True}
    retained = [{"metric": "aws:message-byte-size", "metricDimension": {"dimensionName": name, "operator": "IN"}}]
    iot.create_security_profile(securityProfileName=name, behaviors=[behavior], additionalMetricsToRetainV2=retained)
    found = iot.describe_security_profile(securityProfileName=name)
    assert (found["behaviors"], found["additionalMetricsToRetainV2"]) == ([behavior], retained)
    iot.update_security_profile(securityProfileName=name, deleteBehaviors=True)
    assert iot.describe_security_profile(securityProfileName=name)["additionalMetricsToRetainV2"] == retained
    with pytest.raises(botocore.exceptions.ClientError) as error:
        iot.update_security_profile(securityProfileName=name, behaviors=[behavior, {
            **behavior, "name": "c", "metric": "aws:num-disconnects"}])
    assert "behaviors.2.metricDimension" in error.value.response["Error"]["Message"]
    iot.delete_security_profile(securityProfileName=name)
    iot.delete_dimension(name=name)
    iot.delete_dimension(name=name)
