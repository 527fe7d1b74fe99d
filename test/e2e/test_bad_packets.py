"""Bytes that are not MQTT, on a plain listener: each gets the specification's own answer and hurts nobody else."""
import socket

import pytest

import fleetward


@pytest.fixture(scope="module")
def plain():
    directory = fleetward.scratch_directory()
    server = fleetward.Server(directory, options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "open"]).start()
    server.mqtt_port = int(server.endpoints["mqtt"].rsplit(":", 1)[1])
    yield server
    status = server.stop()
    log = server.log()
    fleetward.remove(directory)
    assert status == 0, log


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def packet(first, *parts):
    body = b"".join(parts)
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def connect(version, client_id):
    return packet(0x10, text("MQTT"), bytes([version, 2, 0, 60]), b"\0" if version == 5 else b"", text(client_id))


class Wire:
    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.mqtt_port), timeout=10)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"closed after {data.hex()}"
            data += more
        return data

    def rest(self):
        """Everything until the server closes."""
        data = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            if not more:
                return data
            data += more

    def join(self, version, client_id):
        self.send(connect(version, client_id))
        first = self.read(2)
        assert first[0] == 0x20
        assert self.read(first[1])[1] == 0
        return self


# name, bytes after CONNECT, reason code of the DISCONNECT of version 5
FAULTS = [
    ("reserved packet type", b"\x00\x00", 0x81),
    ("remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
    ("PUBLISH with QoS 3", packet(0x36, text("a"), b"\0\1\0"), 0x81),
    ("PUBLISH with a wildcard", packet(0x30, text("a/#"), b"\0"), 0x90),
    ("PUBLISH with packet identifier 0", packet(0x32, text("a"), b"\0\0\0"), 0x82),
    ("topic that is not UTF-8", packet(0x30, b"\0\1\xff\0"), 0x81),
    ("SUBSCRIBE without a filter", packet(0x82, b"\0\1\0"), 0x82),
    ("SUBSCRIBE with wrong flags", packet(0x80, b"\0\1\0", text("a"), b"\0"), 0x81),
    ("a second CONNECT", connect(5, "again"), 0x82),
    ("a packet that only servers send", b"\x20\x02\x00\x00", 0x82),
    ("a packet above the maximum", b"\x30\xff\xff\xff\x7f", 0x95),
    ("topic alias above the maximum", packet(0x30, text("a"), b"\3\x23\xff\xff"), 0x94),
]


@pytest.mark.parametrize("fault,data,reason", FAULTS, ids=[f[0] for f in FAULTS])
def test_version_5_is_told_why(plain, fault, data, reason):
    bystander = Wire(plain).join(4, "bystander")
    answer = Wire(plain).join(5, "bad").send(data).rest()
    assert answer[0] == 0xE0 and answer[2] == reason, answer.hex()
    assert bystander.send(b"\xc0\x00").read(2) == b"\xd0\x00"


def test_version_311_is_just_closed(plain):
    for data in (b"\x00\x00", packet(0x36, text("a"), b"\0\1"), connect(4, "again"), packet(0x82, b"\0\1")):
        assert Wire(plain).join(4, "bad").send(data).rest() == b""


def test_bytes_before_connect(plain):
    assert Wire(plain).send(b"GET / HTTP/1.1\r\n\r\n").rest() == b""
    assert Wire(plain).send(packet(0x30, text("a"))).rest() == b""
    # An unknown protocol version is told so in its own form.
    assert Wire(plain).send(packet(0x10, text("MQIsdp"), b"\3\2\0\x3c", text("x"))).rest() == b"\x20\x02\x00\x01"


def test_a_packet_in_single_bytes(plain):
    wire = Wire(plain)
    for byte in connect(4, "slow") + packet(0x32, text("a/b"), b"\0\7hello") + b"\xc0\x00":
        wire.send(bytes([byte]))
    assert wire.read(4) == b"\x20\x02\x00\x00"
    assert sorted([wire.read(2), wire.read(2), wire.read(2)]) == sorted([b"\x40\x02", b"\x00\x07", b"\xd0\x00"])


def test_many_packets_in_one_write_are_acknowledged_in_order(plain):
    publishes = b"".join(packet(0x32, text("a/b"), n.to_bytes(2, "big"), b"x") for n in range(1, 501))
    wire = Wire(plain).join(4, "bulk").send(publishes)
    assert wire.read(4 * 500) == b"".join(b"\x40\x02" + n.to_bytes(2, "big") for n in range(1, 501))
