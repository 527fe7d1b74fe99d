"""kill -9 in the middle of the pipeline, under load, at many moments: nothing acknowledged is lost, nothing is in the
bucket twice."""
import collections
import datetime
import time

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
