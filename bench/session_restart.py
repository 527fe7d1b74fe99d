#!/usr/bin/env python3
"""Restart with SESSIONS persistent sessions that are away, each with MESSAGES queued messages of its own (QoS 1, 300 B):
kill -9, start, and how long until the server is ready and a session has its messages. Every 100th session is looked at.

    bench/session_restart.py [--sessions 100000] [--messages 10] [--fleetward build/release/fleetward]
"""
import argparse
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from queued_sessions import ROOT, cpu_seconds, packet, text

PAYLOAD = b"x" * 300
CONFIG = """[broker]
queued_bytes_max = "16GiB"
sessions_max = 1000000
[log]
queue_bytes_max = "256MiB"
"""
BATCH = 500


def start(binary, directory):
    (directory / "fleetward.toml").write_text(CONFIG)
    listeners = [f"--{name}-listen=127.0.0.1:0" for name in ("api", "api-tls", "mqtts", "alpn", "mqtt")]
    started = time.monotonic()
    server = subprocess.Popen([binary, "serve", "--data-dir", directory / "data", "--config", directory / "fleetward.toml",
                               "--mqtt-policy", "open", *listeners], stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline().startswith("ready")
    host, port = json.loads((directory / "data/endpoints.json").read_text())["mqtt"].rsplit(":", 1)
    return server, (host, int(port)), time.monotonic() - started


def connect(address, client_id, clean):
    connection = socket.create_connection(address)
    connection.sendall(packet(0x10, text("MQTT") + bytes([4, 2 if clean else 0, 0, 60]) + text(client_id)))
    answer = connection.recv(4, socket.MSG_WAITALL)
    assert answer[3:] == b"\0", f"refused: {answer}"
    return connection, answer[2] == 1


def leave_all(address, sessions):
    """BATCH at a time, so that they share the log's syncs."""
    for first in range(0, sessions, BATCH):
        batch = []
        for i in range(first, min(first + BATCH, sessions)):
            connection = socket.create_connection(address)
            connection.sendall(packet(0x10, text("MQTT") + bytes([4, 0, 0, 60]) + text(f"away-{i}")) +
                               packet(0x82, b"\0\1" + text(f"away/{i}") + b"\1"))
            batch.append(connection)
        for connection in batch:
            answers = connection.recv(9, socket.MSG_WAITALL)
            assert answers == b"\x20\2\0\0\x90\3\0\1\1", f"refused: {answers}"
            connection.sendall(packet(0xE0, b""))
            connection.close()


def publish_all(address, sessions, messages):
    connection, _ = connect(address, "publisher", True)
    for first in range(0, sessions * messages, BATCH):
        last = min(first + BATCH, sessions * messages)
        out = bytearray()
        for n in range(first, last):
            body = text(f"away/{n % sessions}") + (n - first + 1).to_bytes(2, "big") + PAYLOAD
            out += bytes([0x32, len(body) % 128 + 128, len(body) // 128]) + body
        connection.sendall(out)
        acks = connection.recv(4 * (last - first), socket.MSG_WAITALL)
        assert acks == b"".join(b"\x40\2" + (i + 1).to_bytes(2, "big") for i in range(last - first)), "not acknowledged"
    connection.close()


def queued(address, session, messages):
    """Takes what waits for a session; the messages must be all."""
    connection, present = connect(address, f"away-{session}", False)
    assert present, f"session {session} is gone"
    topic = text(f"away/{session}")
    size = 3 + len(topic) + 2 + len(PAYLOAD)
    got = connection.recv(size * messages, socket.MSG_WAITALL)
    assert len(got) == size * messages and got.count(topic) == messages, f"session {session} lost messages"
    connection.close()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sessions", type=int, default=100_000)
    options.add_argument("--messages", type=int, default=10)
    options.add_argument("--fleetward", default=ROOT / "build/release/fleetward")
    options = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fleetward-bench-"))
    server, address, _ = start(options.fleetward, directory)
    try:
        leave_all(address, options.sessions)
        publish_all(address, options.sessions, options.messages)
        server.kill()
        server.wait()
        server, address, ready = start(options.fleetward, directory)
        cpu = cpu_seconds(server.pid)
        rss = next(int(line.split()[1]) for line in open(f"/proc/{server.pid}/status") if line.startswith("VmRSS"))
        started = time.monotonic()
        queued(address, 0, options.messages)
        first = time.monotonic() - started
        for session in range(100, options.sessions, 100):
            queued(address, session, options.messages)
        print(f"{options.sessions:,} sessions, {options.sessions * options.messages:,} queued messages: ready after {ready:.2f} s "
              f"({cpu:.2f} s of CPU), the first session has its messages {first * 1000:.1f} ms later; {rss / 1024:,.0f} MB resident")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
