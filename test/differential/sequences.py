"""Random sequences of legal and illegal packets, made from a seed.

A sequence is a list of steps (label, connection, action): the label names the kind, which differences.txt goes by; an
action is ("dial", version), ("send", bytes), ("acknowledge", whether) or ("drop",). Three connections take part, under
client ids and topics of the sequence's own.
"""
import random

import wire
from wire import data, packet, properties, text

CONNECTIONS = 3
SUBSCRIPTION_IDS = False  # whether they are asked for
BAD_TEXT = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"a\0b", b"\xf4\x90\x80\x80"]


class Sequence:
    def __init__(self, seed, length=25):
        self.random = random.Random(seed)
        self.prefix = f"d{seed}"
        self.versions = [None] * CONNECTIONS  # of the connections that stand
        self.acknowledging = [True] * CONNECTIONS
        self.wills = [False] * CONNECTIONS
        self.steps = []
        self.ids = self.messages = 0
        for connection in range(CONNECTIONS):
            self.connect(connection)
        self.over = False
        while len(self.steps) < length and not self.over:
            self.step()

    # Parts of packets.

    def new_id(self):
        self.ids = self.ids % 1000 + 1
        return self.ids

    def payload(self, kind):
        """Unlike any other of the sequence, so that copies of a message can be told from another message."""
        self.messages += 1
        return b"%s%d" % (kind, self.messages)

    def topic(self):
        return f"{self.prefix}/" + self.random.choice(["a", "b", "a/b", "a/b/c", "", "a/", "/a", "ü"])

    def filter(self):
        tail = self.random.choice(["a", "b", "a/b", "+", "#", "a/#", "+/b", "a/+", "+/+", "", "/", "+/#", "a/+/c", "ü"])
        return f"{self.prefix}/{tail}"

    def message_properties(self):
        pick = self.random.random
        values = {}
        if pick() < 0.2:
            values["payload_format"] = self.random.randint(0, 1)
        if pick() < 0.2:
            values["message_expiry"] = 10_000
        if pick() < 0.2:
            values["content_type"] = "text/x"
        if pick() < 0.2:
            values["response_topic"] = f"{self.prefix}/answer"
        if pick() < 0.2:
            values["correlation_data"] = b"\1\0\2"
        if pick() < 0.3:
            values["user"] = [("k", "1"), ("j", "2"), ("k", "0")][:self.random.randint(1, 3)]
        return values

    def properties_of(self, version, **values):
        return properties(**values) if version == 5 else b""

    def add(self, label, connection, *action):
        self.steps.append((label, connection, action))

    def send(self, label, connection, *parts):
        self.add(label, connection, "send", b"".join(parts))

    # Steps.

    def step(self):
        connection = self.random.randrange(CONNECTIONS)
        if self.versions[connection] is None:
            return self.connect(connection)
        kinds = {self.publish: 30, self.subscribe: 18, self.unsubscribe: 6, self.ping: 2, self.acknowledge: 4,
                 self.leave: 5, self.drop: 5, self.stray: 3, self.illegal: 7}
        self.random.choices(list(kinds), list(kinds.values()))[0](connection, self.versions[connection])

    def connect(self, connection):
        version = self.random.choice([4, 5])
        if self.random.random() < 0.08:
            return self.illegal_connect(connection, version)
        # Now and then the id of another connection: a takeover. Not of one with a will: Fleetward publishes it, as the
        # connection ends without DISCONNECT; mosquitto 2.0.11 keeps it back where the session goes on.
        owner = connection if self.random.random() < 0.9 else self.random.randrange(CONNECTIONS)
        if owner != connection and self.wills[owner]:
            owner = connection
        clean = self.random.random() < 0.4
        options = {}
        if version == 5:
            options["session_expiry"] = self.random.choice([0, 1000, 1000, 1000])
            if self.random.random() < 0.3:
                options["receive_maximum"] = self.random.choice([1, 2, 5])
            if self.random.random() < 0.2:
                options["request_problem_info"] = 0
        self.wills[connection] = owner == connection and self.random.random() < 0.3
        if self.wills[connection]:
            will = (self.topic(), self.payload(b"will"), self.random.randrange(3), self.random.random() < 0.2)
            options["will"] = (*will, self.message_properties()) if version == 5 else will
        maker = object.__new__(wire.Wire)
        maker.version = version
        self.acknowledging[connection] = True
        self.add("dial", connection, "dial", version)
        self.send("connect", connection, maker.connect_bytes(f"{self.prefix}c{owner}", clean, **options))
        if owner != connection:
            self.versions[owner] = None
        self.versions[connection] = version

    def publish(self, connection, version):
        qos = self.random.choice([0, 0, 1, 1, 2])
        if not self.acknowledging[connection]:
            qos = min(qos, 1)  # without PUBREL a broker may deliver or wait
        retain = self.random.random() < 0.2
        payload = b"" if self.random.random() < 0.1 else self.payload(self.random.choice([b"m", b"\0\xff"]))
        values = self.message_properties() if version == 5 else {}
        id = self.new_id().to_bytes(2, "big") if qos else b""
        self.send(f"publish qos {qos}", connection,
                  packet(0x30 | qos << 1 | retain, text(self.topic()), id, self.properties_of(version, **values), payload))

    def subscribe(self, connection, version):
        filters = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            name, options = self.filter(), self.random.randrange(3)
            if version == 5:
                # No local and retain as published go by the filter: mosquitto 2.0.11 keeps the first ones when a
                # subscription is replaced.
                options |= 4 * (len(name) % 3 == 0) | 8 * (len(name) % 2 == 0) | self.random.choice([0, 0, 0x10, 0x20])
            filters.append(text(name) + bytes([options]))
        values = {}
        if SUBSCRIPTION_IDS and version == 5 and self.random.random() < 0.3:
            values = {"subscription_id": self.random.choice([1, 7, 300])}
        self.send("subscribe", connection, packet(0x82, self.new_id().to_bytes(2, "big"),
                                                  self.properties_of(version, **values), *filters))

    def unsubscribe(self, connection, version):
        filters = [text(self.filter()) for _ in range(self.random.choice([1, 1, 3]))]
        self.send("unsubscribe", connection, packet(0xA2, self.new_id().to_bytes(2, "big"), self.properties_of(version),
                                                    *filters))

    def ping(self, connection, version):
        self.send("ping", connection, b"\xc0\0")

    def acknowledge(self, connection, version):
        self.acknowledging[connection] = self.random.random() < 0.6
        self.add("acknowledge", connection, "acknowledge", self.acknowledging[connection])

    def leave(self, connection, version):
        reason = self.random.choice([b"", b"", b"\0", b"\4"]) if version == 5 else b""
        self.send("disconnect", connection, packet(0xE0, reason))
        self.versions[connection] = None

    def drop(self, connection, version):
        self.add("drop", connection, "drop")
        self.versions[connection] = None

    def stray(self, connection, version):
        """An acknowledgement of nothing."""
        kind = self.random.choice([wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP])
        first = kind << 4 | (2 if kind == wire.PUBREL else 0)
        names = {wire.PUBACK: "PUBACK", wire.PUBREC: "PUBREC", wire.PUBREL: "PUBREL", wire.PUBCOMP: "PUBCOMP"}
        self.send(f"stray {names[kind]}", connection, packet(first, (40_000 + self.new_id()).to_bytes(2, "big")))
        self.versions[connection] = None  # it may be closed: the next step is a new connection

    def illegal(self, connection, version):
        label, parts = self.random.choice(self.faults(version))
        self.send(f"illegal: {label}", connection, *parts)
        self.versions[connection] = None
        self.over = label == "second CONNECT"  # mosquitto 2.0.11 loses the session of the one that sends it

    def faults(self, version):
        none = self.properties_of(version)
        topic, id = text(self.topic()), self.new_id().to_bytes(2, "big")
        bad = data(self.random.choice(BAD_TEXT))
        faults = [
            ("packet type 0", [packet(0x00)]),
            ("AUTH", [packet(0xF0, b"\x18\0" if version == 5 else b"")]),
            ("CONNACK of a client", [packet(0x20, b"\0\0", none)]),
            ("SUBACK of a client", [packet(0x90, id, none, b"\0")]),
            ("UNSUBACK of a client", [packet(0xB0, id, none, b"\0" if version == 5 else b"")]),
            ("PINGRESP of a client", [packet(0xD0)]),
            ("second CONNECT", [packet(0x10, text("MQTT"), bytes([version, 2, 0, 60]), none, text(self.prefix))]),
            ("QoS 3", [packet(0x36, topic, id, none)]),
            ("DUP at QoS 0", [packet(0x38, topic, none)]),
            ("wildcard in a topic", [packet(0x30, text(self.prefix + self.random.choice(["/#", "/+", "/a/+/b"])), none)]),
            ("topic not UTF-8", [packet(0x30, bad, none)]),
            ("empty topic", [packet(0x30, text(""), none, b"x")]),
            ("PUBLISH id 0", [packet(0x32, topic, b"\0\0", none)]),
            ("PUBLISH cut short", [packet(0x30, b"\0\x10abc")]),
            ("PUBLISH without id", [packet(0x32, topic)]),
            ("SUBSCRIBE flags", [packet(0x80, id, none, topic, b"\0")]),
            ("SUBSCRIBE id 0", [packet(0x82, b"\0\0", none, topic, b"\0")]),
            ("SUBSCRIBE without filter", [packet(0x82, id, none)]),
            ("SUBSCRIBE empty filter", [packet(0x82, id, none, text(""), b"\0")]),
            ("SUBSCRIBE without options", [packet(0x82, id, none, topic)]),
            ("SUBSCRIBE QoS 3", [packet(0x82, id, none, topic, b"\3")]),
            ("SUBSCRIBE reserved bits", [packet(0x82, id, none, topic, b"\x80")]),
            ("SUBSCRIBE not UTF-8", [packet(0x82, id, none, bad, b"\0")]),
            ("SUBSCRIBE misplaced wildcard", [packet(0x82, id, none, text(self.prefix + self.random.choice(
                ["/a#", "/#/b", "/a+", "/+a/b"])), b"\0")]),
            ("UNSUBSCRIBE flags", [packet(0xA0, id, none, topic)]),
            ("UNSUBSCRIBE id 0", [packet(0xA2, b"\0\0", none, topic)]),
            ("UNSUBSCRIBE without filter", [packet(0xA2, id, none)]),
            ("UNSUBSCRIBE not UTF-8", [packet(0xA2, id, none, bad)]),
            ("UNSUBSCRIBE misplaced wildcard", [packet(0xA2, id, none, text(self.prefix + "/a#"))]),
            ("PUBREL flags", [packet(0x60, id)]),
            ("PUBACK flags", [packet(0x41, id)]),
            ("PUBACK id 0", [packet(0x40, b"\0\0")]),
            ("PUBACK cut short", [packet(0x40, b"\0")]),
            ("PINGREQ flags", [packet(0xC1)]),
            ("PINGREQ with a body", [packet(0xC0, b"\0")]),
            ("DISCONNECT flags", [packet(0xE1)]),
        ]
        if version == 5:
            faults += [
                ("topic alias 0", [packet(0x30, topic, properties(topic_alias=0))]),
                ("topic alias above the maximum", [packet(0x30, topic, properties(topic_alias=65535))]),
                ("unknown topic alias", [packet(0x30, text(""), properties(topic_alias=1))]),
                ("subscription id in PUBLISH", [packet(0x30, topic, properties(subscription_id=1))]),
                ("subscription id 0", [packet(0x82, id, b"\2\x0b\0", topic, b"\0")]),
                ("subscription id twice", [packet(0x82, id, properties(subscription_id=[1, 2]), topic, b"\0")]),
                ("payload format 2", [packet(0x30, topic, b"\2\1\2")]),
                ("response topic with a wildcard", [packet(0x30, topic, properties(response_topic="a/#"))]),
                ("content type not UTF-8", [packet(0x30, topic, properties(content_type=self.random.choice(BAD_TEXT)))]),
                ("property twice", [packet(0x30, topic, b"\4\1\0\1\0")]),
                ("property of another packet", [packet(0x30, topic, properties(session_expiry=1))]),
                ("unknown property", [packet(0x30, topic, b"\2\x7f\0")]),
                ("property length beyond the packet", [packet(0x30, topic, b"\x40")]),
                ("retain handling 3", [packet(0x82, id, none, topic, b"\x30")]),
                ("no local on a shared subscription", [packet(0x82, id, none, text(f"$share/g/{self.prefix}"), b"\4")]),
                ("share without a name", [packet(0x82, id, none, text(f"$share//{self.prefix}"), b"\0")]),
                ("share without a filter", [packet(0x82, id, none, text("$share/g"), b"\0")]),
                ("share name with a wildcard", [packet(0x82, id, none, text(f"$share/g+/{self.prefix}"), b"\0")]),
                ("PUBACK reason", [packet(0x40, id, b"\x7f")]),
                ("DISCONNECT reason", [packet(0xE0, b"\x7f")]),
                ("DISCONNECT raises session expiry", [packet(0xE0, b"\0", properties(session_expiry=50))]),
            ]
        else:
            faults += [("PUBACK with a body", [packet(0x40, id, b"\0")]), ("DISCONNECT with a body", [packet(0xE0, b"\0")])]
        return faults

    def illegal_connect(self, connection, version):
        none, id = self.properties_of(version), text(f"{self.prefix}x")

        def head(flags, level=version, name="MQTT", props=none):
            return text(name) + bytes([level, flags, 0, 60]) + props

        bad = data(self.random.choice(BAD_TEXT))
        faults = [
            ("not CONNECT", [packet(0x30, text(self.topic()), none)]),
            ("protocol name", [packet(0x10, head(2, name="MQTS"), id)]),
            ("protocol level 6", [packet(0x10, head(2, level=6), id)]),
            ("protocol level 2", [packet(0x10, head(2, level=2), id)]),
            ("header flags", [packet(0x11, head(2), id)]),
            ("reserved flag", [packet(0x10, head(3), id)]),
            ("will QoS 3", [packet(0x10, head(0x1E), id, none, text("w"), text(""))]),
            ("will QoS without will", [packet(0x10, head(0x0A), id)]),
            ("will retain without will", [packet(0x10, head(0x22), id)]),
            ("will missing", [packet(0x10, head(0x06), id)]),
            ("will topic with a wildcard", [packet(0x10, head(0x06), id, none, text("w/#"), text(""))]),
            ("empty will topic", [packet(0x10, head(0x06), id, none, text(""), text(""))]),
            ("will topic not UTF-8", [packet(0x10, head(0x06), id, none, bad, text(""))]),
            ("user name missing", [packet(0x10, head(0x82), id)]),
            ("user name not UTF-8", [packet(0x10, head(0x82), id, bad)]),
            ("bytes behind the payload", [packet(0x10, head(2), id, b"\0")]),
            ("client id not UTF-8", [packet(0x10, head(2), bad)]),
            ("client id missing", [packet(0x10, head(2))]),
            ("empty", [packet(0x10)]),
        ]
        if version == 4:
            faults += [("empty client id to be kept", [packet(0x10, head(0), text(""))]),
                       ("password without user name", [packet(0x10, head(0x42), id, text("p"))])]
        else:
            faults += [
                ("receive maximum 0", [packet(0x10, head(2, props=properties(receive_maximum=0)), id)]),
                ("maximum packet size 0", [packet(0x10, head(2, props=properties(maximum_packet_size=0)), id)]),
                ("request problem info 2", [packet(0x10, head(2, props=properties(request_problem_info=2)), id)]),
                ("property twice", [packet(0x10, head(2, props=b"\6\x21\0\1\x21\0\1"), id)]),
                ("property of another packet", [packet(0x10, head(2, props=properties(topic_alias=1)), id)]),
                ("unknown property", [packet(0x10, head(2, props=b"\2\x7f\0"), id)]),
                ("authentication method", [packet(0x10, head(2, props=properties(auth_method="M")), id)]),
                ("authentication data alone", [packet(0x10, head(2, props=properties(auth_data=b"M")), id)]),
            ]
        label, parts = self.random.choice(faults)
        self.add("dial", connection, "dial", version)
        self.send(f"illegal CONNECT: {label}", connection, *parts)
        self.versions[connection] = None
