#!/usr/bin/env python3
"""The whole pipeline beside bare brokers, in one run: Debian's mosquitto (and other peers) without anything, and Fleetward
with an IoT policy and cloud-side counters, first so, then with a rule that hands every message to a delivery stream,
durable before its PUBACK. For the latter, what the disk allows: a loop that appends as many messages as are in flight
at a time to a file and calls fdatasync.

    tools/venv.sh && build/venv/bin/python bench/pipeline.py [--seconds S] [--windows 100 10 1] [--rest]
                                                             [--peer NAME PORT COMMAND]...

--rest: a disk of memory for the data directory (/dev/shm), to tell the program's share from the disk's.
--peer: a further broker, started with COMMAND, reached at PORT."""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test/e2e"))
import fleetward  # noqa: E402
import lake  # noqa: E402

LOAD = ROOT / "build/release/bench/fleetward-load"
CONNECTIONS, PAYLOAD = 50, 300
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/*"},
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/bench/*"}]}


def load(port, pid, window, seconds):
    out = subprocess.run([str(LOAD), "--port", str(port), "--connections", str(CONNECTIONS), "--payload", str(PAYLOAD), "--window",
                          str(window), "--duration", str(seconds), "--topic", "bench/%i/telemetry", "--server-pid",
                          str(pid), "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def bare(command, port, windows, seconds):
    with subprocess.Popen(command) as process:
        time.sleep(0.5)
        try:
            return [load(port, process.pid, window, seconds) for window in windows]
        finally:
            process.terminate()


def mosquitto(directory, windows, seconds):
    config = directory / "mosquitto.conf"
    config.write_text("listener 21884 127.0.0.1\nallow_anonymous true\npersistence false\n"
                      "max_inflight_messages 0\nmax_queued_messages 0\nlog_type error\n")
    return bare([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(config)], 21884, windows, seconds)


def append_loop(directory, window, seconds):
    """Messages per second of one file, with a sync for as many as are in flight."""
    batch = b"x" * (PAYLOAD * CONNECTIONS * window)
    file = os.open(directory / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started, count = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        os.write(file, batch)
        os.fdatasync(file)
        count += CONNECTIONS * window
    elapsed = time.monotonic() - started
    os.close(file)
    (directory / "append").unlink()
    return {"published_per_s": count / elapsed}


def pipeline(directory, windows, seconds):
    server = fleetward.Server(directory, options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "bench"]).start()
    try:
        server.boto("iot").create_policy(policyName="bench", policyDocument=json.dumps(POLICY))
        port = int(server.endpoints["mqtt"].rsplit(":", 1)[1])
        counted = [load(port, server.process.pid, window, seconds) for window in windows]
        bucket = lake.bucket(server)
        stream = lake.stream(server, "bench", bucket, seconds=60)
        lake.rule(server, "bench", "SELECT * FROM 'bench/#'", lake.firehose_action(server, "bench", stream, "\n"))
        appended, durable = [], []
        for window in windows:  # in turn, on the same disk at about the same time
            appended.append(append_loop(directory, window, seconds))
            durable.append(load(port, server.process.pid, window, seconds))
        return {"fleetward, policy and counters": counted, "append loop": appended, "fleetward, whole pipeline": durable}
    finally:
        server.stop(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--windows", type=int, nargs="+", default=[100, 10, 1])
    parser.add_argument("--rest", action="store_true")
    parser.add_argument("--peer", action="append", nargs=3, default=[], metavar=("NAME", "PORT", "COMMAND"))
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if options.rest else None))
    try:
        rows = {"mosquitto, bare": mosquitto(directory, options.windows, options.seconds)}
        for name, port, command in options.peer:
            rows[f"{name}, bare"] = bare(shlex.split(command), int(port), options.windows, options.seconds)
        rows |= pipeline(directory, options.windows, options.seconds)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'window':<8}{'server':<32}{'messages/s':>12}{'per CPU-s':>12}{'p50 us':>10}{'p99 us':>10}")
    for number, window in enumerate(options.windows):
        for name, results in rows.items():
            result = results[number]
            latency = result.get("publish_us", {})
            print(f"{window:<8}{name:<32}{result['published_per_s']:>12.0f}"
                  f"{result.get('published_per_server_cpu_s', 0):>12.0f}{latency.get('p50', 0):>10.0f}"
                  f"{latency.get('p99', 0):>10.0f}")


if __name__ == "__main__":
    main()
