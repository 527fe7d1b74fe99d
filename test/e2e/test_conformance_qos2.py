"""MQTT packet by packet against the running broker: QoS 2, both ways."""
import time

import pytest

import wire
from wire import packet

BOTH = pytest.mark.parametrize("version", [4, 5])
MATRIX = pytest.mark.parametrize("sender,receiver", [(4, 4), (4, 5), (5, 4), (5, 5)])
KEPT = {4: {"clean": False}, 5: {"clean": False, "session_expiry": 600}}


def two(id):
    return id.to_bytes(2, "big")


def finish(client, got):
    """The receiver's part from PUBLISH to PUBCOMP."""
    client.ack(got, kind=wire.PUBREC)
    assert client.next(wire.PUBREL).id == got.id
    client.ack(got, kind=wire.PUBCOMP)


@MATRIX
def test_whole_exchange(dial, name, sender, receiver):
    """[MQTT3-4.3.3-1] [MQTT3-4.3.3-2] [MQTT5-4.3.3-1] [MQTT5-4.3.3-2] [MQTT5-4.3.3-4] [MQTT5-4.3.3-8] [MQTT5-4.3.3-11]
    [MQTT3-3.3.4-1] [MQTT5-3.3.4-1] [MQTT3-2.3.1-6] [MQTT5-2.2.1-5] [MQTT5-3.5.2-1] [MQTT5-3.7.2-1] [MQTT3-3.6.1-1]
    [MQTT5-3.6.1-1] [MQTT5-3.6.2-1]"""
    target = dial(receiver).join()
    assert target.subscribe((name, 2)) == [2]
    client = dial(sender).join()
    client.send(client.publish_bytes(name, b"x", 2, 7))
    ack = client.next(wire.PUBREC)
    assert (ack.id, ack.flags) == (7, 0) and ack.code in (0, 0x10)
    client.send(packet(0x62, two(7)))
    done = client.next(wire.PUBCOMP)
    assert (done.id, done.flags, done.code) == (7, 0, 0)
    got = target.next(wire.PUBLISH)
    assert (got.payload, got.qos, got.dup) == (b"x", 2, False) and got.id
    target.ack(got, kind=wire.PUBREC)
    release = target.next(wire.PUBREL)
    assert (release.id, release.flags, release.code) == (got.id, 2, 0)
    target.ack(got, kind=wire.PUBCOMP)
    target.ping()
    client.ping()


@BOTH
def test_same_identifier_before_and_after_release(dial, name, version):
    """Not delivered again until it was released, a new message after. [MQTT3-4.3.3-2] [MQTT5-4.3.3-10] [MQTT5-4.3.3-12]"""
    target = dial(5).join()
    target.subscribe((name, 1))
    client = dial(version).join()
    for payload, dup in ((b"one", False), (b"one", True), (b"other", False)):
        client.send(client.publish_bytes(name, payload, 2, 9, dup=dup))
        assert client.next(wire.PUBREC).id == 9
    client.send(packet(0x62, two(9)))
    client.next(wire.PUBCOMP)
    client.publish(name, b"two", 2, id=9)
    assert [m.payload for m in target.messages(2)] == [b"one", b"two"]
    target.ping()


@BOTH
def test_exchange_goes_on_after_a_new_connection(dial, name, version):
    """[MQTT5-4.3.3-10] [MQTT3-4.3.3-2] [MQTT3-4.4.0-1] [MQTT3-4.1.0-1]"""
    target = dial(5).join()
    target.subscribe((name, 1))
    client = dial(version).join(name, **KEPT[version])
    client.send(client.publish_bytes(name, b"once", 2, 3))
    client.next(wire.PUBREC)
    client.drop()
    client = dial(version)
    assert client.connect(name, **KEPT[version]).session_present
    client.send(client.publish_bytes(name, b"once", 2, 3, dup=True))
    assert client.next(wire.PUBREC).id == 3
    client.send(packet(0x62, two(3)))
    client.next(wire.PUBCOMP)
    client.send(packet(0x62, two(3)))  # PUBREL again, as after a lost PUBCOMP
    assert client.next(wire.PUBCOMP).id == 3
    assert target.message().payload == b"once"
    target.ping()


@BOTH
def test_resent_publish_and_release(dial, name, version):
    """[MQTT3-4.3.3-1] [MQTT3-4.4.0-1] [MQTT5-4.4.0-1] [MQTT5-4.3.3-3] [MQTT5-4.3.3-5] [MQTT5-4.3.3-6] [MQTT3-3.3.1-1]
    [MQTT5-3.3.1-1] [MQTT3-4.6.0-1]"""
    target = dial(version).join(name, **KEPT[version])
    target.subscribe((name, 2))
    sender = dial(5).join()
    for i in range(3):
        sender.publish(name, b"%d" % i, 2)
    got = [target.next(wire.PUBLISH) for _ in range(3)]
    target.ack(got[0], kind=wire.PUBREC)
    assert target.next(wire.PUBREL).id == got[0].id
    target.ping()
    time.sleep(1)  # nothing is sent again while the connection stands
    target.ping()
    target.drop()
    back = dial(version)
    assert back.connect(name, **KEPT[version]).session_present
    again = [back.next() for _ in range(3)]
    assert [a.id for a in again if a.type == wire.PUBREL] == [got[0].id]
    publishes = [a for a in again if a.type == wire.PUBLISH]
    assert [(p.id, p.payload, p.dup, p.qos) for p in publishes] == [(g.id, g.payload, True, 2) for g in got[1:]]
    back.ack(got[0], kind=wire.PUBCOMP)
    for each in publishes:
        finish(back, each)
    back.ping()
    back.drop()
    last = dial(version)
    assert last.connect(name, **KEPT[version]).session_present
    last.ping()


@BOTH
def test_acknowledgements_in_order(dial, name, version):
    """[MQTT3-4.6.0-3] [MQTT3-4.6.0-4] [MQTT5-4.6.0-5]"""
    target = dial(5).join()
    target.subscribe((name, 2))
    client = dial(version).join()
    client.send(*(client.publish_bytes(name, b"%d" % i, 2, i + 1) for i in range(50)))
    assert [client.next(wire.PUBREC).id for _ in range(50)] == list(range(1, 51))
    client.send(*(packet(0x62, two(i + 1)) for i in range(50)))
    assert [client.next(wire.PUBCOMP).id for _ in range(50)] == list(range(1, 51))
    got = [target.next(wire.PUBLISH) for _ in range(50)]
    assert [int(g.payload) for g in got] == list(range(50))
    target.send(*(packet(0x50, two(g.id)) for g in got))
    assert [target.next(wire.PUBREL).id for _ in range(50)] == [g.id for g in got]


@BOTH
def test_mixed_qos_of_one_publisher(dial, name, version):
    """[MQTT3-4.6.0-6] [MQTT5-4.6.0-5]"""
    target = dial(version).join()
    target.subscribe((name, 2))
    client = dial(5).join()
    for i in range(9):
        client.publish(name, b"%d" % i, i % 3)
    got = []
    while len(got) < 9:
        each = target.next()
        if each.type == wire.PUBREL:
            target.ack(each, kind=wire.PUBCOMP)
            continue
        got.append(each)
        if each.qos:
            target.ack(each, kind=wire.PUBACK if each.qos == 1 else wire.PUBREC)
    for qos in range(3):  # the order counts for messages of one topic and QoS
        assert [int(g.payload) for g in got if g.qos == qos] == list(range(qos, 9, 3))


@MATRIX
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_delivered_at_the_lower_qos(dial, name, sender, receiver, granted):
    """[MQTT3-3.8.4-6] [MQTT5-3.8.4-8]"""
    target = dial(receiver).join()
    assert target.subscribe((name, granted)) == [granted]
    client = dial(sender).join()
    for qos in (0, 1, 2):
        client.publish(name, b"%d" % qos, qos)
        got = target.next(wire.PUBLISH)
        assert (got.payload, got.qos) == (b"%d" % qos, min(qos, granted))
        if got.qos == 1:
            target.ack(got)
        elif got.qos == 2:
            finish(target, got)


@BOTH
def test_retained_at_qos_2(dial, name, version):
    """[MQTT3-3.3.1-5] [MQTT5-3.3.1-5]"""
    client = dial(version).join()
    client.publish(name, b"kept", 2, retain=True)
    late = dial(version).join()
    late.subscribe((name, 2))
    got = late.next(wire.PUBLISH)
    assert (got.payload, got.qos, got.retain) == (b"kept", 2, True)
    finish(late, got)
    client.publish(name, b"", 2, retain=True)


@BOTH
def test_will_at_qos_2(dial, name, version):
    """[MQTT3-3.1.2-8] [MQTT5-3.1.2-8]"""
    watcher = dial(version).join()
    watcher.subscribe((name, 2))
    dial(version).join(name, will=(name, b"gone", 2, False)).drop()
    got = watcher.next(wire.PUBLISH)
    assert (got.payload, got.qos) == (b"gone", 2)
    finish(watcher, got)


def test_a_refused_message_ends_its_exchange(dial, name):
    """[MQTT5-4.4.0-2] [MQTT5-4.3.3-4]"""
    target = dial(5).join(name, **KEPT[5])
    target.subscribe((name, 2))
    dial(5).join().publish(name, b"no", 2)
    target.ack(target.next(wire.PUBLISH), 0x83, kind=wire.PUBREC)
    target.ping()  # no PUBREL
    target.drop()
    back = dial(5)
    back.connect(name, **KEPT[5])
    back.ping()


def test_a_publish_that_was_refused_leaves_its_identifier_free(dial, name):
    """[MQTT5-4.3.3-9]"""
    target = dial(5).join()
    target.subscribe((name, 1))
    client = dial(5).join(name, **KEPT[5])
    answers = client.send(client.publish_bytes("$nobody/may", b"x", 2, 4)).rest()  # this server closes besides
    assert [(a.type, a.code >= 0x80) for a in answers] == [(wire.PUBREC, True), (wire.DISCONNECT, True)]
    client = dial(5)
    assert client.connect(name, **KEPT[5]).session_present
    client.publish(name, b"mine", 2, id=4)
    assert target.message().payload == b"mine"


def test_release_of_nothing(dial, name):
    """[MQTT5-3.7.2-1] [MQTT5-3.7.2-2] [MQTT5-3.7.2-3] [MQTT5-3.6.2-2] [MQTT5-3.6.2-3]"""
    client = dial(5).join(name, maximum_packet_size=60)
    answer = client.send(packet(0x62, two(99))).next(wire.PUBCOMP)
    assert (answer.id, answer.code) == (99, 0x92) and len(answer.body) + 2 <= 60
    answer = client.send(packet(0x50, two(98))).next(wire.PUBREL)
    assert (answer.id, answer.code) == (98, 0x92) and len(answer.body) + 2 <= 60
    client.ping()


@BOTH
def test_release_with_wrong_flags(dial, name, version):
    """[MQTT3-3.6.1-1] [MQTT5-3.6.1-1]"""
    client = dial(version).join()
    client.send(client.publish_bytes(name, b"x", 2, 1))
    client.next(wire.PUBREC)
    client.send(packet(0x60, two(1))).closes(0x81)


def test_refusals_fit_into_small_packets(dial, name):
    """[MQTT5-3.5.2-2] [MQTT5-3.5.2-3]"""
    client = dial(5).join(name, maximum_packet_size=60)
    answer = client.send(client.publish_bytes("$nobody/may", b"x", 2, 4)).next()
    assert len(answer.body) + 2 <= 60


def test_receive_maximum_of_the_client(dial, name):
    """An exchange takes its place until PUBCOMP. [MQTT5-3.3.4-9] [MQTT5-4.9.0-2] [MQTT5-4.9.0-3]"""
    target = dial(5).join(receive_maximum=1)
    target.subscribe((name, 2))
    sender = dial(5).join()
    for i in range(3):
        sender.publish(name, b"%d" % i, 2)
    for i in range(3):
        got = target.next(wire.PUBLISH)
        assert got.payload == b"%d" % i
        target.ping()
        target.ack(got, kind=wire.PUBREC)
        target.next(wire.PUBREL)
        target.ping()
        target.ack(got, kind=wire.PUBCOMP)


def test_expiry_does_not_break_off_what_was_begun(dial, name):
    """[MQTT5-4.3.3-7] [MQTT5-4.3.3-13]"""
    target = dial(5).join(name, **KEPT[5])
    target.subscribe((name, 2))
    sender = dial(5).join()
    sender.send(sender.publish_bytes(name, b"short", 2, 1, message_expiry=1))
    sender.next(wire.PUBREC)
    got = target.next(wire.PUBLISH)
    time.sleep(1.5)
    sender.send(packet(0x62, two(1)))
    assert sender.next(wire.PUBCOMP).code == 0
    target.drop()
    back = dial(5)
    back.connect(name, **KEPT[5])
    again = back.next(wire.PUBLISH)
    assert (again.id, again.payload, again.dup) == (got.id, b"short", True)
    finish(back, again)
    back.ping()
