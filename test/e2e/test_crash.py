"""kill -9 in the middle of the pipeline, under load, at many moments: nothing acknowledged is lost, nothing is in the
bucket twice."""
import collections
import datetime
import json
import time

import fleetward
import pytest
from crash import acknowledged_of, attempted_of, numbered, send_under_kills
from devices import Thing, wait_for
import lake


@pytest.mark.timeout(600)
def test_kill_9_loses_nothing_and_repeats_nothing(new_server):
    server = new_server()
    bucket = lake.bucket(server)
    stream = lake.stream(server, "crash", bucket)
    lake.rule(server, "crash", "SELECT * FROM 'crash/#'", lake.firehose_action(server, "crash", stream, "\n"))
    senders = [numbered(Thing(server, f"crash-{i}")) for i in range(4)]
    send_under_kills(server, senders, kills=12)

    def delivered():
        return collections.Counter((r["thing"], r["n"]) for r in lake.records(server, bucket))

    acknowledged, attempted = acknowledged_of(senders), attempted_of(senders)
    assert len(acknowledged) > 100, "the devices hardly sent anything"
    wait_for(lambda: acknowledged <= set(delivered()), timeout=60, what="what was acknowledged to be delivered")
    time.sleep(2)  # a repeated upload would show by now
    counts = delivered()
    assert not [k for k, n in counts.items() if n > 1], "delivered twice"
    assert set(counts) <= attempted


def test_who_does_not_come_back_after_kill_9_is_disconnected(new_server):
    """Its disconnect-duration runs and alarms, its other cloud-side values end; who comes back is as before."""
    server = new_server()
    iot = server.boto("iot")
    iot.create_security_profile(
        securityProfileName="away",
        behaviors=[{"name": "present", "metric": "aws:disconnect-duration",
                    "criteria": {"comparisonOperator": "less-than-equals", "value": {"count": 0}}}],
        additionalMetricsToRetainV2=[{"metric": "aws:num-messages-sent"}])
    iot.attach_security_profile(
        securityProfileName="away",
        securityProfileTargetArn=f"arn:aws:iot:{server.region}:{server.account}:all/registered-things")

    def values(thing, metric):
        now = datetime.datetime.now(datetime.timezone.utc)
        answer = server.boto("iot").list_metric_values(
            thingName=thing.name, metricName=metric, startTime=now - datetime.timedelta(hours=1), endTime=now,
            maxResults=250)
        return [datum["value"]["count"] for datum in answer["metricDatumList"]]

    gone, back = Thing(server, "gone"), Thing(server, "back")
    with gone.client(), back.client():
        for thing in (gone, back):
            wait_for(lambda: len(values(thing, "aws:num-messages-sent")) > 1, what="zero points of a connected device")
            assert set(values(thing, "aws:disconnect-duration")) == {0}
        server.kill()
    server.start()
    iot = server.boto("iot")
    with back.client():
        wait_for(lambda: max(values(gone, "aws:disconnect-duration")) >= 2, what="the duration to run")
        wait_for(lambda: [v["thingName"] for v in iot.list_active_violations()["activeViolations"]] == ["gone"],
                 what="an alarm for the device that is gone, and none any more for the other")
        points = len(values(gone, "aws:num-messages-sent"))
        seen = len(values(back, "aws:num-messages-sent"))
        wait_for(lambda: len(values(back, "aws:num-messages-sent")) > seen + 2, what="points of the other")
        assert len(values(gone, "aws:num-messages-sent")) == points


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_restart_moves_nobody_between_groups_of_connectivity(new_server, end):
    """An alarm of a group of connected things goes on; who is not back within the grace leaves, and his alarm ends."""
    server = new_server(config=fleetward.DEFAULT_CONFIG + '[server]\nreturn_grace = "8s"\n')
    iot = server.boto("iot")
    iot.update_indexing_configuration(thingIndexingConfiguration={
        "thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"})
    for group, connected in (("on", "true"), ("off", "false")):
        iot.create_dynamic_thing_group(thingGroupName=group, queryString=f"connectivity.connected:{connected}")
    iot.create_security_profile(securityProfileName="online", behaviors=[
        {"name": "closed", "metric": "aws:num-listening-tcp-ports",
         "criteria": {"comparisonOperator": "less-than", "value": {"count": 1}}}])
    iot.attach_security_profile(
        securityProfileName="online",
        securityProfileTargetArn=f"arn:aws:iot:{server.region}:{server.account}:thinggroup/on")

    def members(group):
        return sorted(server.boto("iot").list_things_in_thing_group(thingGroupName=group)["things"])

    def events():
        now = datetime.datetime.now(datetime.timezone.utc)
        found = server.boto("iot").list_violation_events(
            startTime=now - datetime.timedelta(hours=1), endTime=now + datetime.timedelta(minutes=1))
        return sorted((e["thingName"], e["violationEventType"]) for e in found["violationEvents"])

    things = {name: Thing(server, name) for name in ("back", "gone", "away")}
    with things["back"].client() as back, things["gone"].client() as gone:
        wait_for(lambda: (members("on"), members("off")) == (["back", "gone"], ["away"]), what="who is connected")
        for name, client in (("back", back), ("gone", gone)):
            client.publish(f"$aws/things/{name}/defender/metrics/json", json.dumps(
                {"hed": {"rid": 1, "v": "1.0"}, "met": {"tp": {"pts": [{"pt": 22}], "t": 1}}}))
        alarms = [("back", "in-alarm"), ("gone", "in-alarm")]
        wait_for(lambda: events() == alarms, what="two alarms")
        getattr(server, end)()
    server.start()
    assert (members("on"), members("off")) == (["back", "gone"], ["away"])
    time.sleep(2)  # ticks, and Detect's look at who left
    assert events() == alarms
    with things["back"].client():
        wait_for(lambda: events() == sorted([*alarms, ("gone", "alarm-invalidated")]), what="the end of gone's alarm")
        assert (members("on"), members("off")) == (["back"], ["away", "gone"])
        state = server.boto("iot").get_thing_connectivity_data(thingName="gone")
        assert (state["connected"], state["disconnectReason"]) == (False, "SERVER_INITIATED_DISCONNECT")
