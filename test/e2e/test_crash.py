"""kill -9 in the middle of the pipeline, under load, at many moments: nothing acknowledged is lost, nothing is in the
bucket twice."""
import collections
import json
import random
import threading
import time

import pytest
from devices import Thing, wait_for
import lake


class Reporter(threading.Thread):
    """A device that publishes numbered messages and keeps those that were acknowledged, over any number of restarts."""

    def __init__(self, thing):
        super().__init__(daemon=True)
        self.thing, self.stopping = thing, threading.Event()
        self.acknowledged, self.attempted = set(), set()
        self.number = 0

    def run(self):
        while not self.stopping.is_set():
            try:
                client = self.thing.client()
            except (OSError, AssertionError):
                time.sleep(0.05)
                continue
            while not self.stopping.is_set() and not client.disconnected.is_set():
                number = self.number
                self.number += 1
                self.attempted.add(number)
                info = client.paho.publish("crash/data", json.dumps({"thing": self.thing.name, "n": number}), 1)
                while not info.is_published() and not client.disconnected.is_set() and not self.stopping.is_set():
                    time.sleep(0.001)
                if info.is_published():
                    self.acknowledged.add(number)
            client.paho.loop_stop()  # without a retransmission: an unacknowledged number is not sent again


@pytest.mark.timeout(600)
def test_kill_9_loses_nothing_and_repeats_nothing(new_server):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    server = new_server()
    bucket = lake.bucket(server)
    stream = lake.stream(server, "crash", bucket)
    lake.rule(server, "crash", "SELECT * FROM 'crash/#'", lake.firehose_action(server, "crash", stream, "\n"))
    reporters = [Reporter(Thing(server, f"crash-{i}")) for i in range(4)]
    server.keep_ports()
    for reporter in reporters:
        reporter.start()
    for _ in range(12):
        time.sleep(moments.uniform(0.05, 1.5))
        server.kill()
        server.start()
    time.sleep(1)
    for reporter in reporters:
        reporter.stopping.set()
    for reporter in reporters:
        reporter.join(20)

    def delivered():
        return collections.Counter((r["thing"], r["n"]) for r in lake.records(server, bucket))

    acknowledged = {(r.thing.name, n) for r in reporters for n in r.acknowledged}
    attempted = {(r.thing.name, n) for r in reporters for n in r.attempted}
    assert len(acknowledged) > 100, "the devices hardly sent anything"
    wait_for(lambda: acknowledged <= set(delivered()), timeout=60, what="what was acknowledged to be delivered")
    time.sleep(2)  # a repeated upload would show by now
    counts = delivered()
    assert not [k for k, n in counts.items() if n > 1], "delivered twice"
    assert set(counts) <= attempted
