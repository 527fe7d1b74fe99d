"""A disk that turns read-only while the server runs, as Linux makes it after an I/O error: nothing is acknowledged, the
reason is shown; after the repair everything acknowledged is there, once.

An ordinary remount is no test: the kernel refuses it while files are open for writing, and lets a file system that it
turned read-only be written again only after it was unmounted. (test_disk_full.py shows the resumption in place.)"""
import json
import pathlib
import subprocess

import fleetward
import lake
import pytest
import requests
from devices import Thing, wait_for


class Disk:
    """An ext4 file system in a file."""

    def __init__(self, directory):
        self.image, self.directory = directory / "image", directory / "mounted"
        self.directory.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(400 << 20)
        self.run("mkfs.ext4", "-q", self.image)
        self.device = self.run("losetup", "-f", "--show", self.image).strip()
        try:
            self.mount()
        except PermissionError:
            self.run("losetup", "-d", self.device)
            raise

    @staticmethod
    def run(*command, statuses=(0,)):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode not in statuses:
            raise PermissionError(f"{command}: {done.stderr}")
        return done.stdout

    def mount(self):
        self.run("mount", "-o", "errors=remount-ro", self.device, self.directory)

    def turn_read_only(self):
        error = pathlib.Path("/sys/fs/ext4") / pathlib.Path(self.device).name / "trigger_fs_error"
        error.write_text("a test")

    def repair(self):
        self.run("umount", self.directory)
        self.run("e2fsck", "-f", "-y", self.device, statuses=(0, 1))
        self.mount()

    def remove(self):
        subprocess.run(["umount", "-l", str(self.directory)], capture_output=True)
        self.run("losetup", "-d", self.device)


@pytest.fixture
def disk(tmp_path):
    try:
        disk = Disk(tmp_path)
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f"needs the right to mount a loop device: {error}")
    yield disk
    disk.remove()


def health(server):
    return requests.get(f"{server.api_url}/health", timeout=10).json()


def test_a_read_only_disk_stops_acknowledgements_and_loses_nothing(disk, tmp_path):
    config = fleetward.DEFAULT_CONFIG + '[lake]\nfree_bytes_min = "1MiB"\n[delivery]\nretry_max = "1s"\n'
    server = fleetward.Server(disk.directory, config=config)
    server.log_file = tmp_path / "server.log"
    server.start()
    try:
        bucket = lake.bucket(server)
        lake.stream(server, "ro", bucket)
        lake.rule(server, "ro", "SELECT * FROM 'ro/#'", lake.firehose_action(server, "ro", "ro", "\n"))
        with Thing(server, "device").client(clean=False) as client:
            publish = lambda n: client.paho.publish("ro/x", json.dumps({"n": n}), 1)
            acknowledged = [publish(n) for n in range(200)]
            for info in acknowledged:
                info.wait_for_publish(30)
                assert info.is_published()
            disk.turn_read_only()
            waiting = [publish(n) for n in range(200, 220)]
            wait_for(lambda: health(server)["status"] == "degraded", what="/health to tell")
            reasons = json.dumps(health(server)["reasons"])
            assert "read-only file system" in reasons.lower(), reasons
            assert "read-only file system" in server.log().lower()
            assert not any(info.is_published() for info in waiting)
            with pytest.raises(Exception, match="(?i)unavailable|failure|internal"):
                server.boto("iot").create_thing(thingName="refused")
            server.keep_ports()
            assert server.stop() == 0
            disk.repair()
            server.start()
            assert health(server)["status"] == "ok"
            for info in waiting:  # Paho connects again and sends what was not acknowledged
                info.wait_for_publish(60)
                assert info.is_published()
        wait_for(lambda: {r["n"] for r in lake.records(server, bucket)} == set(range(220)), timeout=60,
                 what="every record")
        numbers = [r["n"] for r in lake.records(server, bucket) if r["n"] < 200]
        assert len(numbers) == len(set(numbers)), "what was acknowledged is delivered once"
        assert server.stop() == 0
    finally:
        server.kill()
