"""Paho C, Paho C++ and MQTT.js, compiled or installed here, over mutual TLS."""
import os
import shutil
import subprocess

import fleetward
import pytest

from devices import Thing

CLIENTS = fleetward.ROOT / "test/e2e/clients"
VERSIONS = pytest.mark.parametrize("version", [4, 5])
QOS = pytest.mark.parametrize("qos", [0, 1])


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """compiled(source, libraries): the program, made once."""
    made = {}

    def one(source, *libraries):
        if source not in made:
            if not (shutil.which("cc") and shutil.which("c++")):
                pytest.skip("no compiler")
            program = tmp_path_factory.mktemp("clients") / source.replace(".", "_")
            compiler = ["cc"] if source.endswith(".c") else ["c++", "-std=c++20"]
            subprocess.run([*compiler, "-o", str(program), str(CLIENTS / source), *(f"-l{each}" for each in libraries)],
                           check=True)
            made[source] = program
        return made[source]

    return one


@pytest.fixture(scope="session")
def node():
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    return subprocess.run([fleetward.ROOT / "tools/node.sh"], check=True, capture_output=True, text=True).stdout.strip()


def run(command, server, name, version, qos, scheme, **options):
    thing = Thing(server, name)
    result = subprocess.run([*map(str, command), f"{scheme}://localhost:{server.mqtts_port}", str(version), str(qos), name,
                             f"{name}/t", str(server.ca), str(thing.certificate_file), str(thing.key_file)],
                            capture_output=True, text=True, timeout=120, **options)
    assert result.stdout.endswith("ok\n"), result.stdout + result.stderr


@VERSIONS
@QOS
def test_paho_c(server, name, compiled, version, qos):
    run([compiled("paho.c", "paho-mqtt3cs")], server, name, version, qos, "ssl")


@VERSIONS
@QOS
def test_paho_cpp(server, name, compiled, version, qos):
    run([compiled("paho.cc", "paho-mqttpp3", "paho-mqtt3as")], server, name, version, qos, "ssl")


@VERSIONS
@QOS
def test_mqttjs(server, name, node, version, qos):
    run(["node", CLIENTS / "mqttjs.js"], server, name, version, qos, "mqtts",
        env={**os.environ, "NODE_PATH": f"{node}/node_modules"})
