#!/usr/bin/env python3
"""The whole pipeline beside a bare broker, in one run: Debian's mosquitto without anything, and Fleetward with an IoT
policy, cloud-side counters and a rule that hands every message to a delivery stream, durable before its PUBACK.

    tools/venv.sh && build/venv/bin/python bench/pipeline.py [--seconds S] [--windows 100 10 1] [--rest]

--rest: a disk of memory for the data directory (/dev/shm), to tell the program's share from the disk's."""
import argparse
import json
import pathlib
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
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/*"},
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/bench/*"}]}


def load(port, pid, window, seconds):
    out = subprocess.run([str(LOAD), "--port", str(port), "--connections", "50", "--payload", "300", "--window",
                          str(window), "--duration", str(seconds), "--topic", "bench/%i/telemetry", "--server-pid",
                          str(pid), "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def mosquitto(directory, windows, seconds):
    config = directory / "mosquitto.conf"
    config.write_text("listener 21884 127.0.0.1\nallow_anonymous true\npersistence false\n"
                      "max_inflight_messages 0\nmax_queued_messages 0\nlog_type error\n")
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with subprocess.Popen([binary, "-c", str(config)]) as process:
        time.sleep(0.5)
        try:
            return [load(21884, process.pid, window, seconds) for window in windows]
        finally:
            process.terminate()


def pipeline(directory, windows, seconds):
    server = fleetward.Server(directory, options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "bench"]).start()
    try:
        server.boto("iot").create_policy(policyName="bench", policyDocument=json.dumps(POLICY))
        bucket = lake.bucket(server)
        stream = lake.stream(server, "bench", bucket, seconds=60)
        lake.rule(server, "bench", "SELECT * FROM 'bench/#'", lake.firehose_action(server, "bench", stream, "\n"))
        port = int(server.endpoints["mqtt"].rsplit(":", 1)[1])
        return [load(port, server.process.pid, window, seconds) for window in windows]
    finally:
        server.stop(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--windows", type=int, nargs="+", default=[100, 10, 1])
    parser.add_argument("--rest", action="store_true")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if options.rest else None))
    try:
        bare = mosquitto(directory, options.windows, options.seconds)
        whole = pipeline(directory, options.windows, options.seconds)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'window':<8}{'server':<30}{'messages/s':>12}{'per CPU-s':>12}{'p50 us':>10}{'p99 us':>10}{'ratio':>8}")
    for window, base, ours in zip(options.windows, bare, whole):
        for name, result in (("mosquitto, bare", base), ("fleetward, whole pipeline", ours)):
            ratio = result["published_per_s"] / base["published_per_s"]
            print(f"{window:<8}{name:<30}{result['published_per_s']:>12.0f}"
                  f"{result['published_per_server_cpu_s'] or 0:>12.0f}{result['publish_us']['p50']:>10.0f}"
                  f"{result['publish_us']['p99']:>10.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
