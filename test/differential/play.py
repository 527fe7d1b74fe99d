"""Plays a sequence against one broker and says, step by step, what each connection saw.

After each step every connection that stands is pinged until nothing but answers to the pings comes any more, so what a
step causes is seen with it; where that differs, a little longer, for some of it waits for a disk. Acknowledgements that the broker waits for are sent at once, or kept back while the
connection has been told not to acknowledge. Left out of what is compared: packet identifiers of deliveries, reason
strings, the time left of an expiry, what CONNACK says of the server's own limits, the order between deliveries of
different topics and between them and acknowledgements, and whether overlapping subscriptions get one copy of a message
or one each: copies are counted as one, of the highest QoS, with all subscription identifiers.
"""
import copy
import socket
import time

import wire

NAMES = {wire.CONNACK: "CONNACK", wire.PUBLISH: "PUBLISH", wire.PUBACK: "PUBACK", wire.PUBREC: "PUBREC",
         wire.PUBREL: "PUBREL", wire.PUBCOMP: "PUBCOMP", wire.SUBACK: "SUBACK", wire.UNSUBACK: "UNSUBACK",
         wire.PINGRESP: "PINGRESP", wire.DISCONNECT: "DISCONNECT", wire.AUTH: "AUTH"}


class Peer:
    """One connection of a player."""

    def __init__(self, port, version):
        self.wire = wire.Wire(port, version, timeout=5)
        self.connected = self.closed = False
        self.acknowledging = True
        self.waiting = []  # deliveries that were not acknowledged

    def send(self, data):
        try:
            self.wire.send(data)
        except OSError:
            pass  # closed: seen when it is read

    def answer(self, got):
        if not self.acknowledging:
            self.waiting.append(got)
        elif got.type == wire.PUBLISH and got.qos:
            self.send(bytes([0x40 if got.qos == 1 else 0x50, 2]) + got.id.to_bytes(2, "big"))
        elif got.type == wire.PUBREC and got.code < 128:
            self.send(b"\x62\x02" + got.id.to_bytes(2, "big"))
        elif got.type == wire.PUBREL:
            self.send(b"\x70\x02" + got.id.to_bytes(2, "big"))

    def acknowledge(self, whether):
        self.acknowledging = whether
        waiting, self.waiting = (self.waiting, []) if whether else ([], self.waiting)
        for got in waiting:
            self.answer(got)

    def round(self):
        """Sends a ping and reads up to its answer, the close, or, before CONNECT was accepted, what comes of it."""
        if self.connected:
            self.send(b"\xc0\0")
        seen = []
        while not self.closed:
            try:
                got = self.wire.next()
            except wire.Closed:
                self.closed = True
                break
            except AssertionError as malformed:
                seen.append(f"malformed ({malformed})")
                continue
            except socket.timeout:
                seen.append("silence")
                self.closed = True
                break
            if got.type == wire.PINGRESP and self.connected:
                break
            seen.append(got)
            if got.type == wire.CONNACK and got.code == 0:
                self.connected = True
                break
            if got.type in (wire.PUBLISH, wire.PUBREC, wire.PUBREL):
                self.answer(got)
        return seen


def shown(got):
    if isinstance(got, str):
        return got
    if got.type == wire.CONNACK:
        assigned = " assigned" if "assigned_client_id" in got.properties else ""
        return f"CONNACK {got.code:02x}{' present' if got.session_present else ''}{assigned}"
    if got.type == wire.PUBLISH:
        left = dict(got.properties)
        if "message_expiry" in left:
            left["message_expiry"] = "some"
        if "subscription_id" in left:
            left["subscription_id"] = sorted(left["subscription_id"])
        flags = " dup" * got.dup + " retain" * got.retain
        more = " ".join(f"{name}={left[name]!r}" for name in sorted(left))
        return f"PUBLISH {got.topic} q{got.qos}{flags} {got.payload!r} {more}".strip()
    if got.type == wire.PUBREL:
        return "PUBREL"
    number = f" {got.id}" if got.id is not None else ""
    return f"{NAMES[got.type]}{number} {' '.join(f'{c:02x}' for c in got.codes)}".strip()


def without_copies(deliveries):
    out = []
    for got in deliveries:
        same = next((o for o in out if got.type == o.type == wire.PUBLISH and (o.topic, o.payload) == (got.topic, got.payload)),
                    None)
        if same is None:
            out.append(copy.copy(got))
            continue
        same.qos, same.retain, same.dup = max(same.qos, got.qos), same.retain or got.retain, same.dup or got.dup
        ids = set(same.properties.get("subscription_id", []) + got.properties.get("subscription_id", []))
        if ids:
            same.properties = {**same.properties, "subscription_id": list(ids)}
    return out


def normal(seen):
    """Acknowledgements in their order, then deliveries by topic, each topic's in their order."""

    def is_delivery(got):
        return not isinstance(got, str) and got.type in (wire.PUBLISH, wire.PUBREL)

    deliveries = sorted((got for got in seen if is_delivery(got)), key=lambda got: getattr(got, "topic", ""))
    return [shown(got) for got in [*(got for got in seen if not is_delivery(got)), *without_copies(deliveries)]]


def awaited(sent, acknowledging):
    """What answers this packet in the end, where it is legal: (type, packet identifier), or None."""
    kind, qos = sent[0] >> 4, sent[0] >> 1 & 3
    start = next(i for i in range(1, 5) if sent[i] < 128) + 1  # of the variable header
    if kind == wire.PUBLISH and qos:
        start += 2 + int.from_bytes(sent[start:start + 2], "big")
        last = wire.PUBACK if qos == 1 else wire.PUBCOMP if acknowledging else wire.PUBREC
        return last, int.from_bytes(sent[start:start + 2], "big")
    answer = {wire.SUBSCRIBE: wire.SUBACK, wire.UNSUBSCRIBE: wire.UNSUBACK}.get(kind)
    return answer and (answer, int.from_bytes(sent[start:start + 2], "big"))


class Player:
    def __init__(self, port, connections):
        self.port = port
        self.peers = [None] * connections
        self.seen = {}  # of the step, by connection

    def play(self, connection, action, legal):
        """Takes the step and watches what comes of it."""
        self.seen = {}
        peer = self.peers[connection]
        waiting_for = None
        if action[0] == "dial":
            if peer is not None:
                peer.wire.drop()
            self.peers[connection] = Peer(self.port, action[1])
        elif peer is None or peer.closed:
            pass
        elif action[0] == "send":
            peer.send(action[1])
            if not peer.connected:
                self.watch(connection)
            elif legal:
                waiting_for = awaited(action[1], peer.acknowledging)
        elif action[0] == "acknowledge":
            peer.acknowledge(action[1])
        elif action[0] == "drop":
            peer.wire.drop()
            self.peers[connection] = None
            time.sleep(0.02)  # no answer says that the broker has seen it
        deadline = time.monotonic() + 2
        while waiting_for and not peer.closed and time.monotonic() < deadline:  # some answers wait for a disk
            if any(not isinstance(g, str) and (g.type, g.id) == waiting_for for g in self.watch(connection)):
                break
        self.settle()

    def watch(self, connection):
        got = self.peers[connection].round()
        if got or self.peers[connection].closed:
            self.seen.setdefault(connection, []).extend(got)
        return got

    def settle(self):
        quiet = 0
        while quiet < 2:
            quiet += 1
            for connection, peer in enumerate(self.peers):
                if peer is None or peer.closed or not peer.connected:
                    continue
                if self.watch(connection) or peer.closed:
                    quiet = 0

    def answer(self):
        """What each connection saw in this step: {connection: text}, only those that saw anything."""
        out = {}
        for connection, packets in sorted(self.seen.items()):
            texts = normal(packets)
            if self.peers[connection] is not None and self.peers[connection].closed:
                texts.append("closed")
            if texts:
                out[connection] = ", ".join(texts)
        return out

    def close(self):
        for peer in self.peers:
            if peer is not None:
                peer.wire.drop()
