"""Bytes that are not MQTT, on a plain listener: each gets the specification's own answer and hurts nobody else."""
import pytest

import wire
from wire import packet, text


def connect(version, client_id):
    return packet(0x10, text("MQTT"), bytes([version, 2, 0, 60]), b"\0" if version == 5 else b"", text(client_id))


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
def test_version_5_is_told_why(dial, fault, data, reason):
    """[MQTT5-4.13.1-1] [MQTT5-4.13.2-1] [MQTT5-3.14.2-1] [MQTT5-1.5.5-1] [MQTT5-3.2.2-15] [MQTT5-3.14.4-1]"""
    bystander = dial(4).join()
    dial(5).join().send(data).closes(reason)
    bystander.ping()


def test_version_311_is_just_closed(dial):
    """[MQTT3-4.8.0-1] [MQTT3-2.2.2-2]"""
    for data in (b"\x00\x00", packet(0x36, text("a"), b"\0\1"), connect(4, "again"), packet(0x82, b"\0\1")):
        assert dial(4).join().send(data).rest() == []


def test_bytes_before_connect(dial):
    """[MQTT3-3.1.0-1] [MQTT3-3.1.2-2]"""
    assert dial(4).send(b"GET / HTTP/1.1\r\n\r\n").rest() == []
    assert dial(4).send(packet(0x30, text("a"))).rest() == []
    # An unknown protocol version is told so in its own form.
    answer = dial(4).send(packet(0x10, text("MQIsdp"), b"\3\2\0\x3c", text("x"))).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 1)]


def test_a_packet_in_single_bytes(dial):
    client = dial(4)
    for byte in connect(4, "slow") + packet(0x32, text("a/b"), b"\0\7hello") + b"\xc0\x00":
        client.send(bytes([byte]))
    assert client.next(wire.CONNACK).code == 0
    assert sorted([client.next().type, client.next().type]) == [wire.PUBACK, wire.PINGRESP]


def test_many_packets_in_one_write_are_acknowledged_in_order(dial):
    """[MQTT3-4.6.0-2]"""
    client = dial(4).join()
    client.send(*(client.publish_bytes("a/b", b"x", 1, n) for n in range(1, 501)))
    assert [client.next(wire.PUBACK).id for _ in range(500)] == list(range(1, 501))
