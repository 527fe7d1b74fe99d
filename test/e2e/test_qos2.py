"""QoS 2 with foreign clients: once, also when the server is killed."""
import collections
import json
import random
import shutil
import subprocess
import threading
import time

import fleetward
import lake
import paho.mqtt.client as mqtt
import pytest
from devices import Thing, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

V311, V5 = mqtt.MQTTv311, mqtt.MQTTv5


def kept(version):
    """Options of a client whose session stays."""
    if version == V311:
        return {"version": version, "clean": False}
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    return {"version": version, "clean": False, "properties": properties}


@pytest.mark.parametrize("publisher_version", [V311, V5])
@pytest.mark.parametrize("subscriber_version", [V311, V5])
@pytest.mark.parametrize("persistent", [False, True])
def test_qos_2_between_versions(server, name, publisher_version, subscriber_version, persistent):
    def options(version):
        return kept(version) if persistent else {"version": version}

    thing = Thing(server, name)
    with thing.client(f"{name}-s", **options(subscriber_version)) as subscriber, \
            thing.client(f"{name}-p", **options(publisher_version)) as publisher:
        assert subscriber.subscribe(f"{name}/+", 2) == [2]
        for qos in (0, 1, 2):
            publisher.publish(f"{name}/{qos}", b"\x00binary", qos)
            message = subscriber.receive()
            assert (message.topic, message.payload, message.qos) == (f"{name}/{qos}", b"\x00binary", qos)
        for i in range(300):
            publisher.paho.publish(f"{name}/n", str(i), 2)
        assert [int(subscriber.receive().payload) for _ in range(300)] == list(range(300))
        assert subscriber.messages.empty()


def test_will_retained_and_shared(server, name):
    thing = Thing(server, name)
    workers = [thing.client(f"{name}-w{i}", version=V5) for i in range(3)]
    for worker in workers:
        assert worker.subscribe(f"$share/g/{name}/job", 2) == [2]
    assert workers[0].subscribe(f"{name}/will", 2) == [2]
    dying = thing.client(will=(f"{name}/will", b"gone", 2, True))
    dying.paho.loop_stop()
    dying.paho.socket().shutdown(2)
    assert workers[0].receive().qos == 2
    with thing.client(f"{name}-p") as publisher:
        publisher.subscribe(f"{name}/will", 2)
        message = publisher.receive()
        assert (message.payload, message.qos, message.retain) == (b"gone", 2, True)
        for i in range(30):
            publisher.publish(f"{name}/job", str(i), 2)
    wait_for(lambda: sum(w.messages.qsize() for w in workers) == 30, what="all jobs")
    jobs = [int(w.receive().payload) for w in workers for _ in range(w.messages.qsize())]
    assert sorted(jobs) == list(range(30))
    for worker in workers:
        worker.close()


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients")
@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_clients(server, name, version):
    thing = Thing(server, name)
    tls = ["-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca, "--cert", thing.certificate_file,
           "--key", thing.key_file, "-V", version, "-q", "2"]
    session = ["-c", "-x", "600"] if version == "5" else ["-c"]
    listen = ["mosquitto_sub", *tls, *session, "-i", f"{name}-s", "-t", f"{name}/#", "-W", "20", "-F", "%t %q %p"]
    subprocess.run([*listen, "-E"], check=True, timeout=30)  # subscribes and leaves
    lines = "".join(f"m{i}\n" for i in range(50))
    subprocess.run(["mosquitto_pub", *tls, "-i", f"{name}-p", "-t", f"{name}/x", "-l"], input=lines, text=True,
                   check=True, timeout=30)
    got = subprocess.run([*listen, "-C", "50"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert got.splitlines() == [f"{name}/x 2 m{i}" for i in range(50)]


def keep_releases(paho):
    """A second attempt to reconnect makes Paho 2.1 forget that a message was released: it would publish it again, as a new
    one. This client keeps it."""
    original = paho._messages_reconnect_reset_out

    def reset():
        states = (mqtt.mqtt_ms_wait_for_pubcomp, mqtt.mqtt_ms_resend_pubrel)
        released = [m for m in paho._out_messages.values() if m.state in states]
        original()
        for message in released:
            message.state = mqtt.mqtt_ms_resend_pubrel

    paho._messages_reconnect_reset_out = reset


class Publisher(threading.Thread):
    """Numbered messages, a few in flight; Paho keeps what it is given while it is not connected, and sends again what is
    not completed."""

    def __init__(self, thing, version, topic):
        super().__init__(daemon=True)
        self.thing, self.topic, self.stopping = thing, topic, threading.Event()
        self.sent = self.completed = 0
        self.client = thing.client(**kept(version))
        self.client.paho.reconnect_delay_set(0.05, 0.2)
        self.client.paho.on_publish = self._on_publish
        keep_releases(self.client.paho)

    def _on_publish(self, *_):
        self.completed += 1

    def run(self):
        while not self.stopping.is_set():
            if self.sent - self.completed < 10:
                self.client.paho.publish(self.topic, json.dumps({"thing": self.thing.name, "n": self.sent}), 2)
                self.sent += 1
            time.sleep(0.002)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [V311, V5])
def test_kill_9_loses_nothing_and_repeats_nothing(new_server, version):
    """Publishers and subscribers with sessions of their own, on several shards; a rule that stores; kills at any moment."""
    server = new_server(config=fleetward.DEFAULT_CONFIG + "[broker]\nshards = 3\n")
    bucket = lake.bucket(server)
    stream = lake.stream(server, "qos2", bucket)
    lake.rule(server, "qos2", "SELECT * FROM 'qos2/#'", lake.firehose_action(server, "qos2", stream, "\n"))
    readers = []
    for i in range(4):
        reader = Thing(server, f"reader-{i}").client(**kept(version))
        reader.paho.reconnect_delay_set(0.05, 0.2)
        assert reader.subscribe("qos2/#", 2) == [2]
        readers.append(reader)
    publishers = [Publisher(Thing(server, f"publisher-{i}"), version, "qos2/data") for i in range(3)]
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    server.keep_ports()
    for publisher in publishers:
        publisher.start()
    for _ in range(12):
        time.sleep(moments.uniform(0.1, 1.2))
        server.kill()
        server.start()
    time.sleep(1)
    for publisher in publishers:
        publisher.stopping.set()
        publisher.join()
    sent = [(p.thing.name, n) for p in publishers for n in range(p.sent)]
    assert len(sent) > 300
    wait_for(lambda: all(p.completed == p.sent for p in publishers), timeout=60, what="all to be completed")
    for reader in readers:
        wait_for(lambda: reader.messages.qsize() >= len(sent), timeout=60, what="all messages")
    time.sleep(1)  # a repetition would show by now
    orders = {publisher.thing.name: [] for publisher in publishers}
    for reader in readers:
        got = [json.loads(reader.receive().payload) for _ in range(reader.messages.qsize())]
        for publisher in publishers:
            orders[publisher.thing.name].append([m["n"] for m in got if m["thing"] == publisher.thing.name])
        reader.close()
    for publisher in publishers:
        first, *others = orders[publisher.thing.name]
        assert sorted(first) == list(range(publisher.sent)), "lost or repeated"
        # Not always 0, 1, 2...: while Paho reconnects, its publish() may come before what it sends again.
        assert all(other == first for other in others), "out of order"
    for publisher in publishers:
        publisher.client.close()

    def delivered():
        return collections.Counter((r["thing"], r["n"]) for r in lake.records(server, bucket))

    wait_for(lambda: set(sent) <= set(delivered()), timeout=60, what="the records")
    assert delivered() == collections.Counter(sent)
