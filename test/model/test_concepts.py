"""The examples of docs/concepts/detect.md, run: after each line exactly the events behind its `=>` must come."""

import json
import pathlib
import re
import subprocess

import pytest

from test_detect_model import REPLAY

PAGE = pathlib.Path(__file__).parents[2] / "docs/concepts/detect.md"
EXAMPLES = re.findall(r"```detect\n(.*?)```", PAGE.read_text(), re.S)
DAY = 1_767_225_600_000  # a multiple of the tick
LINE = re.compile(r"(\d\d):(\d\d):(\d\d) (?:(\S+) )?(report|observe|tick) *(.*?) *(?:=> (.*))?$")
CUSTOM = {"rssi": "number"}


def report_of(fields, report_id):
    metrics, custom = {}, {}
    for name, text in fields.items():
        if direction := re.fullmatch(r"all-(bytes|packets)-(in|out)", name):
            metrics.setdefault("network_stats", {})["_".join(direction.groups())] = int(text)
        elif listening := re.fullmatch(r"num-listening-(tcp|udp)-ports", name):
            metrics[f"listening_{listening[1]}_ports"] = {"total": int(text)}
        elif listening := re.fullmatch(r"listening-(tcp|udp)-ports", name):
            metrics[f"listening_{listening[1]}_ports"] = {"ports": [{"port": int(p)} for p in text.split(",") if p]}
        elif name == "destination-ip-addresses":
            metrics["tcp_connections"] = {"established_connections": {
                "connections": [{"remote_addr": f"{a}:443"} for a in text.split(",") if a]}}
        else:
            assert name in CUSTOM, name
            custom[name] = [{"number": float(text)}]
    return {"header": {"report_id": report_id, "version": "1.0"}, "metrics": metrics, "custom_metrics": custom}


def observation_of(fields):
    seen = {k: int(v) for k, v in fields.items() if k not in ("sizes", "connected")}
    if "sizes" in fields:  # total, smallest, largest
        seen["sizes"] = [int(n) for n in fields["sizes"].split(",")]
    return {**seen, "connected": "connected" in fields}


def commands_of(example):
    behaviors, steps = [], []
    for number, line in enumerate(example.splitlines()):
        if line.startswith("behavior "):
            behaviors.append({"name": f"b{len(behaviors)}", **json.loads(line.removeprefix("behavior "))})
            continue
        hours, minutes, seconds, thing, op, rest, expected = LINE.fullmatch(line).groups()
        fields = dict(word.split("=") if "=" in word else (word, "") for word in rest.split())
        step = {"op": op, "time": DAY + ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000}
        if op != "tick":
            step["thing"] = thing
        if op == "report":
            step["body"] = report_of(fields, number)
        if op == "observe":
            step |= observation_of(fields)
        steps.append((line, step, expected or ""))
    things = {step["thing"] for _, step, _ in steps if "thing" in step}
    profile = {"securityProfileName": "p", "behaviors": behaviors}
    return [{"op": "fleet"}, {"op": "configure", "custom_metrics": CUSTOM, "profiles": [profile],
                              "members": {thing: [0] for thing in things}}], steps


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example):
    begin, steps = commands_of(example)
    # Percentiles are made after each line: there are new ones after a tick only.
    commands = begin + [command for _, step, _ in steps for command in (step, {"op": "thresholds"})]
    lines = "".join(json.dumps(command) + "\n" for command in commands)
    done = subprocess.run([REPLAY], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert not any("error" in answer or "rejected" in answer for answer in answers), answers
    for (line, _, expected), *pair in zip(steps, answers[len(begin)::2], answers[len(begin) + 1::2]):
        events = [f'{e["type"]} {json.dumps(e["value"], separators=(",", ":"))}'
                  for answer in pair for e in answer.get("events", [])]
        assert ", ".join(events) == expected, line


def test_the_page_has_its_examples():
    assert len(EXAMPLES) > 5
