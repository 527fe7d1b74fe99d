"""Detect's engine against the reference model: both are given the same random histories and must say the same.

    HISTORIES=20000 tools/e2e.sh test/model     more of them
    SEED=1234 tools/e2e.sh test/model -k again  one of them again (DAYS=21: of the long ones; CROWD=1: of the crowds)
"""

import ipaddress
import json
import os
import pathlib
import random
import subprocess

import pytest

from histories import NUMERIC, START, STATISTICS, TICK, History, values_of
from reference import Reference

REPLAY = pathlib.Path(__file__).parents[2] / "build/release/test/fleetward_detect_replay"
HISTORIES = int(os.environ.get("HISTORIES", "2000"))
WEEKS = int(os.environ.get("WEEKS", "20"))  # histories of three weeks
CROWDS = int(os.environ.get("CROWDS", "40"))  # histories of many things, judged by percentiles
BATCH = 100


def normal_form(value):
    """Values as both write them: the order of a list and the spelling of an address mean nothing."""
    if isinstance(value, dict):
        (value,) = value.values()
    if isinstance(value, list):
        if all(isinstance(v, str) for v in value):
            value = [str(ipaddress.ip_address(v)) if ":" in v or v.count(".") == 3 else v for v in value]
        return sorted(set(value), key=str)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def said_by_engine(answer, open_violations):
    """Its effects; a violation begins once and ends once."""
    assert "error" not in answer and "rejected" not in answer, answer
    out = []
    for event in answer.get("events", []):
        about = (event["thing"], event["profile"], event["behavior"])
        if event["type"] == "in-alarm":
            assert event["id"] not in open_violations
            open_violations[event["id"]] = (about, event["time"])
        else:
            begun, started = open_violations.pop(event["id"])
            if event["profile"] is None:  # it went away while the process was down: the violation's record knows it
                about = begun
            assert (about, event["started"]) == (begun, started)
        out.append(("event", event["type"], event["time"], *about, normal_form(event["value"])))
    return out + [("kept", *kept[:3], normal_form(kept[3])) for kept in answer.get("kept", [])]


def said_by_reference(model, step):
    if step["op"] == "configure":
        model.configure(step["custom_metrics"], step["profiles"], step["members"])
        return []
    if step["op"] == "report":
        return model.report(step["thing"], step["time"], step["body"]["header"]["report_id"], values_of(step["body"]))
    if step["op"] == "observe":
        return model.observe(step["thing"], step["time"], step)
    if step["op"] == "tick":
        return model.tick(step["time"])
    if step["op"] == "thresholds":
        return model.thresholds()
    return []  # a restart changes nothing


def run(histories):
    """Every history through one process; the answers, a list for each."""
    commands = "".join(json.dumps(step) + "\n" for history in histories for step in history.steps)
    done = subprocess.run([REPLAY], input=commands, capture_output=True, text=True, check=True)
    answers = iter(done.stdout.splitlines())
    return [[json.loads(next(answers)) for _ in history.steps] for history in histories]


def compare(seed, history, answers):
    model = Reference(*(history.options[name] for name in ("tick_ms", "silence_ms", "forget_ms", "population_min")))
    open_violations = {}
    events = 0
    for at, (step, answer) in enumerate(zip(history.steps, answers)):
        expected = [(*e[:-1], normal_form(e[-1])) for e in said_by_reference(model, step)]
        seen = said_by_engine(answer, open_violations)
        assert sorted(map(repr, seen)) == sorted(map(repr, expected)), f"SEED={seed}, step {at}: {json.dumps(step)}"
        events += sum(e[0] == "event" for e in seen)
    return events


def check(seeds, **length):
    histories = [History(seed, **length) for seed in seeds]
    return sum(compare(seed, history, answers) for seed, history, answers in zip(seeds, histories, run(histories)))


@pytest.mark.parametrize("first", range(0, HISTORIES, BATCH))
def test_the_engine_and_the_reference_model_agree(first):
    assert check(range(first, first + BATCH)) > BATCH, "histories in which nothing happens prove nothing"


@pytest.mark.parametrize("first", range(0, CROWDS, BATCH // 10))
def test_they_agree_on_crowds(first):
    assert check(range(first, first + BATCH // 10), crowd=True, length=600) > BATCH


class LargeFleet:
    """As many devices as percentiles are exact for, each with values of its own; every percentile, every operator."""

    def __init__(self, devices, seed):
        r = random.Random(seed)
        self.options = {"tick_ms": TICK, "silence_ms": 3_600_000, "forget_ms": 86_400_000, "population_min": 2}
        things = [f"t{i}" for i in range(devices)]
        behaviors = [{"name": f"{statistic}-{operator}".replace(".", "_"), "metric": metric, "criteria": {
            "comparisonOperator": operator, "statisticalThreshold": {"statistic": statistic}, "durationSeconds": 600}}
            for statistic in STATISTICS for operator, metric in zip(NUMERIC, (
                "aws:all-bytes-out", "aws:all-packets-in", "duty", "aws:num-established-tcp-connections"))]
        self.steps = [{"op": "fleet", **self.options, "partitions": 4},
                      {"op": "configure", "custom_metrics": {"duty": "number"}, "members": {t: [0] for t in things},
                       "profiles": [{"securityProfileName": "p", "behaviors": behaviors}]}]
        tick = START + TICK
        for i, thing in enumerate(r.sample(things, devices)):
            body = {"header": {"report_id": i + 1, "version": "1.0"}, "metrics": {
                "network_stats": {"bytes_out": r.randrange(10 ** 9), "packets_in": r.choice([0, 7, 7, 8, i])},
                "tcp_connections": {"established_connections": {"connections": [], "total": r.randrange(100)}}},
                "custom_metrics": {"duty": [{"number": round(r.expovariate(0.1), 3)}]}}
            self.steps.append({"op": "report", "thing": thing, "time": tick - r.randint(1, TICK), "body": body})
        self.steps += [{"op": "tick", "time": tick, "slice": 1000}, {"op": "thresholds", "slice": 1000}]


def test_percentiles_are_exact_below_ten_thousand_devices():
    fleet = LargeFleet(9_999, 1)
    assert compare(1, fleet, *run([fleet])) > 9_999 * 11


@pytest.mark.parametrize("seed", range(WEEKS))
def test_they_agree_over_three_weeks(seed):
    assert check([seed], days=21) > 10


@pytest.mark.skipif("SEED" not in os.environ, reason="SEED names one history")
def test_one_again():
    length = {"days": int(os.environ["DAYS"])} if "DAYS" in os.environ else {}
    if "CROWD" in os.environ:
        length = {"crowd": True, "length": 600}
    check([int(os.environ["SEED"])], **length)
