#!/usr/bin/env python3
"""Writes docs/reference/mqtt-conformance.md between its two markers: each normative statement of MQTT 3.1.1 and 5.0
(test/conformance/statements.txt) with the tests that carry its mark, [MQTT3-x.y.z-n] or [MQTT5-x.y.z-n].

A mark stands in the test it belongs to: in a case of test/unit/mqtt/{packets,sessions}/*.txt, in a TEST of a .cc file
or in the comment above it, in a Python test function, its decorators, or a module's constant which that function
names. A mark of no known statement, or in no test, is an error. With --check only compares.
"""
import ast
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STATEMENTS = ROOT / "test/conformance/statements.txt"
PAGE = ROOT / "docs/reference/mqtt-conformance.md"
BEGIN, END = "<!-- tools/mqtt_conformance.py writes from here", "<!-- to here -->"
VERSIONS = {"3": "MQTT 3.1.1", "5": "MQTT 5.0"}
MARK = re.compile(r"\[MQTT([35])-(\d+(?:\.\d+)+-\d+)\]")
Statement = collections.namedtuple("Statement", "key binds words excuse")


def read_statements():
    statements = {}
    for line in STATEMENTS.read_text().splitlines():
        if line and not line.startswith("#"):
            key, binds, words, *excuse = line.split(" | ")
            assert binds in ("server", "client", "both") and key not in statements, line
            statements[key] = Statement(key, binds, words, excuse[0] if excuse else "")
    return statements


def marks(text):
    return [f"{version}-{number}" for version, number in MARK.findall(text)]


def cases_of_text(path):
    """(name, text of the case): blocks between empty lines in packets/, "session <name>" in sessions/."""
    text = path.read_text()
    if path.parent.name == "sessions":
        parts = re.split(r"^session ", text, flags=re.M)
        return [("", parts[0])] + [(part.split("\n", 1)[0], part) for part in parts[1:]]
    blocks = []
    for block in re.split(r"\n\s*\n", text):
        name = next((line for line in block.splitlines() if line and not line.startswith("#")), "")
        blocks.append((name, block))
    return blocks


def cases_of_cpp(path):
    """A test reaches from the comment above its TEST to the "}" in the first column."""
    cases, outside, inside, name = [], [], [], None
    for line in path.read_text().splitlines():
        found = re.match(r"TEST(?:_F|_P)?\((\w+), (\w+)\)", line)
        if found:
            while outside and outside[-1].startswith("//"):
                inside.append(outside.pop())
            name = f"{found[1]}.{found[2]}"
        if name is None:
            outside.append(line)
            continue
        inside.append(line)
        if line == "}":
            cases.append((name, "\n".join(inside)))
            inside, name = [], None
    return [("", "\n".join(outside))] + cases


def cases_of_python(path):
    text = path.read_text()
    lines = text.splitlines()
    tree = ast.parse(text)

    def source(node):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return "\n".join(lines[first - 1:node.end_lineno])

    constants = {target.id: source(node) for node in tree.body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)}
    cases, placed = [], []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            parts = [source(node), *(constants[n] for n in sorted(names & constants.keys()))]
            cases.append((node.name, "\n".join(parts)))
            placed += parts
    lost = text
    for part in placed:
        lost = lost.replace(part, "")
    return [("", lost)] + cases


def tests_with_marks():
    """{statement: [test]}, a test as path:name, shortened where the folder says the rest."""
    found = collections.defaultdict(list)
    readers = [("test/unit/mqtt/packets/*.txt", cases_of_text), ("test/unit/mqtt/sessions/*.txt", cases_of_text),
               ("test/unit/*/*_test.cc", cases_of_cpp), ("test/e2e/test_*.py", cases_of_python)]
    for pattern, reader in readers:
        for path in sorted(ROOT.glob(pattern)):
            if not MARK.search(path.read_text()):
                continue
            for name, text in reader(path):
                keys = dict.fromkeys(marks(text))
                if keys and not name:
                    raise SystemExit(f"{path}: a mark outside any test: {' '.join(keys)}")
                for key in keys:
                    found[key].append((str(path.relative_to(ROOT / "test")), MARK.sub("", name).strip()))
    return found


def shown(tests):
    by_file = collections.defaultdict(list)
    for path, name in tests:
        by_file[path].append(name.replace("|", "\\|"))
    return "; ".join(f"`{path}`: {', '.join(names)}" for path, names in by_file.items())


def table(statements, found, version):
    rows = [f"## {VERSIONS[version]}\n", "| statement | binds | what it asks for | shown by |", "| --- | --- | --- | --- |"]
    for s in statements.values():
        if not s.key.startswith(version + "-"):
            continue
        tests = shown(found[s.key]) if found[s.key] else s.excuse or ("no test" if s.binds != "client" else "")
        rows.append(f"| {s.key[2:]} | {s.binds} | {s.words} | {tests} |")
    return "\n".join(rows) + "\n"


def summary(statements, found):
    rows = ["| | statements | bind the server | of these with a test | need none | no test | bind only the client | of these with a test |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for version, title in VERSIONS.items():
        own = [s for s in statements.values() if s.key.startswith(version + "-")]
        server = [s for s in own if s.binds != "client"]
        client = [s for s in own if s.binds == "client"]
        tested = [s for s in server if found[s.key]]
        excused = [s for s in server if not found[s.key] and s.excuse]
        rows.append(f"| {title} | {len(own)} | {len(server)} | {len(tested)} | {len(excused)} | "
                    f"{len(server) - len(tested) - len(excused)} | {len(client)} | {sum(bool(found[s.key]) for s in client)} |")
    return "\n".join(rows) + "\n"


def main():
    statements, found = read_statements(), tests_with_marks()
    unknown = sorted(set(found) - set(statements))
    if unknown:
        raise SystemExit(f"marks of no statement: {unknown}")
    body = "\n".join([summary(statements, found), *(table(statements, found, version) for version in VERSIONS)])
    old = PAGE.read_text()
    head, rest = old.split(BEGIN, 1)
    marker, tail = rest.split("\n", 1)
    new = head + BEGIN + marker + "\n\n" + body + "\n" + END + tail.split(END, 1)[1]
    if "--check" in sys.argv[1:]:
        if new != old:
            raise SystemExit(f"{PAGE.relative_to(ROOT)} is out of date: run tools/docs.sh")
    else:
        PAGE.write_text(new)


if __name__ == "__main__":
    main()
