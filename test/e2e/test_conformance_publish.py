"""MQTT packet by packet against the running broker: PUBLISH and its acknowledgements, retained messages, order, flow."""
import json
import time

import fleetward
import pytest

import wire
from wire import Wire, packet, properties, text

BOTH = pytest.mark.parametrize("version", [4, 5])
MATRIX = pytest.mark.parametrize("sender,receiver", [(4, 4), (4, 5), (5, 4), (5, 5)])
KEPT = {4: {"clean": False}, 5: {"clean": False, "session_expiry": 600}}


@BOTH
def test_answers_by_qos(dial, name, version):
    """[MQTT3-3.3.4-1] [MQTT5-3.3.4-1] [MQTT3-2.3.1-6] [MQTT5-2.2.1-5] [MQTT3-4.3.2-2] [MQTT5-4.3.2-4] [MQTT5-3.4.2-1]"""
    client = dial(version).join(name)
    client.publish(name, b"x")
    client.ping()
    for id in (1, 7, 65535):
        ack = client.publish(name, b"x", 1, id=id)
        assert ack.flags == 0 and ack.code in (0, 0x10)


@BOTH
def test_an_acknowledged_identifier_is_a_new_message(dial, name, version):
    """Whatever DUP says. [MQTT3-4.3.2-2] [MQTT5-4.3.2-5]"""
    receiver = dial(5).join()
    receiver.subscribe((name, 1))
    client = dial(version).join(name)
    client.publish(name, b"one", 1, id=5)
    client.publish(name, b"two", 1, id=5, dup=True)
    assert [m.payload for m in receiver.messages(2)] == [b"one", b"two"]


@MATRIX
def test_dup_of_what_goes_out_is_its_own(dial, name, sender, receiver):
    """[MQTT3-3.3.1-3] [MQTT5-3.3.1-3] [MQTT3-3.3.1-2] [MQTT5-3.3.1-2] [MQTT3-4.3.1-1] [MQTT5-4.3.1-1] [MQTT3-2.3.1-5]
    [MQTT5-2.2.1-2] [MQTT5-4.3.2-2] [MQTT3-4.3.2-1]"""
    target = dial(receiver).join()
    target.subscribe((f"{name}/1", 1), (f"{name}/0", 0))
    client = dial(sender).join()
    client.publish(f"{name}/1", b"x", 1, dup=True)
    client.publish(f"{name}/0", b"x", 1, dup=True)
    first, second = target.messages(2)
    assert not first.dup and first.qos == 1 and first.id
    assert not second.dup and second.qos == 0 and second.id is None


@MATRIX
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_delivered_at_the_lower_qos(dial, name, sender, receiver, granted):
    """[MQTT3-3.8.4-6] [MQTT5-3.8.4-8]"""
    target = dial(receiver).join()
    highest = target.subscribe((name, granted))[0]
    assert highest <= granted
    client = dial(sender).join()
    for qos in (0, 1):
        client.publish(name, b"%d" % qos, qos)
        got = target.message()
        assert (got.payload, got.qos) == (b"%d" % qos, min(qos, highest))


def test_identifiers_toward_a_client_are_unused_ones(dial, name):
    """[MQTT3-2.3.1-4] [MQTT5-2.2.1-4] [MQTT5-4.3.2-1] [MQTT5-4.3.2-3] [MQTT3-4.3.2-1]"""
    for version in (4, 5):
        target = dial(version).join()
        target.subscribe((f"{name}/{version}", 1))
        client = dial(5).join()
        for i in range(10):
            client.publish(f"{name}/{version}", b"%d" % i, 1)
        got = [target.next(wire.PUBLISH) for _ in range(10)]
        assert len({g.id for g in got}) == 10 and all(g.id for g in got)
        for each in got[::2]:
            target.ack(each)
        open_ids = {g.id for g in got[1::2]}
        for i in range(5):
            client.publish(f"{name}/{version}", b"%d" % i, 1)
        more = [target.next(wire.PUBLISH) for _ in range(5)]
        assert not open_ids & {m.id for m in more}


@BOTH
def test_resent_on_resume_and_only_then(dial, name, version):
    """In their order, under their identifiers, with DUP; what was acknowledged does not come again. [MQTT3-3.3.1-1]
    [MQTT5-3.3.1-1] [MQTT3-4.4.0-1] [MQTT5-4.4.0-1] [MQTT3-4.6.0-1] [MQTT5-4.3.2-3] [MQTT3-4.1.0-1] [MQTT5-4.1.0-1]"""
    target = dial(version).join(name, **KEPT[version])
    target.subscribe((name, 1))
    sender = dial(5).join()
    for i in range(6):
        sender.publish(name, b"%d" % i, 1)
    got = [target.next(wire.PUBLISH) for _ in range(6)]
    assert not any(g.dup for g in got)
    target.ack(got[1])
    target.ping()
    time.sleep(1)  # nothing is sent again while the connection stands
    target.ping()
    target.drop()
    back = dial(version)
    assert back.connect(name, **KEPT[version]).session_present
    again = [back.next(wire.PUBLISH) for _ in range(5)]
    expected = [g for i, g in enumerate(got) if i != 1]
    assert [(a.id, a.payload) for a in again] == [(e.id, e.payload) for e in expected]
    assert all(a.dup for a in again)
    for each in again:
        back.ack(each)
    back.ping()
    back.leave()
    last = dial(version)
    assert last.connect(name, **KEPT[version]).session_present
    last.ping()


def test_a_refusal_by_the_receiver_acknowledges(dial, name):
    """[MQTT5-4.4.0-2]"""
    target = dial(5).join(name, **KEPT[5])
    target.subscribe((name, 1))
    sender = dial(5).join()
    sender.publish(name, b"no", 1)
    target.ack(target.next(wire.PUBLISH), 0x83)
    target.ping()
    target.drop()
    back = dial(5)
    back.connect(name, **KEPT[5])
    back.ping()


@BOTH
def test_messages_wait_for_each_session_that_matches(dial, name, version):
    """[MQTT3-4.5.0-1] [MQTT5-4.5.0-1] [MQTT3-3.1.2-5]"""
    ids = [f"{name}-{i}" for i in range(3)]
    for id in ids:
        client = dial(version).join(id, **KEPT[version])
        client.subscribe((f"{name}/+", 1))
        client.leave()
    sender = dial(5).join()
    for i in range(5):
        sender.publish(f"{name}/{i}", b"%d" % i, 1)
    for id in ids:
        client = dial(version).join(id, **KEPT[version])
        assert [m.topic for m in client.messages(5)] == [f"{name}/{i}" for i in range(5)]


@MATRIX
def test_order_of_a_publishers_messages(dial, name, sender, receiver):
    """[MQTT3-4.6.0-5] [MQTT3-4.6.0-6] [MQTT5-4.6.0-5] [MQTT5-4.6.0-6] [MQTT3-4.6.0-2]"""
    target = dial(receiver).join()
    target.subscribe((name, 1))
    client = dial(sender).join()
    client.send(*(client.publish_bytes(name, b"%d" % i, 1, i + 1) for i in range(60)))
    assert [client.next(wire.PUBACK).id for _ in range(60)] == list(range(1, 61))
    assert [int(m.payload) for m in target.messages(60)] == list(range(60))


@MATRIX
def test_retained_messages(dial, name, sender, receiver):
    """[MQTT3-3.3.1-5] [MQTT5-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8] [MQTT3-3.3.1-9] [MQTT5-3.3.1-12] [MQTT3-3.1.2-7]
    [MQTT3-3.3.1-12] [MQTT5-3.3.1-8] [MQTT5-3.3.1-9]"""
    standing = dial(receiver).join()
    standing.subscribe((name, 1))
    client = dial(sender).join(clean=True)
    client.publish(name, b"old", 1, retain=True)
    client.publish(name, b"kept", 1, retain=True)
    client.publish(name, b"passing", 1)
    client.leave()
    assert [(m.payload, m.retain) for m in standing.messages(3)] == [(b"old", False), (b"kept", False), (b"passing", False)]
    late = dial(receiver).join()
    late.subscribe((name, 1))
    got = late.message()
    assert (got.payload, got.retain, got.qos) == (b"kept", True, 1)
    late.ping()


@MATRIX
def test_retained_at_qos_0_replaces(dial, name, sender, receiver):
    """[MQTT3-3.3.1-7] [MQTT5-3.3.1-5]"""
    client = dial(sender).join()
    client.publish(name, b"one", 1, retain=True)
    client.publish(name, b"zero", 0, retain=True)
    client.publish(f"{name}/sync", b"", 1)
    late = dial(receiver).join()
    late.subscribe((name, 1))
    got = late.message()
    assert (got.payload, got.qos) == (b"zero", 0)


@MATRIX
def test_an_empty_retained_message_removes(dial, name, sender, receiver):
    """[MQTT3-3.3.1-10] [MQTT3-3.3.1-11] [MQTT5-3.3.1-6] [MQTT5-3.3.1-7]"""
    standing = dial(receiver).join()
    standing.subscribe((name, 1))
    client = dial(sender).join()
    client.publish(name, b"x", 1, retain=True)
    client.publish(name, b"", 1, retain=True)
    assert [m.payload for m in standing.messages(2)] == [b"x", b""]
    late = dial(receiver).join()
    late.subscribe((name, 1))
    late.ping()


def test_retain_handling(dial, name):
    """[MQTT5-3.3.1-9] [MQTT5-3.3.1-10] [MQTT5-3.3.1-11] [MQTT5-3.8.4-4]"""
    client = dial(5).join()
    client.publish(name, b"kept", 1, retain=True)
    client.subscribe((name, 0x20 | 1))
    client.ping()
    client.subscribe((name, 0x10 | 1))  # stands already
    client.ping()
    client.subscribe((name, 1))
    assert client.message().retain
    client.unsubscribe(name)
    client.subscribe((name, 0x10 | 1))  # is new
    assert client.message().retain
    client.ping()


def test_retain_as_published(dial, name):
    """[MQTT5-3.3.1-12] [MQTT5-3.3.1-13]"""
    published, not_published = dial(5).join(), dial(5).join()
    published.subscribe((name, 8 | 1))
    not_published.subscribe((name, 1))
    client = dial(5).join()
    client.publish(name, b"r", 1, retain=True)
    client.publish(name, b"n", 1, retain=False)
    assert [m.retain for m in published.messages(2)] == [True, False]
    assert [m.retain for m in not_published.messages(2)] == [False, False]
    client.publish(name, b"", 1, retain=True)


def test_properties_are_passed_on(dial, name):
    """[MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-17] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]"""
    target = dial(5).join()
    target.subscribe((name, 1))
    sent = {"payload_format": 1, "content_type": "text/plain; ä", "response_topic": "answer/here",
            "correlation_data": b"\0\xff\1", "user": [("b", "1"), ("a", "ü"), ("b", "0"), ("", "")]}
    client = dial(5).join()
    plain = {"payload_format": 0, "content_type": "", "correlation_data": b""}
    client.publish(name, b"x", 1, **plain)
    assert target.message().properties == plain
    for retain in (False, True):
        client.publish(name, "ü".encode(), 1, retain=retain, **sent)
        got = target.message()
        assert got.properties == sent
    late = dial(5).join()
    late.subscribe((name, 1))
    assert late.message().properties == sent
    client.publish(name, b"", 1, retain=True)


def test_message_expiry(dial, name):
    """[MQTT5-3.3.2-5] [MQTT5-3.3.2-6]"""
    away = dial(5).join(name, **KEPT[5])
    away.subscribe((name, 1))
    away.leave()
    client = dial(5).join()
    client.publish(name, b"short", 1, message_expiry=1)
    client.publish(name, b"long", 1, message_expiry=100)
    time.sleep(2.1)
    back = dial(5)
    back.connect(name, **KEPT[5])
    got = back.message()
    assert got.payload == b"long" and 90 <= got.properties["message_expiry"] <= 98
    back.ping()


def test_topic_aliases_of_the_client(dial, name):
    """They are the client's own: no subscriber sees them, itself neither. [MQTT5-3.3.2-12] [MQTT5-3.3.2-7]
    [MQTT5-3.3.2-9] [MQTT5-3.2.2-17] [MQTT5-3.1.2-27]"""
    target = dial(5).join()
    target.subscribe((f"{name}/#", 0))
    client = dial(5)
    highest = client.connect(name).properties["topic_alias_maximum"]
    client.subscribe((f"{name}/own", 0))
    client.publish(f"{name}/own", b"own", topic_alias=1)
    assert (client.message().properties, target.message().properties) == ({}, {})
    for alias in (1, highest):
        client.publish(f"{name}/{alias}", b"set", topic_alias=alias)
    for alias in (1, highest):
        client.publish("", b"used", topic_alias=alias)
    topics = [f"{name}/1", f"{name}/{highest}"]
    assert [(m.topic, m.payload) for m in target.messages(4)] == [(t, p) for p in (b"set", b"used") for t in topics]
    again = dial(5).join(name)  # another connection knows nothing of them
    again.publish("", b"lost", topic_alias=1)
    again.closes(0x82)
    if highest < 65535:
        above = dial(5).join()
        above.publish(f"{name}/x", topic_alias=highest + 1)
        above.closes(0x94)


@BOTH
def test_topic_aliases_of_the_server(dial, name, version):
    """None unless the client takes some, none above what it takes. [MQTT5-3.1.2-26] [MQTT5-3.1.2-27] [MQTT5-3.3.2-11]"""
    options = {} if version == 4 else {"topic_alias_maximum": 2}
    none, some = dial(version).join(), dial(version).join(**options)
    for client in (none, some):
        client.subscribe((f"{name}/#", 0))
    sender = dial(5).join()
    for i in range(8):
        sender.publish(f"{name}/{i % 4}", b"%d" % i)
    assert all(m.topic and "topic_alias" not in m.properties for m in none.messages(8))
    known = {}
    for i, got in enumerate(some.messages(8)):
        alias = got.properties.get("topic_alias")
        assert alias is None or 1 <= alias <= 2
        if got.topic and alias:
            known[alias] = got.topic
        assert (got.topic or known[alias]) == f"{name}/{i % 4}"


def test_receive_maximum_of_the_client(dial, name):
    """[MQTT5-3.3.4-9] [MQTT5-3.3.4-10] [MQTT5-4.9.0-1] [MQTT5-4.9.0-2] [MQTT5-4.9.0-3]"""
    target = dial(5).join(name, receive_maximum=2)
    target.subscribe((name, 1), (f"{name}/0", 0))
    sender = dial(5).join()
    for i in range(5):
        sender.publish(name, b"%d" % i, 1)
    got = [target.next(wire.PUBLISH) for _ in range(2)]
    target.ping()  # the window is full, everything else goes on
    sender.publish(f"{name}/0", b"free", 0)
    assert target.next(wire.PUBLISH).payload == b"free"
    assert target.subscribe((f"{name}/more", 1)) == [1]
    target.ack(got[0])
    got.append(target.next(wire.PUBLISH))
    target.ping()
    for i in range(1, 5):
        target.ack(got[i])
        if i < 3:
            got.append(target.next(wire.PUBLISH))
    assert [g.payload for g in got] == [b"0", b"1", b"2", b"3", b"4"]


@BOTH
def test_overlapping_subscriptions(dial, name, version):
    """[MQTT3-3.3.5-1] [MQTT5-3.3.4-2]"""
    target = dial(version).join()
    target.subscribe((f"{name}/a", 0), (f"{name}/+", 1), (f"{name}/#", 0))
    client = dial(5).join()
    client.publish(f"{name}/a", b"x", 1)
    client.publish(f"{name}/end", b"end", 0)
    got = []
    while not got or got[-1].payload != b"end":
        got.append(target.message())
    assert max(g.qos for g in got[:-1]) == 1 and 1 <= len(got) - 1 <= 3


@BOTH
def test_topic_of_a_delivery_matches(dial, name, version):
    """[MQTT3-3.3.2-3] [MQTT5-3.3.2-3]"""
    target = dial(version).join()
    target.subscribe((f"{name}/+/x", 0))
    client = dial(5).join()
    for topic in ("a/x", "b/y", "c/x"):
        client.publish(f"{name}/{topic}", b"", 1)
    assert [m.topic for m in target.messages(2)] == [f"{name}/a/x", f"{name}/c/x"]
    target.ping()


@BOTH
def test_malformed_publish(dial, name, version):
    """[MQTT3-3.3.1-4] [MQTT5-3.3.1-4] [MQTT3-3.3.2-1] [MQTT5-3.3.2-1] [MQTT3-3.3.2-2] [MQTT5-3.3.2-2] [MQTT3-4.7.1-1]
    [MQTT5-4.7.0-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT5-4.13.1-1] [MQTT3-4.7.3-1] [MQTT5-4.7.3-1] [MQTT3-4.7.3-2]
    [MQTT3-4.8.0-1] [MQTT3-2.3.1-1]"""
    none = b"\0" if version == 5 else b""
    faults = [
        (packet(0x36, text("a"), b"\0\1", none), 0x81), (packet(0x38, text("a"), none), 0x81),
        (packet(0x30, text("a/#"), none), 0x90), (packet(0x30, text("+"), none), 0x90),
        (packet(0x30, b"\0\2a\0", none), 0x81), (packet(0x30, b"\0\3\xed\xa0\x80", none), 0x81),
        (packet(0x30, text(""), none), 0x82), (packet(0x32, text("a"), b"\0\0", none), 0x82), (packet(0x30), 0x81),
        (packet(0x30, b"\0\5abcd"), 0x81),
    ]
    for fault, code in faults:
        dial(version).join().send(fault).closes(code)


def test_malformed_properties_of_publish(dial):
    """[MQTT5-3.3.2-8] [MQTT5-3.3.2-13] [MQTT5-3.3.2-14] [MQTT5-3.3.2-19] [MQTT5-3.3.4-6] [MQTT5-1.5.7-1] [MQTT5-2.2.2-1]"""
    faults = [
        (properties(topic_alias=0), 0x94), (properties(response_topic=b"\xff"), 0x81),
        (properties(response_topic="a/#"), 0x82), (properties(content_type=b"\xff"), 0x81),
        (properties(subscription_id=1), 0x82), (b"\x06\x26\0\1\xff\0\0", 0x81), (b"\x02\x01\x02", 0x82),
        (b"\x02\x7f\0", 0x81), (b"\x05\x11\0\0\0\1", 0x82), (b"\x80\x00", 0x81),
    ]
    for fault, code in faults:
        dial(5).join().send(packet(0x30, text("a"), fault)).closes(code)


@BOTH
def test_a_byte_order_mark_stays(dial, name, version):
    """[MQTT3-1.5.3-3] [MQTT5-1.5.4-3]"""
    target = dial(version).join()
    target.subscribe((f"{name}/\ufeffa", 0), (f"{name}/a", 0))
    dial(version).join().publish(f"{name}/\ufeffa")
    assert target.message().topic == f"{name}/\ufeffa"
    target.ping()


@BOTH
def test_longest_topic(dial, version):
    """[MQTT3-4.7.3-3] [MQTT5-4.7.3-3]"""
    topic = "x" * 65535
    target = dial(version).join()
    assert target.subscribe((topic, 0)) == [0]
    dial(version).join().publish(topic, b"long")
    assert target.message().topic == topic


@BOTH
def test_unauthorised_publish_closes(new_server, name, version):
    """[MQTT3-3.3.5-2] [MQTT5-3.1.4-2]"""
    server = new_server(options=[*fleetward.PLAIN[:3], "limited"])
    server.boto("iot").create_policy(policyName="limited", policyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"arn:aws:iot:*:*:client/{name}*"},
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"arn:aws:iot:*:*:topic/{name}/*"}]}))
    client = Wire(server.mqtt_port, version).join(name)
    client.publish(f"{name}/mine", b"x", 1)
    client.send(client.publish_bytes("elsewhere", b"x", 1, 7))
    answer = client.rest()
    assert [(a.type, a.code) for a in answer] == ([] if version == 4 else [(wire.PUBACK, 0x87), (wire.DISCONNECT, 0x87)])
    stranger = Wire(server.mqtt_port, version)
    answer = stranger.send(stranger.connect_bytes("stranger")).rest()
    assert [(a.type, a.code) for a in answer] == [(wire.CONNACK, 5 if version == 4 else 0x87)]
