#!/usr/bin/env python3
"""Mutual TLS: full and resumed handshakes beside `openssl s_server` with the same certificates (P-256, TLS 1.3), and the
steady rate of QoS 1 publishes over TLS beside the same over plain TCP, and the memory of idle connections of both.

    tools/venv.sh && build/venv/bin/python bench/tls.py [--seconds S] [--idle N]"""
import argparse
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test/e2e"))
import fleetward  # noqa: E402

BENCH = ROOT / "build/release/bench"
DEVICES = 50
ANY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


def run(program, *options):
    return json.loads(subprocess.run([str(BENCH / program), *map(str, options)], check=True, stdout=subprocess.PIPE,
                                     text=True).stdout)


def handshakes(name, port, pid, ca, device, seconds):
    for label, extra in ("full", []), ("resumed", ["--resume"]):
        result = run("fleetward-handshakes", "--port", port, "--ca", ca, "--cert", f"{device}.pem", "--key", f"{device}.key",
                     "--duration", seconds, "--server-pid", pid, *extra)
        yield f"{name}, {label}", result
        if extra and result["resumed"] < result["handshakes"] * 0.9:
            print(f"{name}: only {result['resumed']} of {result['handshakes']} were resumed")


def wait_port(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def openssl(pki, ca, device, seconds):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", str(port), "-cert", pki / "server.pem", "-cert_chain", pki / "server.pem",
               "-key", pki / "server.key", "-Verify", "1", "-quiet", "-tls1_3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_port(port)
        yield from handshakes("openssl s_server", port, process.pid, ca, device, seconds)
        process.terminate()


def publishes(server, devices, seconds):
    plain = ["--port", server.endpoints["mqtt"].rsplit(":", 1)[1]]
    tls = ["--host", "localhost", "--port", server.mqtts_port, "--ca", server.ca, "--credentials", devices]
    for window in 100, 10, 1:
        for name, options in ("plain", plain), ("TLS", tls):
            yield f"{name}, window {window}", run("fleetward-load", *options, "--connections", DEVICES, "--window", window,
                                                  "--topic", "fleet/%i/telemetry", "--duration", seconds, "--server-pid",
                                                  server.process.pid, "--json")


def idle(server, device, count):
    tls = ["--host", "localhost", "--port", server.mqtts_port, "--ca", server.ca, "--cert", f"{device}.pem", "--key",
           f"{device}.key"]
    for name, options in ("plain", ["--port", server.endpoints["mqtt"].rsplit(":", 1)[1]]), ("TLS", tls):
        yield name, run("fleetward-load", *options, "--idle", "--connections", count, "--duration", 1, "--server-pid",
                        server.process.pid, "--json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=5000)
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp())
    server = fleetward.Server(directory, options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "open"]).start()
    try:
        devices = directory / "devices"
        subprocess.run([str(fleetward.BINARY), "simulate", "--data-dir", server.data_dir, "--credentials", devices, "--devices",
                        str(DEVICES), "--duration", "1"], check=True, stdout=subprocess.DEVNULL)
        device = next(devices.glob("*.pem")).with_suffix("")
        for name, r in [*openssl(server.data_dir / "pki", server.ca, device, options.seconds),
                        *handshakes("fleetward", server.mqtts_port, server.process.pid, server.ca, device, options.seconds)]:
            print(f"handshakes, {name:<28}{r['per_s']:>8.0f} /s {r['per_server_cpu_s']:>8.0f} per CPU-s of the server")
        for name, r in publishes(server, devices, options.seconds):
            print(f"publishes, {name:<29}{r['published_per_s']:>8.0f} /s {r['published_per_server_cpu_s']:>8.0f} per CPU-s of "
                  f"the server, p50 {r['publish_us']['p50']:.0f} us, p99 {r['publish_us']['p99']:.0f} us")
        server.boto("iot").create_policy(policyName="any", policyDocument=json.dumps(ANY))
        for target in server.boto("iot").list_thing_principals(thingName=device.name)["principals"]:
            server.boto("iot").attach_policy(policyName="any", target=target)
        for name, r in idle(server, device, options.idle):
            print(f"{options.idle} idle connections, {name:<16}{r['server_connection_bytes']:>8.0f} B each of the server's memory")
    finally:
        server.stop(60)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
