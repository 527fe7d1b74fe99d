"""MQTT packet by packet against the running broker: SUBSCRIBE, UNSUBSCRIBE, PING, filters, shared subscriptions."""
import pytest

import wire
from wire import packet, properties, text

BOTH = pytest.mark.parametrize("version", [4, 5])
KEPT = {4: {"clean": False}, 5: {"clean": False, "session_expiry": 600}}


@BOTH
def test_subscribe_is_answered_in_its_order(dial, name, version):
    """[MQTT3-3.8.4-1] [MQTT5-3.8.4-1] [MQTT3-3.8.4-2] [MQTT5-3.8.4-2] [MQTT3-2.3.1-7] [MQTT5-2.2.1-6] [MQTT3-3.8.4-5]
    [MQTT5-3.8.4-6] [MQTT5-3.8.4-7] [MQTT3-3.9.3-1] [MQTT5-3.9.3-1] [MQTT3-3.9.3-2] [MQTT5-3.9.3-2] [MQTT3-3.8.4-4]
    [MQTT5-3.8.4-5]"""
    client = dial(version).join()
    client.send(client.subscribe_bytes((f"{name}/a", 0), (f"{name}/b#", 1), (f"{name}/c", 1), (f"{name}/d+/e", 0),
                                       (f"{name}/+/#", 0), id=65535))
    answer = client.next(wire.SUBACK)
    bad = 0x80 if version == 4 else 0x8F
    assert (answer.id, answer.codes, answer.flags) == (65535, [0, bad, 1, bad, 0], 0)
    sender = dial(5).join()
    for topic in ("a", "c", "x/y/z"):
        sender.publish(f"{name}/{topic}", b"", 1)
    assert {m.topic for m in client.messages(3)} >= {f"{name}/a", f"{name}/c"}


@BOTH
@pytest.mark.parametrize("asked", [0, 1, 2])
def test_granted_qos(dial, name, version, asked):
    """[MQTT3-3.8.4-5] [MQTT5-3.8.4-7] [MQTT5-3.2.2-10]"""
    client = dial(version)
    highest = client.connect().properties.get("maximum_qos", 2)
    granted = client.subscribe((name, asked))
    assert granted[0] <= asked and (version == 4 or granted == [min(asked, highest)])


@BOTH
def test_the_same_filter_again_replaces(dial, name, version):
    """[MQTT3-3.8.4-3] [MQTT5-3.8.4-3] [MQTT5-3.8.4-4]"""
    sender = dial(5).join()
    sender.publish(name, b"kept", 1, retain=True)
    client = dial(version).join()
    assert client.subscribe((name, 1)) == [1]
    assert client.message().qos == 1
    assert client.subscribe((name, 0)) == [0]
    got = client.message()  # retained messages are sent again, at the new QoS
    assert (got.payload, got.qos, got.retain) == (b"kept", 0, True)
    sender.publish(name, b"once", 1)
    got = client.message()
    assert (got.payload, got.qos) == (b"once", 0)
    client.ping()
    sender.publish(name, b"", 1, retain=True)


def test_no_message_is_lost_while_a_subscription_is_replaced(dial, name):
    """[MQTT5-3.8.4-4] [MQTT3-3.8.4-3]"""
    client, sender = dial(5).join(), dial(5).join()
    client.subscribe((name, 1))
    for i in range(20):
        sender.send(*(sender.publish_bytes(name, b"%d" % (i * 5 + k), 1, k + 1) for k in range(5)))
        client.send(client.subscribe_bytes((name, 1), id=i + 1))
        for _ in range(5):
            sender.next(wire.PUBACK)
    seen, acks = [], 0
    while len(seen) < 100 or acks < 20:
        got = client.next()
        if got.type == wire.SUBACK:
            acks += 1
        else:
            seen.append(int(got.payload))
            client.ack(got)
    assert seen == list(range(100))


@BOTH
def test_malformed_subscribe(dial, name, version):
    """[MQTT3-3.8.1-1] [MQTT5-3.8.1-1] [MQTT3-3.8.3-1] [MQTT5-3.8.3-1] [MQTT3-3.8.3-3] [MQTT5-3.8.3-2] [MQTT3-3.8.3-4]
    [MQTT5-3.8.3-5] [MQTT3-4.7.3-1] [MQTT5-4.7.3-1] [MQTT3-2.2.2-2] [MQTT5-2.1.3-1] [MQTT3-2.3.1-1] [MQTT3-4.7.3-2]
    [MQTT5-4.7.3-2] [MQTT5-2.2.1-3]"""
    none = b"\0" if version == 5 else b""
    reserved = b"\x04" if version == 4 else b"\x40"
    faults = [
        (packet(0x80, b"\0\1", none, text("a"), b"\0"), 0x81), (packet(0x83, b"\0\1", none, text("a"), b"\0"), 0x81),
        (packet(0x82, b"\0\1", none, b"\0\1\xff\0"), 0x81), (packet(0x82, b"\0\1", none), 0x82),
        (packet(0x82, b"\0\1", none, text("a"), reserved), 0x81), (packet(0x82, b"\0\1", none, text("a"), b"\3"), None),
        (packet(0x82, b"\0\1", none, text(""), b"\0"), None), (packet(0x82, b"\0\0", none, text("a"), b"\0"), 0x82),
        (packet(0x82, b"\0\1", none, b"\0\2a\0\0"), 0x81), (packet(0x82, b"\0\1", none, text("a")), 0x81),
    ]
    for fault, code in faults:
        dial(version).join().send(fault).closes(code)


@BOTH
def test_malformed_unsubscribe(dial, version):
    """[MQTT3-3.10.1-1] [MQTT5-3.10.1-1] [MQTT3-3.10.3-1] [MQTT5-3.10.3-1] [MQTT3-3.10.3-2] [MQTT5-3.10.3-2]"""
    none = b"\0" if version == 5 else b""
    faults = [
        (packet(0xA0, b"\0\1", none, text("a")), 0x81), (packet(0xA2, b"\0\1", none, b"\0\1\xff"), 0x81),
        (packet(0xA2, b"\0\1", none), 0x82), (packet(0xA2, b"\0\0", none, text("a")), 0x82),
    ]
    for fault, code in faults:
        dial(version).join().send(fault).closes(code)


@BOTH
def test_unsubscribe(dial, name, version):
    """[MQTT3-3.10.4-1] [MQTT5-3.10.4-1] [MQTT3-3.10.4-2] [MQTT5-3.10.4-2] [MQTT3-3.10.4-4] [MQTT5-3.10.4-4]
    [MQTT3-3.10.4-5] [MQTT5-3.10.4-5] [MQTT3-3.10.4-6] [MQTT5-3.10.4-6] [MQTT3-2.3.1-7] [MQTT5-2.2.1-6] [MQTT5-3.11.3-1]
    [MQTT5-3.11.3-2]"""
    client = dial(version).join()
    client.subscribe((f"{name}/a", 0), (f"{name}/+/b", 0), (f"{name}/c/#", 0))
    sender = dial(5).join()
    # None of these is one of the filters, though each matches the same topics.
    codes = client.unsubscribe(f"{name}/+", f"{name}/#", f"{name}/A")
    assert codes == ([] if version == 4 else [0x11, 0x11, 0x11])
    for topic in ("a", "x/b", "c/d"):
        sender.publish(f"{name}/{topic}", b"", 1)
    assert [m.topic for m in client.messages(3)] == [f"{name}/{t}" for t in ("a", "x/b", "c/d")]
    codes = client.unsubscribe(f"{name}/+/b", f"{name}/never", f"{name}/a")
    assert codes == ([] if version == 4 else [0, 0x11, 0])
    for topic in ("a", "x/b", "c/d"):
        sender.publish(f"{name}/{topic}", b"", 1)
    assert client.message().topic == f"{name}/c/d"
    client.ping()


@BOTH
def test_what_was_begun_is_completed_after_unsubscribe(dial, name, version):
    """[MQTT3-3.10.4-3] [MQTT5-3.10.4-3]"""
    client = dial(version).join(name, **KEPT[version])
    client.subscribe((f"{name}/x", 1))
    sender = dial(5).join()
    sender.publish(f"{name}/x", b"begun", 1)
    begun = client.next(wire.PUBLISH)
    client.unsubscribe(f"{name}/x")
    client.drop()  # the delivery is not over yet
    back = dial(version)
    assert back.connect(name, **KEPT[version]).session_present
    again = back.message()
    assert (again.id, again.payload) == (begun.id, b"begun")
    sender.publish(f"{name}/x", b"more", 1)
    back.ping()


@BOTH
def test_ping(dial, version):
    """[MQTT3-3.12.4-1] [MQTT5-3.12.4-1]"""
    client = dial(version).join()
    answer = client.send(b"\xc0\x00").next(wire.PINGRESP)
    assert (answer.flags, answer.body) == (0, b"")


# filter, topics that it matches, topics that it does not
MATCHES = [
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/a/b"],
     ["sport/tennis/player10", "sport/tennis"]),
    ("sport/#", ["sport", "sport/", "sport//x"], ["sports", "Sport"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]),
    ("sport/+", ["sport/"], ["sport", "sport/a/b"]),
    ("+/+", ["/finance", "a/b"], ["finance", "a/b/c"]),
    ("/+", ["/finance"], ["finance", "a/finance"]),
    ("+/tennis/#", ["sport/tennis", "x/tennis/a/b"], ["sport/x/tennis"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("a/+/b", ["a//b", "a/x/b"], ["a/b"]),
    ("Accounts payable", ["Accounts payable"], ["ACCOUNTS PAYABLE", "Accounts payable "]),
    ("u/\u00e5", ["u/\u00e5"], ["u/a\u030a"]),
    ("a/.", ["a/."], ["a", "a/./b"]),
]


@BOTH
@pytest.mark.parametrize("pattern,matching,others", MATCHES, ids=[m[0] for m in MATCHES])
def test_matching(dial, name, version, pattern, matching, others):
    """[MQTT3-4.7.1-2] [MQTT5-4.7.1-1] [MQTT3-4.7.1-3] [MQTT5-4.7.1-2] [MQTT3-4.7.3-4] [MQTT5-4.7.3-4]"""
    client, sender = dial(version).join(), dial(version).join()
    assert client.subscribe((f"{name}/{pattern}", 0)) == [0]
    for topic in [*others, *matching]:
        sender.publish(f"{name}/{topic}")
    assert [m.topic for m in client.messages(len(matching))] == [f"{name}/{t}" for t in matching]
    client.ping()


@BOTH
def test_misplaced_wildcards(dial, version):
    """[MQTT3-4.7.1-2] [MQTT5-4.7.1-1] [MQTT3-4.7.1-3] [MQTT5-4.7.1-2]"""
    client = dial(version).join()
    bad = ["a#", "a/#/b", "#/", "##", "a/b+", "+a", "a/+b/c", "a/++", "a/#b"]
    codes = client.subscribe(*((f, 0) for f in bad))
    assert codes == [0x80 if version == 4 else 0x8F] * len(bad)
    good = ["#", "+", "+/+", "/", "//", "a/+/#", "+/a/+", "/#"]
    assert client.subscribe(*((f, 0x20 if version == 5 else 0) for f in good)) == [0] * len(good)


@BOTH
def test_wildcards_in_front_do_not_match_dollar(dial, name, version):
    """[MQTT3-4.7.2-1] [MQTT5-4.7.2-1]"""
    wide, exact = dial(version).join(), dial(version).join()
    handling = 0x20 if version == 5 else 0
    wide.subscribe(("#", handling), (f"+/events/presence/connected/{name}", handling), ("+/#", handling))
    exact.subscribe((f"$aws/events/presence/+/{name}", 0), (f"$aws/events/presence/connected/{name}", 0))
    client = dial(version).join(name)  # which is told on a topic of the server's own
    assert exact.message().topic == f"$aws/events/presence/connected/{name}"
    client.publish(f"plain/{name}", b"plain", 1)
    while True:
        got = wide.message()
        assert not got.topic.startswith("$")
        if got.topic == f"plain/{name}":
            break


def test_no_local(dial, name):
    """[MQTT5-3.8.3-3]"""
    client, other = dial(5).join(), dial(5).join()
    client.subscribe((name, 4 | 1))
    client.publish(name, b"mine", 1)
    other.publish(name, b"other's", 1)
    assert client.message().payload == b"other's"
    client.ping()


def test_no_local_on_a_shared_subscription(dial, name):
    """[MQTT5-3.8.3-4]"""
    client = dial(5).join()
    client.send(client.subscribe_bytes((f"$share/g/{name}", 4), id=1)).closes(0x82)


def test_shared_filters(dial, name):
    """[MQTT5-4.8.2-1] [MQTT5-4.8.2-2]"""
    client = dial(5).join()
    bad = ["$share/g", "$share//a", "$share/g+/a", "$share/#/a", "$share/g/"]
    assert client.subscribe(*((f, 0) for f in bad)) == [0x8F] * len(bad)
    assert client.subscribe((f"$share/g/{name}/+", 1), (f"$share/g//{name}", 1)) == [1, 1]


def test_shared_subscriptions_respect_the_granted_qos(dial, name):
    """[MQTT5-4.8.2-3]"""
    zero, one, sender = dial(5).join(), dial(5).join(), dial(5).join()
    zero.subscribe((f"$share/{name}/{name}/x", 0))
    one.subscribe((f"$share/{name}/{name}/x", 1))
    for i in range(10):
        sender.publish(f"{name}/x", b"%d" % i, 1)
    got = {0: [], 1: []}
    for client, qos in ((zero, 0), (one, 1)):
        client.send(b"\xc0\x00")
        while (each := client.next()).type == wire.PUBLISH:
            assert each.qos == qos
            got[qos].append(int(each.payload))
            if qos:
                client.ack(each)
    # Shards hand messages over in batches; what came behind the ping is read here.
    for client, qos in ((zero, 0), (one, 1)):
        while sum(map(len, got.values())) < 10 and len(got[qos]) < 5:
            got[qos].append(int(client.message().payload))
    assert sorted(got[0] + got[1]) == list(range(10)) and got[0] and got[1]


def test_shared_delivery_is_completed_on_return(dial, name):
    """[MQTT5-4.8.2-4]"""
    first = dial(5).join(f"{name}-1", **KEPT[5])
    first.subscribe((f"$share/{name}/{name}/x", 1))
    dial(5).join().publish(f"{name}/x", b"yours", 1)
    begun = first.next(wire.PUBLISH)
    second = dial(5).join(f"{name}-2")
    second.subscribe((f"$share/{name}/{name}/x", 1))
    first.drop()
    second.ping()
    back = dial(5)
    back.connect(f"{name}-1", **KEPT[5])
    again = back.message()
    assert (again.id, again.payload) == (begun.id, b"yours")
    second.ping()


def test_shared_delivery_goes_to_nobody_else(dial, name):
    """Neither when the session of the chosen client ends, nor when it refuses. [MQTT5-4.8.2-5] [MQTT5-4.8.2-6]"""
    first, second = dial(5).join(), dial(5).join()
    sender = dial(5).join()
    first.subscribe((f"$share/{name}/{name}/x", 1))
    sender.publish(f"{name}/x", b"ends", 1)
    first.next(wire.PUBLISH)
    second.subscribe((f"$share/{name}/{name}/x", 1), (f"{name}/end", 1))
    first.leave()  # its session ends with it
    sender.publish(f"{name}/end", b"", 1)
    assert second.message().topic == f"{name}/end"
    third = dial(5).join()
    third.subscribe((f"$share/{name}/{name}/x", 1))
    for i in range(4):
        sender.publish(f"{name}/x", b"%d" % i, 1)
    refused = 0
    third.send(b"\xc0\x00")
    while (got := third.next()).type == wire.PUBLISH:
        third.ack(got, 0x83)
        refused += 1
    third.ping()
    seen = []
    sender.publish(f"{name}/end", b"", 1)
    while (got := second.message()).topic != f"{name}/end":
        seen.append(got.payload)
    assert len(seen) + refused <= 4


@pytest.mark.parametrize("topics", [["x"], ["x", "y"]])
def test_subscription_identifiers(dial, name, topics):
    """[MQTT5-3.3.4-3] [MQTT5-3.3.4-4] [MQTT5-3.3.4-5]"""
    client = dial(5)
    if client.connect().properties.get("subscription_id_available", 1) == 0:
        client.send(client.subscribe_bytes((name, 0), id=1, subscription_id=5)).closes(0xA1)
        return
    client.subscribe((f"{name}/+", 1), subscription_id=5)
    client.subscribe((f"{name}/x", 1), subscription_id=268_435_455)
    client.subscribe((f"{name}/#", 1))
    sender = dial(5).join()
    for topic in topics:
        sender.publish(f"{name}/{topic}", b"", 1)
        expected = {5, 268_435_455} if topic == "x" else {5}
        got = set()
        while got != expected:
            got |= set(client.message().properties.get("subscription_id", []))
            assert got <= expected


def test_subscription_identifier_is_that_of_the_last_subscribe(dial, name):
    """[MQTT5-3.8.4-3] [MQTT5-3.3.4-3]"""
    client = dial(5)
    if client.connect().properties.get("subscription_id_available", 1) == 0:
        pytest.skip("not offered")
    client.subscribe((name, 0), subscription_id=1)
    client.subscribe((name, 0), subscription_id=2)
    dial(5).join().publish(name, b"", 1)
    assert client.message().properties["subscription_id"] == [2]
    client.subscribe((name, 0))
    dial(5).join().publish(name, b"", 1)
    assert "subscription_id" not in client.message().properties


@pytest.mark.parametrize("size", [9, 12, 30])
def test_small_maximum_packet_size_in_acknowledgements(dial, name, size):
    """[MQTT5-3.9.2-1] [MQTT5-3.9.2-2] [MQTT5-3.11.2-1] [MQTT5-3.11.2-2] [MQTT5-3.4.2-2] [MQTT5-3.4.2-3]"""
    client = dial(5)
    if client.send(client.connect_bytes(maximum_packet_size=max(size, 120))).next(wire.CONNACK).code:
        return
    bad = [f"{i}#" for i in range(4)]
    client.send(client.subscribe_bytes(*((f, 0) for f in bad), id=1))
    for send, kind in ((b"", wire.SUBACK), (packet(0xA2, b"\0\2\0", text("never")), wire.UNSUBACK),
                       (client.publish_bytes(name, b"", 1, 3), wire.PUBACK)):
        got = client.send(send).next(kind)
        assert len(got.body) + 2 <= max(size, 120)
