"""`fleetward simulate` against a running server: another client library than the other tests use (libmosquitto)."""
import json
import subprocess

import fleetward


def simulate(server, directory, *arguments):
    """Its summary; the devices' files stay in `directory`."""
    done = subprocess.run(
        [str(fleetward.BINARY), "simulate", "--data-dir", str(server.data_dir), "--credentials", str(directory),
         "--json", *map(str, arguments)],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_report_is_accepted_and_counted(server, tmp_path):
    summary = simulate(server, tmp_path / "devices", "--devices", 5, "--prefix", "count-", "--report-interval", "500ms",
                       "--duration", "3s", "--rate", 2, "--sent", tmp_path / "sent")
    totals = summary["totals"]
    assert totals["connects"] == 5 and totals["disconnects"] == 0
    assert totals["reportsAccepted"] == totals["reportsSent"] >= 5
    assert totals["messagesAcknowledged"] == totals["messagesSent"] > totals["reportsSent"]
    assert totals["messagesReceived"] == totals["reportsSent"]  # one answer each
    sent = [json.loads(line) for line in (tmp_path / "sent").read_text().splitlines()]
    assert len(sent) == totals["reportsSent"] and all(line["accepted"] for line in sent)
    things = {t["thingName"] for t in server.boto("iot").list_things()["things"]}
    assert {f"count-{n:04}" for n in range(1, 6)} <= things


def test_devices_are_used_again_and_a_seed_repeats_their_values(server, tmp_path):
    def signals():
        simulate(server, tmp_path / "devices", "--devices", 2, "--prefix", "seed-", "--seed", 42, "--report-interval", "400ms",
                 "--duration", "4s", "--format", "cbor", "--sent", tmp_path / "sent")
        sent = [json.loads(line) for line in (tmp_path / "sent").read_text().splitlines()]
        return [[r["signal"] for r in sent if r["thingName"] == f"seed-000{n}"][:3] for n in (1, 2)]

    first = signals()
    assert all(len(values) == 3 for values in first)
    assert signals() == first
    assert len(server.boto("iot").list_thing_principals(thingName="seed-0001")["principals"]) == 1


def test_attacks_show_at_the_server(server, tmp_path):
    def attack(name):
        return simulate(server, tmp_path / "devices", "--devices", 2, "--prefix", "attack-", "--report-interval", "500ms",
                        "--duration", "3s", "--attack", name)["devices"]

    before = server.metrics()["fleetward_broker_authorization_failures_total"]
    attacker, other = attack("auth-failures")
    assert server.metrics()["fleetward_broker_authorization_failures_total"] >= before + 5
    assert attacker["attack"] == "auth-failures" and "attack" not in other

    attacker, other = attack("malformed-reports")
    assert attacker["reportsRejected"] == attacker["reportsSent"] >= 2
    assert other["reportsAccepted"] == other["reportsSent"] >= 2

    attacker, other = attack("message-flood")
    assert attacker["messagesAcknowledged"] > 100 > other["messagesAcknowledged"]


def test_mistakes_are_named(server, tmp_path):
    def error(*arguments):
        done = subprocess.run([str(fleetward.BINARY), "simulate", *map(str, arguments)], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode != 0
        return done.stderr

    assert "--data-dir" in error()
    assert "no attack 'ddos'" in error("--data-dir", server.data_dir, "--attack", "ddos")
    assert "nowhere" in error("--endpoint", "localhost:1", "--ca", server.ca, "--credentials", "nowhere")
