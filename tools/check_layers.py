#!/usr/bin/env python3
"""Fails if a room of src/ includes a room above it, or if a header does not start with #pragma once.

The order is the one of ARCHITECTURE.md, bottom to top."""
import pathlib
import re
import sys

ROOMS = ["core", "log", "state", "identity", "registry", "alerts", "detect", "export", "lake", "delivery", "rules",
         "mqtt", "broker", "pipeline", "http", "api", "app"]
PURE = {  # rooms that may include these rooms only (and themselves)
    "detect": {"core"}, "export": {"core", "detect"}, "mqtt": {"core"}, "http": {"core", "state", "identity"},
}


def problems(root: pathlib.Path):
    for path in sorted(root.rglob("*.[hc]*")):
        room = path.relative_to(root).parts[0]
        text = path.read_text()
        if path.suffix == ".h" and not text.lstrip().startswith("#pragma once"):
            yield f"{path}: a header starts with #pragma once"
        for target in re.findall(r'^#include "([a-z]+)/', text, re.M):
            if target not in ROOMS:
                yield f"{path}: includes unknown room {target}"
            elif room in PURE and target not in PURE[room] | {room}:
                yield f"{path}: {room}/ may not include {target}/"
            elif ROOMS.index(target) > ROOMS.index(room):
                yield f"{path}: {room}/ lies below {target}/ and may not include it"


if __name__ == "__main__":
    found = list(problems(pathlib.Path(__file__).parent.parent / "src"))
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
