#!/usr/bin/env python3
"""What persistent sessions that are away cost: SESSIONS of them subscribe to `#` and disconnect, then a burst of
MESSAGES (QoS 1, 300 B) is published into all their queues.

    bench/queued_sessions.py [--sessions 100] [--messages 10000] [--fleetward build/release/fleetward]
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(kind, body):
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


def leave_session(address, client_id):
    with socket.create_connection(address) as connection:
        connection.sendall(packet(0x10, text("MQTT") + bytes([4, 0, 0, 60]) + text(client_id)))
        assert connection.recv(4)[3:] == b"\0", "refused"
        connection.sendall(packet(0x82, b"\0\1" + text("#") + b"\1"))
        assert connection.recv(5)[4:] == b"\1", "not subscribed"
        connection.sendall(packet(0xE0, b""))


def metric(api, name):
    for line in urllib.request.urlopen(f"http://{api}/metrics").read().decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--sessions", type=int, default=100)
    options.add_argument("--messages", type=int, default=10_000)
    options.add_argument("--fleetward", default=ROOT / "build/release/fleetward")
    options = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fleetward-bench-"))
    config = directory / "fleetward.toml"
    config.write_text('[broker]\nqueued_bytes_max = "16GiB"\nqueue_bytes_max = "1GiB"\nqueue_messages_max = 1000000\n'
                      '[log]\nqueue_bytes_max = "256MiB"\n')
    listeners = [f"--{name}-listen=127.0.0.1:0" for name in ("api", "api-tls", "mqtts", "alpn", "mqtt")]
    server = subprocess.Popen([options.fleetward, "serve", "--data-dir", directory / "data", "--config", config,
                               "--mqtt-policy", "open", *listeners], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline().startswith("ready")
        endpoints = json.loads((directory / "data/endpoints.json").read_text())
        host, port = endpoints["mqtt"].rsplit(":", 1)
        for i in range(options.sessions):
            leave_session((host, int(port)), f"away-{i}")
        written, cpu, started = metric(endpoints["api"], "fleetward_log_written_bytes_total"), cpu_seconds(server.pid), time.monotonic()
        subprocess.run([ROOT / "build/release/bench/fleetward-load", "--port", port, "--connections", "10", "--count",
                        str(options.messages)], check=True, stdout=subprocess.DEVNULL)
        seconds, cpu = time.monotonic() - started, cpu_seconds(server.pid) - cpu
        written = metric(endpoints["api"], "fleetward_log_written_bytes_total") - written
        rss = next(int(line.split()[1]) for line in open(f"/proc/{server.pid}/status") if line.startswith("VmRSS"))
        print(f"{options.sessions} sessions, {options.messages} messages: {seconds:.1f} s, {options.messages / seconds:,.0f} "
              f"messages/s, {cpu:.1f} s of CPU, {written / 1e6:,.0f} MB into the log, {rss / 1024:,.0f} MB resident")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
