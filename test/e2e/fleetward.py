"""Runs the built program for tests: starts it on free ports with a data directory of its own, and stops it."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("FLEETWARD", ROOT / "build/release/fleetward"))
SCRIPTS = pathlib.Path(sys.executable).parent  # aws, moto_server: of this virtual environment

DEFAULT_CONFIG = """
[detect]
tick = "1s"
export_interval = "1s"
"""

# No limit that the MQTT specifications do not have, as far as there is a key for it.
STANDARD_CONFIG = DEFAULT_CONFIG + """
[broker]
aws_wildcards = false
keepalive_min = "0s"
topic_bytes_max = 65535
topic_slashes_max = 31
filters_per_subscribe_max = 1000
packet_bytes_max = "256KiB"
"""
PLAIN = ["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "open"]


class Server:
    """One `fleetward serve`. All listeners on free loopback ports."""

    def __init__(self, directory, config=DEFAULT_CONFIG, options=(), descriptors=None):
        self.directory = pathlib.Path(directory)
        self.data_dir = self.directory / "data"
        self.config_file = self.directory / "fleetward.toml"
        self.config_file.write_text(config)
        self.log_file = self.directory / "server.log"
        self.options = list(options)
        self.descriptors = descriptors  # how many the process may have open; None: as many as this one
        self.process = None
        self.listeners = dict.fromkeys(["api", "api-tls", "mqtts", "alpn"], "127.0.0.1:0")

    def command(self):
        limit = ["prlimit", f"--nofile={self.descriptors}:{self.descriptors}"] if self.descriptors else []
        return [
            *limit, str(BINARY), "serve", "--data-dir", str(self.data_dir), "--config", str(self.config_file),
            *(word for name, address in self.listeners.items() for word in (f"--{name}-listen", address)),
            *self.options,
        ]

    def keep_ports(self):
        """The next start takes the same ports, so that clients find the server again."""
        for name in self.listeners:
            self.listeners[name] = self.endpoints[name.replace("-", "_")]

    def start(self, timeout=60):
        with open(self.log_file, "a") as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, text=True)
        line = []
        reader = threading.Thread(target=lambda: line.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(timeout)
        if not line or not line[0].startswith("ready"):
            self.kill()
            raise RuntimeError(f"the server did not start: {line}\n{self.log()}")
        endpoints = json.loads((self.data_dir / "endpoints.json").read_text())
        self.endpoints = endpoints
        self.api_url = f"http://{endpoints['api']}"
        self.tls_url = "https://localhost:" + endpoints["api_tls"].rsplit(":", 1)[1]
        self.mqtts_port = int(endpoints["mqtts"].rsplit(":", 1)[1])
        self.alpn_port = int(endpoints["alpn"].rsplit(":", 1)[1])
        self.mqtt_port = int(endpoints["mqtt"].rsplit(":", 1)[1]) if endpoints.get("mqtt") else None
        self.ca = endpoints["ca"]
        self.region = endpoints["region"]
        self.account = endpoints["account"]
        self.env = self._environment()
        return self

    def _environment(self):
        lines = subprocess.run([str(BINARY), "env", "--data-dir", str(self.data_dir)], check=True, text=True,
                               capture_output=True).stdout
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        for line in lines.splitlines():
            name, value = line.removeprefix("export ").split("=", 1)
            env[name] = value
        env["AWS_CONFIG_FILE"] = env["AWS_SHARED_CREDENTIALS_FILE"] = str(self.directory / "none")
        env["AWS_EC2_METADATA_DISABLED"] = "true"
        env["PATH"] = f"{SCRIPTS}:{env['PATH']}"
        return env

    @property
    def credentials(self):
        return self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]

    def stop(self, timeout=30):
        """SIGTERM; the exit status, which is 0 for a clean end."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process.stdout.close()
        self.process = None
        return status

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def log(self):
        return self.log_file.read_text()

    def metrics(self):
        """/metrics as {'name{labels}': value}."""
        import requests
        out = {}
        for line in requests.get(f"{self.api_url}/metrics", timeout=10).text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def boto(self, service, **overrides):
        import boto3
        from botocore.config import Config
        key, secret = self.credentials
        options = dict(endpoint_url=self.api_url, region_name=self.region, aws_access_key_id=key,
                       aws_secret_access_key=secret, config=Config(retries={"max_attempts": 1}))
        options.update(overrides)
        return boto3.session.Session().client(service, **options)

    def aws(self, *arguments, check=True, text_input=None):
        """The aws CLI; its parsed JSON output, or the text if it is not JSON."""
        result = subprocess.run(["aws", *map(str, arguments)], env=self.env, capture_output=True, text=True,
                                input=text_input)
        if check and result.returncode != 0:
            raise AssertionError(f"aws {' '.join(map(str, arguments))}: {result.stderr}")
        try:
            return json.loads(result.stdout) if check else result
        except json.JSONDecodeError:
            return result.stdout


def scratch_directory():
    return tempfile.mkdtemp(prefix="fleetward-e2e-")


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
