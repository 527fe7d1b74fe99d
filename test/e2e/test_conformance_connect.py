"""MQTT packet by packet against the running broker: CONNECT, CONNACK, wills, keep-alive, DISCONNECT, sessions."""
import time

import pytest

import wire
from wire import packet, properties, text

BOTH = pytest.mark.parametrize("version", [4, 5])


@BOTH
def test_connect_is_answered_once_and_first(dial, name, version):
    """[MQTT3-3.1.4-4] [MQTT5-3.1.4-5] [MQTT3-3.2.0-1] [MQTT5-3.2.0-1] [MQTT5-3.2.0-2] [MQTT5-3.2.2-1] [MQTT5-3.2.2-8]"""
    client = dial(version)
    client.send(client.connect_bytes(name), b"\xc0\x00")
    answer = client.next(wire.CONNACK)
    assert answer.code == 0 and answer.connack_flags == 0 and answer.flags == 0
    client.next(wire.PINGRESP)
    client.ping()


@BOTH
def test_first_packet_is_not_connect(dial, version):
    """[MQTT3-3.1.0-1] [MQTT5-3.1.0-1] [MQTT5-3.14.0-1]"""
    for first in (b"\xc0\x00", packet(0x30, text("a"), b"\0" if version == 5 else b""), b"\xe0\x00"):
        assert dial(version).send(first).rest() == []


@BOTH
def test_second_connect(dial, name, version):
    """[MQTT3-3.1.0-2] [MQTT5-3.1.0-2] [MQTT3-4.8.0-1] [MQTT5-4.13.1-1]"""
    client = dial(version).join(name)
    client.send(client.connect_bytes(name)).closes(0x82)


def test_unknown_protocol(dial, name):
    """[MQTT3-3.1.2-2] [MQTT5-3.1.2-2] [MQTT3-3.2.2-5] [MQTT5-3.2.2-7] [MQTT5-4.13.2-1]"""
    answer = dial(4).send(packet(0x10, text("MQTT"), b"\x03\x02\0\x3c", text(name))).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 1)]
    answer = dial(5).send(packet(0x10, text("MQTT"), b"\x06\x02\0\x3c\0", text(name))).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 0x84)]


@pytest.mark.parametrize("protocol", ["MQTS", "mqtt", "MQTTX", "HTTP"])
def test_wrong_protocol_name(dial, name, protocol):
    """[MQTT3-3.1.2-1] [MQTT5-3.1.2-1]"""
    for level in (4, 5):
        answer = dial(4).send(packet(0x10, text(protocol), bytes([level, 2, 0, 60]), b"\0" if level == 5 else b"",
                                     text(name)), b"\xc0\x00").rest()
        assert [a.type for a in answer] in ([], [wire.CONNACK]), answer
        assert all(a.codes != [0] for a in answer)


MALFORMED = [
    ("reserved flag", 3, lambda v: b""),
    ("will QoS 3", 0x1E, lambda v: (b"\0" if v == 5 else b"") + text("w") + text("")),
    ("will QoS without will", 0x0A, lambda v: b""),
    ("will retain without will", 0x22, lambda v: b""),
    ("will without topic", 0x06, lambda v: b""),
    ("user name missing", 0x82, lambda v: b""),
    ("password missing", 0xC2, lambda v: text("user")),
    ("unannounced field", 0x02, lambda v: text("user")),
    ("user name not UTF-8", 0x82, lambda v: b"\0\1\xff"),
    ("will topic not UTF-8", 0x06, lambda v: (b"\0" if v == 5 else b"") + b"\0\1\xff" + text("")),
]


@BOTH
@pytest.mark.parametrize("fault,flags,tail", MALFORMED, ids=[m[0] for m in MALFORMED])
def test_malformed_connect(dial, name, version, fault, flags, tail):
    """3.1.1 closes without a word, 5 may say why; what stands behind it is not processed.

    [MQTT3-3.1.2-3] [MQTT5-3.1.2-3] [MQTT3-3.1.4-1] [MQTT5-3.1.4-1] [MQTT3-3.1.4-5] [MQTT5-3.1.4-6] [MQTT3-3.2.2-6]
    [MQTT5-3.2.2-6] [MQTT3-3.1.2-11] [MQTT3-3.1.2-18] [MQTT5-3.1.2-16] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11]
    """
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    client = dial(version)
    answer = client.send(packet(0x10, text("MQTT"), bytes([version, flags, 0, 60]), b"\0" if version == 5 else b"",
                                text(name), tail(version)), client.publish_bytes(name, b"unseen")).rest()
    if version == 4:
        assert answer == []
    else:
        assert [(a.type, a.code, a.session_present) for a in answer] == [(wire.CONNACK, 0x81, False)]
    dial(5).join().publish(name, b"seen", 1)
    assert watcher.message().payload == b"seen"


@BOTH
def test_client_identifiers_of_letters_and_digits(dial, version):
    """[MQTT3-3.1.3-5] [MQTT5-3.1.3-5]"""
    for client_id in ("0", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"):
        dial(version).join(client_id).leave()


def test_empty_client_identifier_is_assigned_a_new_one(dial):
    """[MQTT5-3.1.3-6] [MQTT5-3.1.3-7] [MQTT5-3.2.2-16]"""
    assigned = [dial(5).connect("").properties["assigned_client_id"] for _ in range(3)]
    assert len(set(assigned)) == 3 and all(assigned)
    # The session is found under that name.
    first = dial(5)
    mine = first.connect("", session_expiry=60).properties["assigned_client_id"]
    first.leave()
    again = dial(5).connect(mine, clean=False)
    assert again.session_present and "assigned_client_id" not in again.properties


def test_empty_client_identifier_of_311(dial):
    """[MQTT3-3.1.3-6] [MQTT3-3.1.3-7] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.2.2-4]"""
    one, other = dial(4).join(""), dial(4).join("")
    one.ping(), other.ping()
    answer = dial(4).send(one.connect_bytes("", clean=False)).rest()
    assert [(a.type, a.code, a.session_present) for a in answer] == [(wire.CONNACK, 2, False)]


def test_refused_client_identifier_of_5(dial, plain):
    """[MQTT5-3.1.3-8] [MQTT5-3.2.2-7]"""
    client = dial(5)
    answer = client.send(client.connect_bytes("x" * 60_000)).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 0x85)]


@BOTH
def test_takeover_closes_the_older_connection(dial, name, version):
    """[MQTT3-3.1.4-2] [MQTT5-3.1.4-3] [MQTT3-3.1.3-2] [MQTT5-3.1.3-2]"""
    first = dial(version).join(name)
    second = dial(version).join(name)
    first.closes(0x8E)
    second.ping()


@BOTH
def test_sessions_are_kept_resumed_and_discarded(dial, name, version):
    """[MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-3.1.2-6] [MQTT3-3.1.4-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
    [MQTT5-3.1.2-4] [MQTT5-3.1.2-5] [MQTT5-3.1.2-6] [MQTT5-3.1.2-23] [MQTT5-3.1.4-4] [MQTT5-3.2.2-2] [MQTT5-3.2.2-3]
    [MQTT3-4.1.0-1] [MQTT5-4.1.0-1]"""
    kept = {"clean": False} if version == 4 else {"clean": False, "session_expiry": 600}
    client = dial(version)
    assert not client.connect(name, **kept).session_present
    client.subscribe((name, 1))
    client.leave()
    dial(5).join().publish(name, b"while away", 1)
    client = dial(version)
    assert client.connect(name, **kept).session_present
    assert client.message().payload == b"while away"
    client.leave()
    client = dial(version)
    assert not client.connect(name, clean=True).session_present
    dial(5).join().publish(name, b"nobody", 1)
    client.ping()
    client.leave()
    # Nothing of the clean session stays.
    client = dial(version)
    assert not client.connect(name, **kept).session_present
    client.ping()


def test_session_expiry(dial, name):
    """[MQTT5-3.1.2-23] [MQTT5-4.1.0-2]"""
    dial(5).join(name, session_expiry=1).leave()
    dial(5).join(f"{name}-0", session_expiry=0).leave()
    dial(5).join(f"{name}-60", session_expiry=60).leave()
    assert not dial(5).connect(f"{name}-0", clean=False).session_present
    time.sleep(1.5)
    assert not dial(5).connect(name, clean=False).session_present
    assert dial(5).connect(f"{name}-60", clean=False).session_present


@BOTH
def test_session_lasts_as_long_as_its_connection(dial, name, version):
    """[MQTT3-4.1.0-2] [MQTT5-4.1.0-1]"""
    client = dial(version).join(name, **({} if version == 4 else {"session_expiry": 0}))
    client.subscribe((name, 0))
    dial(5).join().publish(name, b"x", 1)
    assert client.message().payload == b"x"


def lost(dial, version, client_id, will, **options):
    """A client whose connection ends without DISCONNECT."""
    dial(version).join(client_id, will=will, **options).drop()


@BOTH
@pytest.mark.parametrize("retain", [False, True])
def test_will_is_published_when_the_connection_breaks(dial, name, version, retain):
    """[MQTT3-3.1.2-8] [MQTT5-3.1.2-7] [MQTT5-3.1.2-8] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17] [MQTT5-3.1.2-14]
    [MQTT5-3.1.2-15]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 1 | 8))  # retain as published
    lost(dial, version, name, (name, b"gone", 1, retain))
    got = watcher.message()
    assert (got.payload, got.qos, got.retain) == (b"gone", 1, retain)
    later = dial(5).join()
    later.subscribe((name, 1))
    if retain:
        assert later.message().retain
        later.publish(name, retain=True)
        later.message()
    later.ping()


@BOTH
def test_disconnect_discards_the_will(dial, name, version):
    """[MQTT3-3.14.4-3] [MQTT5-3.14.4-3] [MQTT3-3.1.2-10] [MQTT5-3.1.2-10] [MQTT3-3.1.2-12]"""
    watcher = dial(5).join()
    watcher.subscribe((f"{name}/#", 0))
    dial(version).join(name, will=(f"{name}/will", b"no", 0, False)).leave()
    dial(version).join(f"{name}-none").drop()
    lost(dial, version, f"{name}-2", (f"{name}/2", b"yes", 0, False))
    assert watcher.message().topic == f"{name}/2"
    # Once published it does not come again.
    dial(version).join(f"{name}-2").leave()
    dial(5).join().publish(f"{name}/end", b"", 1)
    assert watcher.message().topic == f"{name}/end"


def test_disconnect_with_will_publishes_it(dial, name):
    """[MQTT5-3.1.2-8]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    dial(5).join(name, will=(name, b"asked for", 0, False)).leave(0x04)
    assert watcher.message().payload == b"asked for"


@BOTH
def test_protocol_error_publishes_the_will(dial, name, version):
    """[MQTT3-3.1.2-8] [MQTT5-3.1.2-8]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    client = dial(version).join(name, will=(name, b"fault", 0, False))
    client.send(b"\x00\x00").rest()
    assert watcher.message().payload == b"fault"


def test_will_delay(dial, name):
    """[MQTT5-3.1.2-8] [MQTT5-3.1.3-9]"""
    watcher = dial(5).join()
    watcher.subscribe((f"{name}/#", 0))
    # A new connection within the delay: the will is not sent.
    lost(dial, 5, name, (f"{name}/back", b"", 0, False, {"will_delay": 2}), session_expiry=60)
    assert dial(5).connect(name, clean=False, session_expiry=60).session_present
    # The delay passes.
    start = time.monotonic()
    lost(dial, 5, f"{name}-2", (f"{name}/late", b"", 0, False, {"will_delay": 1}), session_expiry=60)
    # The session ends before the delay does.
    lost(dial, 5, f"{name}-3", (f"{name}/session", b"", 0, False, {"will_delay": 600}), session_expiry=0)
    assert watcher.message().topic == f"{name}/session"
    assert watcher.message().topic == f"{name}/late"
    assert time.monotonic() - start > 0.8
    lost(dial, 5, f"{name}-4", (f"{name}/clean", b"", 0, False, {"will_delay": 600}), session_expiry=60)
    dial(5).join(f"{name}-4", clean=True)  # ends that session
    assert watcher.message().topic == f"{name}/clean"


def test_properties_of_the_will_are_those_of_its_message(dial, name):
    """[MQTT5-3.1.3-10]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    sent = {"payload_format": 1, "message_expiry": 100, "content_type": "c", "response_topic": "r",
            "correlation_data": b"\0\1", "user": [("b", "1"), ("a", "2"), ("b", "0")]}
    lost(dial, 5, name, (name, b"x", 0, False, sent))
    got = watcher.message().properties
    assert got.pop("message_expiry") <= sent.pop("message_expiry")
    assert got == sent


@BOTH
def test_silence_of_one_and_a_half_keep_alives(dial, name, version):
    """[MQTT3-3.1.2-24] [MQTT5-3.1.2-22] [MQTT5-3.2.2-22]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    client = dial(version)
    answer = client.connect(name, keep_alive=1, will=(name, b"silent", 0, False))
    start = time.monotonic()
    keep_alive = answer.properties.get("server_keep_alive", 1)
    client.closes(0x8D)
    assert 1.4 * keep_alive < time.monotonic() - start < 1.5 * keep_alive + 3
    assert watcher.message().payload == b"silent"


@BOTH
def test_packets_keep_the_connection_alive(dial, name, version):
    """[MQTT3-3.1.2-24] [MQTT3-3.12.4-1] [MQTT5-3.12.4-1]"""
    client = dial(version).join(name, keep_alive=1)
    for _ in range(5):
        time.sleep(0.6)
        client.ping()


@BOTH
def test_what_follows_disconnect_is_ignored(dial, name, version):
    """[MQTT3-3.14.4-1] [MQTT3-3.14.4-2] [MQTT5-3.14.4-1] [MQTT5-3.14.4-2]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    client = dial(version).join()
    client.send(packet(0xE0), client.publish_bytes(name, b"too late"))
    assert client.rest() == []
    dial(5).join().publish(name, b"end", 1)
    assert watcher.message().payload == b"end"


@BOTH
def test_reserved_bits_of_disconnect(dial, name, version):
    """[MQTT3-3.14.1-1] [MQTT5-3.14.1-1]"""
    watcher = dial(5).join()
    watcher.subscribe((name, 0))
    client = dial(version).join(will=(name, b"malformed", 0, False))
    client.send(b"\xe1\x00").closes(0x81)
    assert watcher.message().payload == b"malformed"


def test_session_expiry_of_disconnect(dial, name):
    """A session that CONNECT gave no life cannot get one; the server's DISCONNECT names none. [MQTT5-3.14.2-2]"""
    client = dial(5).join(name, session_expiry=0)
    packets = client.send(packet(0xE0, b"\0", properties(session_expiry=5))).rest()
    assert [(p.type, p.code) for p in packets] == [(wire.DISCONNECT, 0x82)]
    assert "session_expiry" not in packets[0].properties
    client = dial(5).join(name, session_expiry=5)
    client.send(packet(0xE0, b"\0", properties(session_expiry=0)))
    assert client.rest() == []
    assert not dial(5).connect(name, clean=False).session_present


def test_disconnect_codes_of_the_client(dial, name):
    """[MQTT5-3.14.2-1]"""
    dial(5).join(name).send(b"\xe0\x01\x8e").rest()  # one of the server's alone
    client = dial(5).join(name)
    client.send(b"\xe0\x01\x01").closes(0x82)


def test_authentication_that_is_not_offered(dial, name):
    """[MQTT5-4.12.0-1] [MQTT5-4.12.0-4] [MQTT5-4.12.0-3] [MQTT5-3.1.2-30] [MQTT5-3.1.4-2]"""
    client = dial(5)
    answer = client.send(client.connect_bytes(name, auth_method="SCRAM-SHA-1", auth_data=b"n,,n=user"),
                         packet(0xF0, b"\x18", properties(auth_method="SCRAM-SHA-1"))).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 0x8C)]


def test_authentication_out_of_nowhere(dial, name):
    """[MQTT5-4.12.0-6] [MQTT5-4.12.0-7] [MQTT5-4.12.1-1] [MQTT5-4.12.1-2]"""
    client = dial(5)
    answer = client.connect(name)
    assert answer.code == 0 and "auth_method" not in answer.properties
    client.send(packet(0xF0, b"\x19", properties(auth_method="SCRAM-SHA-1"))).closes(0x82)


def test_response_information_is_not_sent_unasked(dial, name):
    """[MQTT5-3.1.2-28]"""
    assert "response_info" not in dial(5).connect(name).properties
    assert "response_info" not in dial(5).connect(name, request_response_info=0).properties


def test_no_reasons_where_they_are_not_wanted(dial, name):
    """[MQTT5-3.1.2-29]"""
    client = dial(5).join(name, request_problem_info=0)
    client.send(client.subscribe_bytes(("a/#/b", 0), id=1))
    answer = client.next(wire.SUBACK)
    assert answer.code >= 0x80 and answer.properties == {}
    assert client.send(packet(0xA2, b"\0\2\0", text("never"))).next(wire.UNSUBACK).properties == {}


@pytest.mark.parametrize("size", [10, 20, 40])
def test_maximum_packet_size_of_the_client(dial, name, size):
    """[MQTT5-3.1.2-24] [MQTT5-3.2.2-19] [MQTT5-3.2.2-20] [MQTT5-3.14.2-3] [MQTT5-3.14.2-4]"""
    client = dial(5)
    for got in client.send(client.connect_bytes(name, maximum_packet_size=size), b"\x00\x00").rest():
        assert len(got.body) + 2 <= size, got


def test_messages_above_the_clients_maximum_are_dropped(dial, name):
    """[MQTT5-3.1.2-24] [MQTT5-3.1.2-25]"""
    client = dial(5).join(name, maximum_packet_size=200)
    client.subscribe((name, 1))
    sender = dial(5).join()
    sender.publish(name, b"x" * 300, 1)
    sender.publish(name, b"fits", 1)
    assert client.message().payload == b"fits"
    client.ping()


@BOTH
def test_nothing_but_the_specification_is_needed(dial, name, version):
    """[MQTT3-7.0.0-2] [MQTT3-7.1.1-1] [MQTT5-4.2-1]"""
    client = dial(version).join(name)
    assert client.subscribe((name, 0)) == [0]
    client.publish(name, b"x")
    assert client.message().payload == b"x"
    client.leave()
