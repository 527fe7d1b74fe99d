"""The command line: what a user meets when something is wrong, and a clean end."""
import json
import socket
import ssl
import subprocess

import fleetward
import pytest
from devices import wait_for


def run(*arguments):
    return subprocess.run([str(fleetward.BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=60)


def one_line(result):
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("fleetward: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_help_names_the_commands():
    text = run("--help").stdout
    for command in ("serve", "env", "simulate", "demo"):
        assert command in text
    assert "--data-dir" in run("serve", "--help").stdout


def test_ready_line_endpoints_and_clean_end(new_server):
    server = new_server()
    assert set(server.endpoints) >= {"api", "api_tls", "mqtts", "alpn", "mqtt", "ca"}
    assert server.endpoints["mqtt"] is None
    assert (server.data_dir / "credentials").stat().st_mode & 0o777 == 0o600
    assert server.stop() == 0


def test_a_data_directory_has_one_process(new_server):
    server = new_server()
    line = one_line(subprocess.run(server.command(), capture_output=True, text=True, timeout=60))
    assert "another process" in line


def test_a_port_in_use(new_server, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(run("serve", "--data-dir", tmp_path / "d", "--api-listen", f"127.0.0.1:{port}",
                            "--api-tls-listen", "127.0.0.1:0", "--mqtts-listen", "127.0.0.1:0", "--alpn-listen", ""))
        assert str(port) in line


@pytest.mark.parametrize("number, why", [(99, "a newer one"), (1, "begin with a new directory")])
def test_another_format(tmp_path, number, why):
    (tmp_path / "format").write_text(f"{number}\n")
    line = one_line(run("serve", "--data-dir", tmp_path))
    assert f"format {number}" in line and why in line


def test_a_broken_configuration(tmp_path):
    config = tmp_path / "f.toml"
    config.write_text("[detect]\n\ntick = 5\n")
    line = one_line(run("serve", "--data-dir", tmp_path / "d", "--config", config))
    assert f"{config}:3: detect.tick" in line
    config.write_text("[detect]\ntick = \"5s\"\n")
    assert run("serve", "--check-config", "--config", config).returncode == 0


def test_plain_listeners_are_refused_unless_allowed(tmp_path):
    assert "loopback" in one_line(run("serve", "--data-dir", tmp_path, "--api-listen", "0.0.0.0:0"))
    assert "mqtt_policy" in one_line(run("serve", "--data-dir", tmp_path, "--mqtt-listen", "127.0.0.1:0"))


def test_state_survives_a_restart(new_server):
    server = new_server()
    server.boto("iot").create_thing(thingName="kept", attributePayload={"attributes": {"a": "b"}})
    key = server.credentials
    assert server.stop() == 0
    server.start()
    assert server.credentials == key
    assert server.boto("iot").describe_thing(thingName="kept")["attributes"] == {"a": "b"}


def test_health_and_metrics(server):
    import requests
    assert json.loads(requests.get(f"{server.api_url}/health", timeout=10).text)["status"] == "ok"
    assert any(name.startswith("fleetward_") for name in server.metrics())


def test_mqtt_connections_leave_descriptors_to_the_api(new_server):
    server = new_server(options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "open"], descriptors=400)
    host, port = server.endpoints["mqtt"].rsplit(":", 1)
    assert "fewer connections than configured" in server.log()
    held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(450)]
    try:
        refused = 'fleetward_broker_refused_total{reason="connections_max"}'
        wait_for(lambda: server.metrics()[refused] >= 450 - 200, what="what is beyond the share to be closed")
        server.boto("iot").create_thing(thingName="t")
        assert server.metrics()["fleetward_broker_connections"] == 200
    finally:
        for each in held:
            each.close()


def served_certificate(server, port):
    context = ssl.create_default_context(cafile=server.ca)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            return tls.getpeercert()["notAfter"], tls.getpeercert()["serialNumber"]


def test_the_server_certificate_is_renewed_while_it_runs(new_server):
    server = new_server(config='[server]\ncertificate_lifetime = "20s"\n')
    https = int(server.endpoints["api_tls"].rsplit(":", 1)[1])
    before = served_certificate(server, https)[1]
    mqtts_before = served_certificate(server, server.mqtts_port)[1]
    alpn_before = served_certificate(server, server.alpn_port)[1]
    assert before == mqtts_before == alpn_before
    wait_for(lambda: served_certificate(server, https)[1] != before, what="a new certificate")
    after = served_certificate(server, https)[1]
    assert served_certificate(server, server.mqtts_port)[1] == served_certificate(server, server.alpn_port)[1] == after
    assert server.log().count("server_certificate_renewed") == 1
    assert server.stop() == 0
