"""Device Defender Detect's operations with boto3: every filter, page token and documented error."""
import datetime
import json

import botocore.exceptions
import pytest
from devices import Thing, wait_for

STATES = ["FALSE_POSITIVE", "BENIGN_POSITIVE", "TRUE_POSITIVE", "UNKNOWN"]


def refused(code, operation, **arguments):
    """The error's message; its name must be `code`."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        operation(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


def pages(operation, member, size, **arguments):
    """All entries, read in pages of `size`."""
    out, token = [], {}
    while True:
        answer = operation(maxResults=size, **arguments, **token)
        assert len(answer[member]) <= size
        out += answer[member]
        if "nextToken" not in answer:
            return out
        token = {"nextToken": answer["nextToken"]}


def around_now(**earlier):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"startTime": now - datetime.timedelta(**earlier or {"hours": 1}),
            "endTime": now + datetime.timedelta(minutes=5)}


class Fleet:
    """Things that report a number `n`, and two profiles that find 10 and more not normal."""

    def __init__(self, server, name, things):
        self.server, self.name, self.iot = server, name, server.boto("iot")
        iot = self.iot
        self.group = iot.create_thing_group(thingGroupName=name)["thingGroupArn"]
        self.metric = f"{name}-n"
        iot.create_custom_metric(metricName=self.metric, metricType="number", clientRequestToken="t")
        self.profiles = [f"{name}-loud", f"{name}-mute"]
        for profile, mute in zip(self.profiles, (False, True)):
            behavior = {"name": "low", "metric": self.metric, "suppressAlerts": mute,
                        "criteria": {"comparisonOperator": "less-than", "value": {"number": 10}}}
            iot.create_security_profile(securityProfileName=profile, behaviors=[behavior])
            iot.attach_security_profile(securityProfileName=profile, securityProfileTargetArn=self.group)
        self.things = [Thing(server, f"{name}-{i}", group=name) for i in range(things)]
        self.report_id = 0

    def report(self, client, number):
        self.report_id += 1
        topic = f"$aws/things/{client.name}/defender/metrics/json"
        client.publish(topic, json.dumps({"hed": {"rid": self.report_id, "v": "1.0"},
                                          "cmet": {self.metric: [{"number": number}]}}))

    def client(self, i):
        client = self.things[i].client()
        client.name = self.things[i].name
        return client

    def active(self, **filters):
        filters.setdefault("securityProfileName", self.profiles[0])
        return self.iot.list_active_violations(**filters)["activeViolations"]


def test_violations_with_every_filter(server, name):
    fleet = Fleet(server, name, 3)
    iot = fleet.iot
    for i in range(3):
        with fleet.client(i) as client:
            for number in (1, 12, 13 + i):
                fleet.report(client, number)
    wait_for(lambda: [v["lastViolationValue"] for v in fleet.active()] == [{"number": n} for n in (15, 14, 13)],
             what="three violations, newest first")
    wait_for(lambda: len(fleet.active(securityProfileName=fleet.profiles[1])) == 3, what="and three suppressed")
    violation = fleet.active()[2]
    assert violation["thingName"] == f"{name}-0" and violation["verificationState"] == "UNKNOWN"
    assert violation["behavior"]["criteria"]["value"] == {"number": 10}
    assert violation["violationStartTime"] <= violation["lastViolationTime"]
    active = {"operation": iot.list_active_violations, "member": "activeViolations"}
    events = {"operation": iot.list_violation_events, "member": "violationEvents", **around_now()}

    def count(listing, **filters):
        return len(pages(size=2, **listing, **filters))

    for listing in (active, events):
        for profile, suppressed in zip(fleet.profiles, (False, True)):
            of = {"securityProfileName": profile}
            assert count(listing, **of) == 3
            assert count(listing, **of, listSuppressedAlerts=suppressed) == 3
            assert count(listing, **of, listSuppressedAlerts=not suppressed) == 0
            assert count(listing, **of, thingName=f"{name}-1") == 1
            assert count(listing, **of, behaviorCriteriaType="STATIC") == 3
            assert count(listing, **of, behaviorCriteriaType="STATISTICAL") == 0
            assert count(listing, **of, behaviorCriteriaType="MACHINE_LEARNING") == 0
        assert count(listing, thingName=f"{name}-1") == 2

    # What an operator says of it is shown and filtered by, and may change.
    for state in STATES[:3]:
        iot.put_verification_state_on_violation(violationId=violation["violationId"], verificationState=state,
                                                verificationStateDescription=f"it is {state}")
        for listing in (active, events):
            of = {"securityProfileName": fleet.profiles[0]}
            assert count(listing, **of, verificationState=state) == 1
            assert count(listing, **of, verificationState="UNKNOWN") == 2
        assert fleet.active(verificationState=state)[0]["verificationStateDescription"] == f"it is {state}"
    iot.put_verification_state_on_violation(violationId=violation["violationId"], verificationState="UNKNOWN")
    assert "verificationStateDescription" not in fleet.active(thingName=f"{name}-0")[0]

    # The end of an alarm: no longer active, one event more, of the same violation.
    with fleet.client(0) as client:
        fleet.report(client, 2)
    wait_for(lambda: len(fleet.active()) == 2, what="the end of one")
    of = {"securityProfileName": fleet.profiles[0], "thingName": f"{name}-0"}
    got = pages(size=1, **events, **of)
    assert [e["violationEventType"] for e in got] == ["alarm-cleared", "in-alarm"]
    assert {e["violationId"] for e in got} == {violation["violationId"]}
    assert [e["metricValue"] for e in got] == [{"number": 2}, {"number": 12}]
    early = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    assert iot.list_violation_events(startTime=early, endTime=got[1]["violationEventTime"] - datetime.timedelta(
        milliseconds=1), **of)["violationEvents"] == []
    iot.put_verification_state_on_violation(violationId=violation["violationId"], verificationState="TRUE_POSITIVE")
    assert count(events, **of, verificationState="TRUE_POSITIVE") == 2


def test_pages_of_violations_stay_put(server, name):
    fleet = Fleet(server, name, 6)
    for i in range(4):
        with fleet.client(i) as client:
            fleet.report(client, 50)
        wait_for(lambda: len(fleet.active()) == i + 1, what="a violation")
    names = [f"{name}-{i}" for i in range(6)]
    of = {"securityProfileName": fleet.profiles[0], "maxResults": 2}
    first = fleet.iot.list_active_violations(**of)
    first_events = fleet.iot.list_violation_events(**of, **around_now())
    for i in (4, 5):  # newer ones come between the pages
        with fleet.client(i) as client:
            fleet.report(client, 50)
    wait_for(lambda: len(fleet.active()) == 6, what="newer violations")
    second = fleet.iot.list_active_violations(**of, nextToken=first["nextToken"])
    assert [v["thingName"] for v in first["activeViolations"] + second["activeViolations"]] == names[3::-1]
    assert "nextToken" not in second
    second_events = fleet.iot.list_violation_events(**of, **around_now(), nextToken=first_events["nextToken"])
    assert [e["thingName"] for e in first_events["violationEvents"] + second_events["violationEvents"]] == names[3::-1]
    assert "nextToken" in refused("InvalidRequestException", fleet.iot.list_violation_events, **of, **around_now(),
                                  nextToken=first["nextToken"])  # another operation's


def test_errors_of_violations(server, name):
    iot = server.boto("iot")
    times = around_now()
    assert "nobody" in refused("ResourceNotFoundException", iot.list_active_violations, thingName="nobody")
    assert name in refused("ResourceNotFoundException", iot.list_active_violations, securityProfileName=name)
    assert iot.list_violation_events(thingName="nobody", **times)["violationEvents"] == []
    backwards = {"startTime": times["endTime"], "endTime": times["startTime"]}
    assert "endTime" in refused("InvalidRequestException", iot.list_violation_events, **backwards)
    assert "maxResults" in refused("InvalidRequestException", iot.list_violation_events, maxResults=251, **times)
    assert "nextToken" in refused("InvalidRequestException", iot.list_violation_events, nextToken="x", **times)
    assert "behaviorCriteriaType" in refused("InvalidRequestException", iot.list_active_violations,
                                             behaviorCriteriaType="ODD")
    assert "verificationState" in refused("InvalidRequestException", iot.list_active_violations, verificationState="ODD")
    put = iot.put_verification_state_on_violation
    assert "0123" in refused("InvalidRequestException", put, violationId="0123", verificationState="UNKNOWN")
    assert "verificationState" in refused("InvalidRequestException", put, violationId="0123", verificationState="ODD")
    assert "verificationStateDescription" in refused(
        "InvalidRequestException", put, violationId="0123", verificationState="UNKNOWN",
        verificationStateDescription="a\nb")


def test_metric_values(server, name):
    fleet = Fleet(server, name, 1)
    with fleet.client(0) as client:
        for number in (3, 1.5, 2):
            fleet.report(client, number)
    thing, values = fleet.things[0].name, fleet.iot.list_metric_values
    of = {"thingName": thing, "metricName": fleet.metric}

    def read(size, **times):
        return pages(values, "metricDatumList", size, **of, **(times or around_now()))

    wait_for(lambda: len(read(250)) == 3, what="three values")
    for size in (1, 2, 250):
        assert [datum["value"] for datum in read(size)] == [{"number": n} for n in (3, 1.5, 2)]
    times = [datum["timestamp"] for datum in read(250)]
    assert times == sorted(times)
    assert len(read(250, startTime=times[1], endTime=times[1])) >= 1  # both ends count
    past = times[0] - datetime.timedelta(days=20)
    assert read(250, startTime=past, endTime=past + datetime.timedelta(days=1)) == []
    assert len(read(250, startTime=past, endTime=times[2])) == 3  # the range is cut to what is kept
    assert "nobody" in refused("ResourceNotFoundException", values, thingName="nobody", metricName=fleet.metric,
                               **around_now())
    assert "nothing" in refused("ResourceNotFoundException", values, thingName=thing, metricName="nothing", **around_now())
    assert "endTime" in refused("InvalidRequestException", values, **of, startTime=times[2], endTime=past)
    assert "nextToken" in refused("InvalidRequestException", values, **of, **around_now(), nextToken="x")
    assert "maxResults" in refused("InvalidRequestException", values, **of, **around_now(), maxResults=251)


def test_custom_metrics(server, name):
    iot = server.boto("iot")
    create = {"metricName": name, "metricType": "ip-address-list", "displayName": "Peers", "clientRequestToken": "one",
              "tags": [{"Key": "team", "Value": "a"}]}
    arn = iot.create_custom_metric(**create)["metricArn"]
    assert iot.create_custom_metric(**create)["metricArn"] == arn  # a request without an answer is repeated
    for other in ({"clientRequestToken": "two"}, {"displayName": "Others"}, {"metricType": "number"}):
        assert name in refused("ResourceAlreadyExistsException", iot.create_custom_metric, **{**create, **other})
    assert iot.describe_custom_metric(metricName=name)["displayName"] == "Peers"
    assert iot.update_custom_metric(metricName=name, displayName="Friends")["displayName"] == "Friends"
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "a"}]
    assert name in pages(iot.list_custom_metrics, "metricNames", 2)
    iot.create_security_profile(securityProfileName=name, additionalMetricsToRetainV2=[{"metric": name}])
    assert name in refused("InvalidRequestException", iot.delete_custom_metric, metricName=name)
    iot.update_security_profile(securityProfileName=name, deleteAdditionalMetricsToRetain=True)
    for _ in range(2):
        iot.delete_custom_metric(metricName=name)
    refused("ResourceNotFoundException", iot.describe_custom_metric, metricName=name)
    refused("ResourceNotFoundException", iot.update_custom_metric, metricName=name, displayName="x")
    refused("ResourceNotFoundException", iot.list_tags_for_resource, resourceArn=arn)
    assert "aws:" in refused("InvalidRequestException", iot.create_custom_metric, metricName="aws:x",
                             metricType="number", clientRequestToken="t")
    assert "metricType" in refused("InvalidRequestException", iot.create_custom_metric, metricName="x",
                                   metricType="text", clientRequestToken="t")


def test_what_is_not_there_is_refused_by_name(server, name):
    iot = server.boto("iot")
    assert iot.get_behavior_model_training_summaries()["summaries"] == []  # no model without ML criteria
    iot.create_security_profile(securityProfileName=name)
    assert iot.get_behavior_model_training_summaries(securityProfileName=name, maxResults=10)["summaries"] == []
    refused("ResourceNotFoundException", iot.get_behavior_model_training_summaries, securityProfileName=name + "x")
    assert "maxResults" in refused("InvalidRequestException", iot.get_behavior_model_training_summaries, maxResults=11)
    times = around_now()
    for operation, arguments in {
        "start_detect_mitigation_actions_task": {"taskId": "t", "target": {"violationIds": ["0"]}, "actions": ["a"],
                                                 "clientRequestToken": "t"},
        "describe_detect_mitigation_actions_task": {"taskId": "t"},
        "list_detect_mitigation_actions_tasks": times,
        "list_detect_mitigation_actions_executions": {"taskId": "t"},
        "cancel_detect_mitigation_actions_task": {"taskId": "t"},
    }.items():
        with pytest.raises(botocore.exceptions.ClientError) as error:
            getattr(iot, operation)(**arguments)
        camel = "".join(part.capitalize() for part in operation.split("_"))
        assert camel in error.value.response["Error"]["Message"]


def test_targets(server, name):
    iot = server.boto("iot")
    groups = [iot.create_thing_group(thingGroupName=f"{name}-{i}", **({"parentGroupName": f"{name}-{i - 1}"} if i else {}))
              ["thingGroupArn"] for i in range(3)]
    profiles = [f"{name}-{c}" for c in "abcdef"]
    for profile in profiles:
        iot.create_security_profile(securityProfileName=profile)

    def attach(profile, target):
        iot.attach_security_profile(securityProfileName=profile, securityProfileTargetArn=target)

    for profile, group in zip(profiles, groups):
        attach(profile, group)
        attach(profile, group)  # attached already

    def of_target(target, **more):
        mappings = pages(iot.list_security_profiles_for_target, "securityProfileTargetMappings", 1,
                         securityProfileTargetArn=target, **more)
        return {(m["securityProfileIdentifier"]["name"], m["target"]["arn"]) for m in mappings}

    assert of_target(groups[0]) == {(profiles[0], groups[0])}
    assert of_target(groups[0], recursive=False) == {(profiles[0], groups[0])}
    assert of_target(groups[0], recursive=True) == set(zip(profiles, groups))
    assert of_target(groups[1], recursive=True) == set(zip(profiles[1:], groups[1:]))
    for profile in profiles[1:5]:
        attach(profile, groups[0])
    assert "5" in refused("LimitExceededException", iot.attach_security_profile, securityProfileName=profiles[5],
                          securityProfileTargetArn=groups[0])
    arn = groups[0].rsplit(":", 1)[0]
    everything = [f"{arn}:all/{what}" for what in ("things", "registered-things", "unregistered-things")]
    for target in everything:
        attach(profiles[5], target)
    assert {t["arn"] for t in pages(iot.list_targets_for_security_profile, "securityProfileTargets", 2,
                                    securityProfileName=profiles[5])} == set(everything)
    for target in everything:
        for _ in range(2):  # detached already
            iot.detach_security_profile(securityProfileName=profiles[5], securityProfileTargetArn=target)
    assert iot.list_targets_for_security_profile(securityProfileName=profiles[5])["securityProfileTargets"] == []
    for operation in (iot.attach_security_profile, iot.detach_security_profile):
        refused("ResourceNotFoundException", operation, securityProfileName=name, securityProfileTargetArn=groups[0])
        refused("InvalidRequestException", operation, securityProfileName=profiles[0],
                securityProfileTargetArn=f"{arn}:thing/x")
    gone = {"securityProfileName": profiles[0], "securityProfileTargetArn": groups[0] + "x"}
    refused("ResourceNotFoundException", iot.attach_security_profile, **gone)
    iot.detach_security_profile(**gone)  # a group that is gone has no profiles
    refused("ResourceNotFoundException", iot.list_targets_for_security_profile, securityProfileName=name)
    refused("ResourceNotFoundException", iot.list_security_profiles_for_target, securityProfileTargetArn=groups[0] + "x")


def test_security_profiles(server, name):
    iot = server.boto("iot")
    behavior = {"name": "b", "metric": "aws:num-disconnects",
                "criteria": {"comparisonOperator": "less-than", "value": {"count": 5}, "durationSeconds": 300}}
    iot.create_security_profile(securityProfileName=name, securityProfileDescription="first", behaviors=[behavior])
    refused("ResourceAlreadyExistsException", iot.create_security_profile, securityProfileName=name)
    update = iot.update_security_profile
    assert update(securityProfileName=name, securityProfileDescription="second", expectedVersion=1)["version"] == 2
    assert "2" in refused("VersionConflictException", update, securityProfileName=name, expectedVersion=1,
                          securityProfileDescription="third")
    assert "2" in refused("VersionConflictException", iot.delete_security_profile, securityProfileName=name,
                          expectedVersion=1)
    described = iot.describe_security_profile(securityProfileName=name)
    assert described["securityProfileDescription"] == "second" and described["version"] == 2
    assert len(described["behaviors"]) == 1  # what is left out stays
    topic = {"alertTargetArn": f"arn:aws:sns:{server.region}:{server.account}:x",
             "roleArn": f"arn:aws:iam::{server.account}:role/absent-role"}
    export = {"mqttTopic": "export/topic", "roleArn": topic["roleArn"]}
    for flag, member, value in [
        ("deleteBehaviors", "behaviors", [behavior]),
        ("deleteAlertTargets", "alertTargets", {"SNS": topic}),
        ("deleteAdditionalMetricsToRetain", "additionalMetricsToRetain", ["aws:num-disconnects"]),
        ("deleteAdditionalMetricsToRetain", "additionalMetricsToRetainV2", [{"metric": "aws:num-disconnects"}]),
        ("deleteMetricsExportConfig", "metricsExportConfig", export),
    ]:
        message = refused("InvalidRequestException", update, securityProfileName=name, **{flag: True, member: value})
        assert flag in message and member in message
    assert update(securityProfileName=name, deleteBehaviors=True)["behaviors"] == []
    refused("ResourceNotFoundException", update, securityProfileName=name + "x")
    refused("ResourceNotFoundException", iot.describe_security_profile, securityProfileName=name + "x")
    # Listed by what they use.
    custom = f"{name}-m"
    iot.create_custom_metric(metricName=custom, metricType="number", clientRequestToken="t")
    update(securityProfileName=name, additionalMetricsToRetainV2=[{"metric": custom}])
    assert [p["name"] for p in iot.list_security_profiles(metricName=custom)["securityProfileIdentifiers"]] == [name]
    assert name in {p["name"] for p in pages(iot.list_security_profiles, "securityProfileIdentifiers", 3)}
    refused("ResourceNotFoundException", iot.list_security_profiles, metricName=custom + "x")
    iot.create_dimension(name=name, type="TOPIC_FILTER", stringValues=["a/#"], clientRequestToken=name)
    update(securityProfileName=name, behaviors=[{"name": "d", "metric": "aws:num-messages-sent",
                                                 "metricDimension": {"dimensionName": name}}])
    assert [p["name"] for p in iot.list_security_profiles(dimensionName=name)["securityProfileIdentifiers"]] == [name]
    assert iot.list_security_profiles(dimensionName=name, metricName="aws:num-disconnects")[
        "securityProfileIdentifiers"] == []
    refused("ResourceNotFoundException", iot.list_security_profiles, dimensionName=name + "x")
    # The path of what is wrong, by Validate too.
    bad = [behavior, {"name": "c", "metric": "aws:listening-tcp-ports",
                      "criteria": {"comparisonOperator": "in-port-set", "value": {"ports": [22, 65536]}}}]
    path = "behaviors.2.criteria.value.ports.2"
    assert path in refused("InvalidRequestException", update, securityProfileName=name, behaviors=bad)
    answer = iot.validate_security_profile_behaviors(behaviors=bad)
    assert not answer["valid"] and path in answer["validationErrors"][0]["errorMessage"]
    assert iot.validate_security_profile_behaviors(behaviors=[behavior])["valid"]
    for _ in range(2):
        iot.delete_security_profile(securityProfileName=name)
    iot.delete_dimension(name=name)


def test_quotas_of_the_configuration(new_server):
    server = new_server(config='[detect]\ntick = "1s"\ncustom_metrics_max = 2\nprofiles_per_target_max = 1\n'
                               'dimensions_max = 1\nbehaviors_max = 2\nvalue_elements_max = 3\n'
                               'report_delay_min = "5m"\n')
    iot = server.boto("iot")
    for metric in "ab":
        iot.create_custom_metric(metricName=metric, metricType="number", clientRequestToken="t")
    assert "2" in refused("LimitExceededException", iot.create_custom_metric, metricName="c", metricType="number",
                          clientRequestToken="t")
    target = f"arn:aws:iot:{server.region}:{server.account}:all/things"
    for profile in "pq":
        iot.create_security_profile(securityProfileName=profile)
    iot.attach_security_profile(securityProfileName="p", securityProfileTargetArn=target)
    assert "1" in refused("LimitExceededException", iot.attach_security_profile, securityProfileName="q",
                          securityProfileTargetArn=target)
    iot.create_dimension(name="d", type="TOPIC_FILTER", stringValues=["a"], clientRequestToken="d")
    assert "1" in refused("LimitExceededException", iot.create_dimension, name="e", type="TOPIC_FILTER",
                          stringValues=["a"], clientRequestToken="e")
    ports = [{"name": n, "metric": "aws:listening-tcp-ports",
              "criteria": {"comparisonOperator": "in-port-set", "value": {"ports": [1, 2]}}} for n in "abc"]
    for behaviors, bound in ((ports, "2"), (ports[:2], "3")):
        assert bound in refused("InvalidRequestException", iot.update_security_profile, securityProfileName="p",
                                behaviors=behaviors)
    iot.update_security_profile(securityProfileName="p", behaviors=ports[:1])
    topic = "$aws/things/t/defender/metrics/json"
    with Thing(server, "t").client() as client:
        client.subscribe(f"{topic}/+")
        for number, answer in ((1, "ACCEPTED"), (2, "REJECTED")):
            client.publish(topic, json.dumps({"hed": {"rid": number, "v": "1.0"}, "met": {"ns": {"bo": 1}}}))
            got = client.receive_json()
            assert got["status"] == answer, got
        assert got["statusDetails"]["ErrorCode"] == "Throttled" and got["reportId"] == 2
