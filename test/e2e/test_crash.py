"""kill -9 in the middle of the pipeline, under load, at many moments: nothing acknowledged is lost, nothing is in the
bucket twice."""
import collections
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
