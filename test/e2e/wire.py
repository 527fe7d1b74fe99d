"""MQTT by hand, for tests that say which bytes go out and look at every byte that comes back.

A test that waits for something not to arrive sends a ping or a message behind it and looks at what comes first.
"""
import socket
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

# The properties of version 5: number, name, form.
PROPERTIES = {
    0x01: ("payload_format", "byte"), 0x02: ("message_expiry", "four"), 0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"), 0x09: ("correlation_data", "data"), 0x0B: ("subscription_id", "variable"),
    0x11: ("session_expiry", "four"), 0x12: ("assigned_client_id", "text"), 0x13: ("server_keep_alive", "two"),
    0x15: ("auth_method", "text"), 0x16: ("auth_data", "data"), 0x17: ("request_problem_info", "byte"),
    0x18: ("will_delay", "four"), 0x19: ("request_response_info", "byte"), 0x1A: ("response_info", "text"),
    0x1C: ("server_reference", "text"), 0x1F: ("reason_string", "text"), 0x21: ("receive_maximum", "two"),
    0x22: ("topic_alias_maximum", "two"), 0x23: ("topic_alias", "two"), 0x24: ("maximum_qos", "byte"),
    0x25: ("retain_available", "byte"), 0x26: ("user", "pair"), 0x27: ("maximum_packet_size", "four"),
    0x28: ("wildcard_available", "byte"), 0x29: ("subscription_id_available", "byte"),
    0x2A: ("shared_available", "byte"),
}
NUMBERS = {name: (number, form) for number, (name, form) in PROPERTIES.items()}
SIZES = {"byte": 1, "two": 2, "four": 4}


class Closed(Exception):
    """The server closed the connection."""


def data(value):
    return struct.pack(">H", len(value)) + value


def text(value):
    return data(value.encode())


def variable(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 | 128])
        value //= 128
    return out + bytes([value])


def packet(first, *parts):
    body = b"".join(parts)
    return bytes([first]) + variable(len(body)) + body


def properties(**values):
    """The length and the properties by name; `user` is a list of pairs, `subscription_id` a number or a list."""
    out = b""
    for name, value in values.items():
        number, form = NUMBERS[name]
        for each in value if isinstance(value, list) else [value]:
            out += bytes([number])
            if form == "pair":
                out += text(each[0]) + text(each[1])
            elif form == "variable":
                out += variable(each)
            elif form in SIZES:
                out += each.to_bytes(SIZES[form], "big")
            else:
                out += data(each) if isinstance(each, bytes) else text(each)
    return variable(len(out)) + out


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, count):
        assert self.at + count <= len(self.body), f"cut short: {self.body.hex()}"
        self.at += count
        return self.body[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def data(self):
        return self.take(self.number(2))

    def variable(self):
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def rest(self):
        return self.take(len(self.body) - self.at)

    def properties(self):
        values, end = {}, self.variable()
        end += self.at
        while self.at < end:
            name, form = PROPERTIES[self.number(1)]
            if form == "pair":
                values.setdefault(name, []).append((self.data().decode(), self.data().decode()))
            elif form == "variable":
                values.setdefault(name, []).append(self.variable())
            elif form in SIZES:
                values[name] = self.number(SIZES[form])
            else:
                values[name] = self.data() if form == "data" else self.data().decode()
        assert self.at == end
        return values


class Packet:
    """What the server sent: type, flags, id, codes, properties, and topic, payload, qos, dup, retain of a PUBLISH."""

    def __init__(self, first, body, version):
        self.type, self.flags, self.body = first >> 4, first & 15, body
        self.id, self.codes, self.properties = None, [], {}
        reader = Reader(body)
        five = version == 5
        if self.type == CONNACK:
            self.connack_flags, self.codes = reader.number(1), [reader.number(1)]
            self.session_present = bool(self.connack_flags & 1)
            if five:
                self.properties = reader.properties()
        elif self.type == PUBLISH:
            self.qos, self.dup, self.retain = self.flags >> 1 & 3, bool(self.flags & 8), bool(self.flags & 1)
            self.topic = reader.data().decode()
            self.id = reader.number(2) if self.qos else None
            self.properties = reader.properties() if five else {}
            self.payload = reader.rest()
        elif self.type in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.id = reader.number(2)
            self.codes = [reader.number(1) if len(body) > 2 else 0]
            self.properties = reader.properties() if len(body) > 3 else {}
        elif self.type in (SUBACK, UNSUBACK):
            self.id = reader.number(2)
            self.properties = reader.properties() if five else {}
            self.codes = list(reader.rest())
        elif self.type == DISCONNECT:
            self.codes = [reader.number(1) if body else 0]
            self.properties = reader.properties() if len(body) > 1 else {}
        elif self.type == AUTH:
            self.codes = [reader.number(1) if body else 0]
            self.properties = reader.properties() if len(body) > 1 else {}
        assert not reader.rest(), f"bytes behind the packet: {body.hex()}"

    @property
    def code(self):
        assert len(self.codes) == 1, self
        return self.codes[0]

    def __repr__(self):
        return f"<type {self.type} flags {self.flags:x} {self.body.hex()}>"


class Wire:
    def __init__(self, port, version=5, timeout=15):
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""
        self.ids = 0

    @classmethod
    def of(cls, connected, version=5):
        """On a socket that is connected already."""
        wire = cls.__new__(cls)
        wire.version, wire.socket, wire.buffer, wire.ids = version, connected, b"", 0
        return wire

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))
        return self

    def read(self, count):
        while len(self.buffer) < count:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(self.buffer.hex())
            self.buffer += more
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def next(self, kind=None):
        """The next packet, which has to be of this type; raises Closed where there is none."""
        first, length, shift = self.read(1)[0], 0, 0
        while True:
            byte = self.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        got = Packet(first, self.read(length), self.version)
        assert kind is None or got.type == kind, got
        return got

    def rest(self):
        """What is still sent until the server closes."""
        packets = []
        while True:
            try:
                packets.append(self.next())
            except Closed as end:
                assert not str(end), f"closed inside a packet: {end}"
                return packets

    def closes(self, code=None):
        """The server closes; version 5 is told `code` before, unless it is None."""
        packets = self.rest()
        if self.version == 5 and code is not None:
            assert [(p.type, p.code) for p in packets] == [(DISCONNECT, code)], packets
        else:
            assert packets == [] or (self.version == 5 and [p.type for p in packets] == [DISCONNECT]), packets

    def new_id(self):
        self.ids = self.ids % 65535 + 1
        return self.ids

    def connect_bytes(self, client_id="", clean=True, keep_alive=60, will=None, user=None, password=None, **props):
        """`will`: topic, payload, qos, retain, and in version 5 a dict of properties."""
        flags = 2 * clean | 128 * (user is not None) | 64 * (password is not None)
        tail = b""
        if will:
            topic, payload, qos, retain, *more = will
            flags |= 4 | qos << 3 | 32 * retain
            tail += properties(**(more[0] if more else {})) if self.version == 5 else b""
            tail += text(topic) + data(payload)
        tail += (text(user) if user is not None else b"") + (data(password) if password is not None else b"")
        return packet(0x10, text("MQTT"), bytes([self.version, flags]), keep_alive.to_bytes(2, "big"),
                      properties(**props) if self.version == 5 else b"", text(client_id), tail)

    def connect(self, client_id="", **options):
        """The CONNACK."""
        return self.send(self.connect_bytes(client_id, **options)).next(CONNACK)

    def join(self, client_id="", **options):
        answer = self.connect(client_id, **options)
        assert answer.code == 0, answer
        return self

    def publish_bytes(self, topic, payload=b"", qos=0, id=None, retain=False, dup=False, **props):
        return packet(0x30 | qos << 1 | retain | 8 * dup, text(topic), id.to_bytes(2, "big") if qos else b"",
                      properties(**props) if self.version == 5 else b"", payload)

    def publish(self, topic, payload=b"", qos=0, **options):
        """Sends it, and at QoS 1 and 2 sees it through; the first acknowledgement."""
        if qos == 0:
            self.send(self.publish_bytes(topic, payload, **options))
            return None
        id = options.pop("id", None) or self.new_id()
        self.send(self.publish_bytes(topic, payload, qos, id, **options))
        ack = self.next(PUBACK if qos == 1 else PUBREC)
        assert ack.id == id, ack
        if qos == 2 and ack.code < 128:
            self.send(packet(0x62, id.to_bytes(2, "big")))
            assert self.next(PUBCOMP).id == id
        return ack

    def ack(self, got, code=None, kind=PUBACK):
        flags = 2 if kind == PUBREL else 0
        return self.send(packet(kind << 4 | flags, got.id.to_bytes(2, "big"), b"" if code is None else bytes([code])))

    def subscribe_bytes(self, *filters, id, **props):
        """Each filter is (text, options)."""
        return packet(0x82, id.to_bytes(2, "big"), properties(**props) if self.version == 5 else b"",
                      *(text(f) + bytes([o]) for f, o in filters))

    def subscribe(self, *filters, **props):
        """The codes of the SUBACK, which has to be the next packet."""
        id = self.new_id()
        answer = self.send(self.subscribe_bytes(*filters, id=id, **props)).next(SUBACK)
        assert answer.id == id and len(answer.codes) == len(filters), answer
        return answer.codes

    def unsubscribe(self, *filters):
        id = self.new_id()
        answer = self.send(packet(0xA2, id.to_bytes(2, "big"), b"\0" if self.version == 5 else b"",
                                  *(text(f) for f in filters))).next(UNSUBACK)
        assert answer.id == id, answer
        return answer.codes

    def message(self):
        """The next packet, a PUBLISH; acknowledged at QoS 1."""
        got = self.next(PUBLISH)
        if got.qos == 1:
            self.ack(got)
        return got

    def messages(self, count):
        return [self.message() for _ in range(count)]

    def ping(self):
        """Whatever the server had to say before is an error."""
        return self.send(b"\xc0\x00").next(PINGRESP)

    def leave(self, code=None):
        """DISCONNECT; the server closes."""
        self.send(packet(0xE0, b"" if code is None else bytes([code])))
        assert self.rest() == []

    def drop(self):
        """Ends without DISCONNECT."""
        self.socket.close()
