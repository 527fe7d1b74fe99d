"""`fleetward demo`, as `make run` shows it, shorter."""
import subprocess

import fleetward


def test_the_demo_tells_the_story_and_ends_cleanly(tmp_path):
    result = subprocess.run([str(fleetward.BINARY), "demo", "--leave", "--devices", "5", "--seconds", "5",
                             "--directory", str(tmp_path / "demo")], capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Sent and delivered are equal" in result.stdout
    assert "alarm after" in result.stdout and "cleared after" in result.stdout
    assert "stopped" in (tmp_path / "demo" / "server.log").read_text()
