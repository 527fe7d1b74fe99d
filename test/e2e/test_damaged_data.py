"""A damaged data directory: the start is refused with one line, and there is a way on."""
import pathlib
import shutil
import subprocess

import fleetward
import lake
import pytest
from devices import Thing


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The directory of a server that was killed, with things of every kind in it."""
    server = fleetward.Server(tmp_path_factory.mktemp("whole")).start()
    try:
        bucket = lake.bucket(server)
        lake.stream(server, "lake", bucket, seconds=900)
        lake.rule(server, "all", "SELECT * FROM 'all/#'", lake.firehose_action(server, "all", "lake", "\n"))
        with Thing(server, "device").client() as client:
            for n in range(200):
                client.publish("all/x", b'{"n":%d}' % n)
    finally:
        server.kill()
    return server


@pytest.fixture
def copy(killed, tmp_path):
    """A server on a copy of it."""
    server = fleetward.Server(tmp_path)
    shutil.copytree(killed.data_dir, server.data_dir)
    yield server
    server.kill()


def refusal(server):
    """What a start that must fail prints last."""
    done = subprocess.run(server.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ready" not in done.stdout
    return done.stderr.splitlines()[-1]


def garble(path, where):
    data = bytearray(path.read_bytes())
    at = int(len(data) * where)
    for i in range(at, min(at + 64, len(data))):
        data[i] ^= 0x5A
    path.write_bytes(data)


def only(paths):
    found = sorted(paths)
    assert found
    return found[-1]


DAMAGES = {
    "the log's WAL is gone": lambda d: [path.unlink() for path in (d / "log").glob("*.log")],
    "the log's WAL is cut": lambda d: cut(only((d / "log").glob("*.log")), 0.5),
    "the log's WAL is garbled": lambda d: garble(only((d / "log").glob("*.log")), 0.5),
    "MANIFEST is cut": lambda d: cut(only((d / "log").glob("MANIFEST-*")), 0.9),
    "MANIFEST is garbled": lambda d: garble(only((d / "log").glob("MANIFEST-*")), 0.5),
    "CURRENT is garbled": lambda d: garble(d / "log/CURRENT", 0),
    "the log's mark is gone": lambda d: (d / "log/acknowledged").unlink(),
    "the journal of state.db is gone": lambda d: (d / "state.db-wal").unlink(),
    "the journal of state.db is garbled": lambda d: garble(d / "state.db-wal", 0.5),
    "state.db is gone": lambda d: (d / "state.db").unlink(),
    "the mark of state.db is gone": lambda d: (d / "state.db.acknowledged").unlink(),
}


def cut(path, to):
    with open(path, "r+b") as file:
        file.truncate(int(path.stat().st_size * to))


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_refused_with_one_line(copy, damage):
    DAMAGES[damage](copy.data_dir)
    line = refusal(copy)
    assert line.startswith("fleetward: ") and "damaged-data.md" in line, line
    assert refusal(copy) == line or "writes were acknowledged" in refusal(copy)


def test_a_page_of_state_db_is_damaged(copy, killed):
    copy.start()
    assert copy.stop() == 0  # the journal is in the file now
    size = (copy.data_dir / "state.db").stat().st_size
    for page in range(1, size // 4096):
        whole = (copy.data_dir / "state.db").read_bytes()
        damaged = bytearray(whole)
        damaged[page * 4096:(page + 1) * 4096] = b"\x5a" * 4096
        (copy.data_dir / "state.db").write_bytes(damaged)
        assert refusal(copy).startswith("fleetward: control state: "), page
        (copy.data_dir / "state.db").write_bytes(whole)
        if page == 5:
            break


def test_what_is_missing_can_be_accepted(copy):
    DAMAGES["the log's WAL is cut"](copy.data_dir)
    (copy.data_dir / "state.db-wal").unlink()
    assert "control state: " in refusal(copy)
    copy.options = ["--accept-data-loss"]
    copy.start()
    assert "log_loss_accepted" in copy.log() and "state_loss_accepted" in copy.log()
    assert copy.stop() == 0
    copy.options = []
    copy.start()
    assert copy.stop() == 0


def test_a_log_that_cannot_be_read_can_be_begun_anew(copy):
    garble(copy.data_dir / "log/CURRENT", 0)
    refusal(copy)
    shutil.rmtree(copy.data_dir / "log")
    assert "log/CURRENT is missing" in refusal(copy)
    copy.options = ["--accept-data-loss"]
    copy.start()
    things = copy.boto("iot").list_things()["things"]
    assert [thing["thingName"] for thing in things] == ["device"]
    assert copy.stop() == 0
    copy.options = []
    copy.start()
