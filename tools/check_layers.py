#!/usr/bin/env python3
"""Holds the rooms of src/ to what they say of themselves.

- A room includes the rooms that its CMakeLists.txt names after DEPS, each of them, and no other.
- Those rooms lie below it in ROOMS, the order of ARCHITECTURE.md.
- Its README.md has the same list, in a sentence that starts with "May include:".
- A pure room names no thread, lock, file, socket or clock.
- A header starts with #pragma once."""
import pathlib
import re
import sys

ROOMS = ["core", "log", "state", "identity", "registry", "alerts", "detect", "export", "lake", "delivery", "rules",
         "mqtt", "broker", "pipeline", "http", "api", "app"]  # bottom to top
PURE = ["detect", "export", "rules", "mqtt"]
IMPURE = re.compile(r"std::(thread|jthread|mutex|shared_mutex|condition_variable|ifstream|ofstream|filesystem|random_device)\b"
                    r"|(system|steady)_clock::now|(?<!\w)::(open|socket|connect|fsync|time)\(")


def sources(room: pathlib.Path):
    return sorted(p for p in room.rglob("*") if p.suffix in (".h", ".cc"))


def dependencies(room: pathlib.Path):
    """The rooms after DEPS."""
    call = re.search(r"fleetward_room\((.*?)\)", (room / "CMakeLists.txt").read_text(), re.S)
    found = re.search(r"\bDEPS\s+(.*?)(?:\bLIBS\b|$)", call.group(1), re.S) if call else None
    return set(found.group(1).split()) if found else set()


def readme_problems(room: pathlib.Path, allowed: set):
    readme = room / "README.md"
    if not readme.exists():
        yield f"{room}: has no README.md"
        return
    said = re.search(r"May include: ([^.]*)\.", readme.read_text())
    if not said:
        yield f'{readme}: does not say "May include: ..."'
    elif set(re.findall(r"`(\w+)`", said.group(1))) != allowed:
        yield f"{readme}: may include {', '.join(sorted(allowed)) or 'no room'}, says its CMakeLists.txt"


def room_problems(room: pathlib.Path):
    if room.name not in ROOMS:
        yield f"{room}: is no room that tools/check_layers.py knows"
        return
    allowed, used = dependencies(room), set()
    for other in sorted(allowed):
        if other not in ROOMS or ROOMS.index(other) >= ROOMS.index(room.name):
            yield f"{room}/CMakeLists.txt: {other} does not lie below {room.name}"
    for path in sources(room):
        text = path.read_text()
        if path.suffix == ".h" and not text.lstrip().startswith("#pragma once"):
            yield f"{path}: a header starts with #pragma once"
        for target in re.findall(r'^#include "([a-z]+)/', text, re.M):
            used.add(target)
            if target not in allowed | {room.name}:
                yield f"{path}: {room.name}/ may not include {target}/"
        code = re.sub(r"//.*", "", text)
        if room.name in PURE and (found := IMPURE.search(code)):
            yield f"{path}: {found.group(0)} in a pure room"
    for unused in sorted(allowed - used):
        yield f"{room}/CMakeLists.txt: nothing includes {unused}/"
    yield from readme_problems(room, allowed)


def problems(root: pathlib.Path):
    for room in sorted(p for p in root.iterdir() if p.is_dir()):
        yield from room_problems(room)


if __name__ == "__main__":
    found = list(problems(pathlib.Path(__file__).parent.parent / "src"))
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
