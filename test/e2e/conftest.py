import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import devices  # noqa: E402
import fleetward  # noqa: E402
import wire  # noqa: E402


@pytest.fixture(scope="session")
def server():
    """One server for all tests of this worker; tests use names of their own."""
    directory = fleetward.scratch_directory()
    running = fleetward.Server(directory).start()
    yield running
    status = running.stop()
    log = running.log()
    fleetward.remove(directory)
    assert status == 0, log


@pytest.fixture(scope="session")
def plain():
    """A server that keeps to the specifications' own limits, with a listener without TLS where every client may do
    everything: `.mqtt_port`."""
    directory = fleetward.scratch_directory()
    running = fleetward.Server(directory, config=fleetward.STANDARD_CONFIG, options=fleetward.PLAIN).start()
    yield running
    status = running.stop()
    log = running.log()
    fleetward.remove(directory)
    assert status == 0, log


@pytest.fixture
def dial(plain):
    """dial(version) opens a connection to `plain` as a wire.Wire; all are closed at the end."""
    opened = []

    def one(version=5):
        opened.append(wire.Wire(plain.mqtt_port, version))
        return opened[-1]

    yield one
    for each in opened:
        each.drop()


@pytest.fixture
def new_server():
    """new_server(config=..., options=...) starts a server of the test's own; all are killed at its end."""
    started = []

    def start(**arguments):
        directory = fleetward.scratch_directory()
        running = fleetward.Server(directory, **arguments)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.kill()
        fleetward.remove(running.directory)


@pytest.fixture
def boto(server):
    return server.boto


@pytest.fixture
def aws(server):
    return server.aws


@pytest.fixture
def name(request):
    """A resource name of this test's own."""
    return devices.unique(request.node.name)
