"""Devices that send while the server is killed, and what of theirs was acknowledged."""
import json
import random
import threading
import time


class Sender(threading.Thread):
    """A device that publishes numbered messages and keeps those that were acknowledged, over any number of restarts.

    message(number) answers the topic and the document of one."""

    def __init__(self, thing, message):
        super().__init__(daemon=True)
        self.thing, self.message, self.stopping = thing, message, threading.Event()
        self.acknowledged, self.attempted, self.number = set(), set(), 0

    def run(self):
        while not self.stopping.is_set():
            try:
                client = self.thing.client()
            except (OSError, AssertionError):
                time.sleep(0.05)
                continue
            while not self.stopping.is_set() and not client.disconnected.is_set():
                self.number += 1
                number = self.number
                self.attempted.add(number)
                topic, document = self.message(number)
                info = client.paho.publish(topic, json.dumps(document), 1)
                while not published(info) and not client.disconnected.is_set() and not self.stopping.is_set():
                    time.sleep(0.001)
                if published(info):
                    self.acknowledged.add(number)
            client.paho.loop_stop()  # without a retransmission: an unacknowledged number is not sent again


def published(info):
    """Whether the PUBACK came. Paho raises if the connection was lost before it could write."""
    return info.rc == 0 and info.is_published()


def numbered(thing):
    """A Sender of {"thing": ..., "n": ...} on crash/data."""
    return Sender(thing, lambda number: ("crash/data", {"thing": thing.name, "n": number}))


def send_under_kills(server, senders, kills, pause_max=1.5):
    """kill -9 and start again, `kills` times, at moments of a printed seed, while the senders send. Then they stop."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    server.keep_ports()
    for sender in senders:
        sender.start()
    for _ in range(kills):
        time.sleep(moments.uniform(0.05, pause_max))
        server.kill()
        server.start()
    time.sleep(1)
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(20)


def acknowledged_of(senders):
    return {(s.thing.name, n) for s in senders for n in s.acknowledged}


def attempted_of(senders):
    return {(s.thing.name, n) for s in senders for n in s.attempted}
