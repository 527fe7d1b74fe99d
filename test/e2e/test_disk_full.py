"""A full disk: nothing is acknowledged, the reason is shown, and it goes on by itself when there is room."""
import json
import os
import pathlib
import subprocess
import time

import fleetward
import pytest
import requests
from devices import Thing, wait_for
import lake


@pytest.fixture
def small_disk():
    """A file system of 400 MiB, in memory."""
    directory = fleetward.scratch_directory()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", directory], capture_output=True)
    if mounted.returncode != 0:
        fleetward.remove(directory)
        pytest.skip("needs the right to mount a tmpfs")
    yield pathlib.Path(directory)
    subprocess.run(["umount", "-l", directory], check=True)
    fleetward.remove(directory)


def fill(directory):
    """Takes all the room there is; the file that holds it."""
    path = directory / "ballast"
    with open(path, "wb", buffering=0) as file:
        chunk = b"\0" * (1 << 20)
        while chunk:
            try:
                file.write(chunk)
            except OSError:
                chunk = chunk[: len(chunk) // 2]
    return path


def health(server):
    return requests.get(f"{server.api_url}/health", timeout=10).json()


def test_a_full_disk_stops_acknowledgements_and_recovers(small_disk, tmp_path):
    config = fleetward.DEFAULT_CONFIG + '[lake]\nfree_bytes_min = "1MiB"\n[delivery]\nretry_max = "1s"\n'
    server = fleetward.Server(small_disk, config=config)
    server.log_file = tmp_path / "server.log"
    server.start()
    try:
        bucket = lake.bucket(server)
        lake.stream(server, "full", bucket)
        lake.rule(server, "full", "SELECT * FROM 'full/#'", lake.firehose_action(server, "full", "full", "\n"))
        device = Thing(server, "device")
        with device.client() as client:
            client.publish("full/x", b'{"n":0}')
            ballast = fill(small_disk)
            sent, acknowledged = 1, []
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and health(server)["status"] == "ok":
                info = client.paho.publish("full/x", json.dumps({"n": sent, "pad": "x" * 100_000}), 1)
                acknowledged.append((sent, info))
                sent += 1
            state = health(server)
            assert state["status"] == "degraded" and "space" in json.dumps(state["reasons"]).lower(), state
            waiting = next(info for _, info in reversed(acknowledged) if not info.is_published())
            assert "space" in server.log().lower()
            os.unlink(ballast)
            wait_for(lambda: health(server)["status"] == "ok", timeout=60, what="the recovery")
            waiting.wait_for_publish(30)
            assert waiting.is_published()
        expected = {n for n, info in acknowledged if info.is_published()} | {0}
        wait_for(lambda: expected <= {r["n"] for r in lake.records(server, bucket)}, timeout=60, what="every record")
        numbers = [r["n"] for r in lake.records(server, bucket)]
        assert len(numbers) == len(set(numbers)), "delivered twice"
        assert server.stop() == 0
    finally:
        server.kill()
