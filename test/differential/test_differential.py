"""The same random sequences to Fleetward and to Debian's mosquitto: the answers differ only as differences.txt says."""
import collections
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import fleetward  # noqa: E402
from play import Player  # noqa: E402
from sequences import CONNECTIONS, Sequence  # noqa: E402

SEQUENCES = int(os.environ.get("SEQUENCES", 40))
SEED = int(os.environ.get("SEED", 1))
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
Difference = collections.namedtuple("Difference", "label ours theirs reason")


def read_differences():
    out = []
    for line in (pathlib.Path(__file__).parent / "differences.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            label, ours, theirs, reason = line.split(" | ")
            out.append(Difference(re.compile(label), re.compile(ours), re.compile(theirs), reason))
    return out


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory):
    """Its port."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    directory = tmp_path_factory.mktemp("mosquitto")
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 100\n"
                      f"set_tcp_nodelay true\nuser root\nlog_dest none\n")
    running = subprocess.Popen([MOSQUITTO, "-c", str(config)])
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    running.terminate()
    running.wait(10)


@pytest.fixture(scope="module")
def ours():
    """The port of a server with one shard, so that a step's deliveries are over when its pings are answered."""
    directory = fleetward.scratch_directory()
    running = fleetward.Server(directory, config=fleetward.STANDARD_CONFIG + "shards = 1\n", options=fleetward.PLAIN).start()
    yield running.mqtt_port
    status = running.stop()
    fleetward.remove(directory)
    assert status == 0


def explain(label, answers, differences):
    """The kinds of difference, one a connection, that are not in the list, and those of the list that explain the others."""
    kinds, explained = [], []
    for connection in sorted(answers[0].keys() | answers[1].keys()):
        ours, theirs = (answer.get(connection, "nothing") for answer in answers)
        if ours == theirs:
            continue
        known = next((d for d in differences if d.label.fullmatch(label) and d.ours.fullmatch(ours)
                      and d.theirs.fullmatch(theirs)), None)
        if known is None:
            kinds.append(f"{label} | {ours} | {theirs}")
        else:
            explained.append(known)
    return kinds, explained


def compare(seed, ports, differences, used):
    """(what differs without being in the list, the story up to there, whether the sequence came to its end)"""
    players = [Player(port, CONNECTIONS) for port in ports]
    history = [f"SEED={seed} SEQUENCES=1"]
    try:
        for label, connection, action in Sequence(seed).steps:
            legal = label.split(" ")[0] not in ("illegal", "illegal:", "stray")
            for player in players:
                player.play(connection, action, legal)
            for _ in range(40):
                answers = [player.answer() for player in players]
                kinds, explained = explain(label, answers, differences)
                if not kinds:
                    break
                time.sleep(0.05)
                for player in players:
                    player.settle()
            shown = action[1].hex() if action[0] == "send" else " ".join(map(str, action))
            history.append(f"  {connection} {label}: {shown}\n      -> {answers[0] or 'nothing'}")
            used.update(explained)
            if kinds:
                history.append(f"  mosquitto {answers[1] or 'nothing'}")
                return [kind.replace(f"d{seed}/", "") for kind in kinds], "\n".join(history), False
            if not all(known.reason.startswith("same:") for known in explained):
                return [], "", False
        return [], "", True
    finally:
        for player in players:
            player.close()


def test_the_same_answers_as_mosquitto(ours, mosquitto):
    differences, used = read_differences(), collections.Counter()
    unknown, stories, whole = collections.Counter(), [], 0
    for seed in range(SEED, SEED + SEQUENCES):
        kinds, story, ended = compare(seed, (ours, mosquitto), differences, used)
        whole += ended
        unknown.update(kinds)
        stories += [story] if story else []
    print(f"\n{SEQUENCES} sequences, {whole} of them to their end")
    for known, times in used.most_common():
        print(f"  {times} times: {known.label.pattern} | {known.reason}")
    kinds = "\n".join(f"{times} times: {kind}" for kind, times in unknown.most_common())
    told = "\n".join(stories[:3])
    assert not unknown, f"differences that are not in the list:\n{kinds}\nThe first:\n{told}"
