"""The AWS metric-export sample (docs/guides/aws-sample.md): its calls in its order, and, if a checkout is given by
FLEETWARD_AWS_SAMPLE, its own scripts and publisher byte for byte."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from awscrt import mqtt
from awsiot import mqtt_connection_builder

import fleetward
import lake
from devices import wait_for

SAMPLE = os.environ.get("FLEETWARD_AWS_SAMPLE")
THING = "dd-export-test"
GROUP = "dd-metric-export-group"
METRICS = ["aws:message-byte-size", "aws:num-messages-received", "mobilerssi"]
# What the sample's policy says, written anew.
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}"},
    {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
        "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:ClientId}/defender/metrics/json/" + answer
        for answer in ("accepted", "rejected")]},
    {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
     "Resource": "arn:aws:iot:*:*:topic/$aws/things/${iot:ClientId}/defender/metrics/json"}]}


class Console:
    """The blog's console steps as the guide's aws commands."""

    def __init__(self, server):
        self.server, self.aws = server, server.aws
        self.account = server.aws("sts", "get-caller-identity", "--query", "Account", "--output", "text")
        self.account = f"{self.account}".strip().zfill(12)
        self.bucket = f"{self.account}.dd.metric.export"
        self.roles = []

    def role(self, name, service, actions, resources):
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
        allow = {"Version": "2012-10-17",
                 "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources}]}
        self.aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", json.dumps(trust))
        self.aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "allow", "--policy-document",
                 json.dumps(allow))
        self.roles.append(name)
        return f"arn:aws:iam::{self.account}:role/{name}"

    def metric(self):
        self.aws("iot", "create-custom-metric", "--metric-name", "mobilerssi", "--display-name",
                 "Cellular Network Strength", "--metric-type", "number", "--client-request-token", "mobilerssi-1")

    def stream_and_rule(self):
        region = self.server.region
        to_bucket = self.role("dd-export-stream", "firehose.amazonaws.com",
                              ["s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucket", "s3:PutObject"],
                              [f"arn:aws:s3:::{self.bucket}", f"arn:aws:s3:::{self.bucket}/*"])
        self.aws("firehose", "create-delivery-stream", "--delivery-stream-name", "dd-metric-export-stream",
                 "--delivery-stream-type", "DirectPut", "--extended-s3-destination-configuration",
                 f"RoleARN={to_bucket},BucketARN=arn:aws:s3:::{self.bucket},"
                 "BufferingHints={SizeInMBs=5,IntervalInSeconds=1}")
        wait_for(lambda: lake.status(self.server, "dd-metric-export-stream") == "ACTIVE", what="the stream")
        to_stream = self.role("dd-export-rule", "iot.amazonaws.com", ["firehose:PutRecord", "firehose:PutRecordBatch"],
                              f"arn:aws:firehose:{region}:{self.account}:deliverystream/dd-metric-export-stream")
        self.aws("iot", "create-topic-rule", "--rule-name", "dd_export_firehose", "--topic-rule-payload", json.dumps({
            "sql": "SELECT * FROM 'ddmetric/#'",
            "actions": [{"firehose": {"deliveryStreamName": "dd-metric-export-stream", "roleArn": to_stream}}]}))

    def profile(self, topic):
        publish = self.role("dd-export-publish", "iot.amazonaws.com", "iot:Publish",
                            f"arn:aws:iot:{self.server.region}:{self.account}:topic/{topic}")
        self.aws("iot", "create-security-profile", "--security-profile-name", "Monitor_RSSI",
                 "--additional-metrics-to-retain-v2",
                 json.dumps([{"metric": metric, "exportMetric": True} for metric in METRICS]),
                 "--metrics-export-config", f"mqttTopic={topic},roleArn={publish}")
        self.aws("iot", "attach-security-profile", "--security-profile-name", "Monitor_RSSI",
                 "--security-profile-target-arn", self.group_arn())

    def group_arn(self):
        return f"arn:aws:iot:{self.server.region}:{self.account}:thinggroup/{GROUP}"

    def values(self):
        return [value for _, value in lake.datapoints(lake.records(self.server, self.bucket), "mobilerssi")]

    def clean_up(self, streamed):
        self.aws("iot", "detach-security-profile", "--security-profile-name", "Monitor_RSSI",
                 "--security-profile-target-arn", self.group_arn())
        self.aws("iot", "delete-security-profile", "--security-profile-name", "Monitor_RSSI")
        self.aws("iot", "delete-custom-metric", "--metric-name", "mobilerssi")
        if streamed:
            self.aws("iot", "delete-topic-rule", "--rule-name", "dd_export_firehose")
            self.aws("firehose", "delete-delivery-stream", "--delivery-stream-name", "dd-metric-export-stream")
        self.aws("s3", "rb", "--force", f"s3://{self.bucket}")
        for role in self.roles:
            self.aws("iam", "delete-role-policy", "--role-name", role, "--policy-name", "allow")
            self.aws("iam", "delete-role", "--role-name", role)


def create_resources(server, folder):
    """The calls of createResources.sh, in its order; the outputs that its other scripts read."""
    policy_file = folder / "policy.json"
    policy_file.write_text(json.dumps(POLICY, indent=4))
    files = {option: folder / f"{THING}-{option}" for option in ("certificate-pem", "public-key", "private-key")}
    aws = server.aws
    thing = aws("iot", "create-thing", "--thing-name", THING)
    assert thing["thingName"] == THING
    keys = aws("iot", "create-keys-and-certificate", "--set-as-active",
               *[word for option, path in files.items() for word in (f"--{option}-outfile", path)])
    policy = f"{THING}_dd_metric_export"
    aws("iot", "create-policy", "--policy-name", policy, "--policy-document", f"file://{policy_file}")
    arn = keys["certificateArn"]
    aws("iot", "attach-thing-principal", "--thing-name", THING, "--principal", arn)
    aws("iot", "attach-policy", "--policy-name", policy, "--target", arn)
    aws("iot", "create-thing-group", "--thing-group-name", GROUP)
    aws("iot", "add-thing-to-thing-group", "--thing-group-name", GROUP, "--thing-name", THING)
    endpoint = aws("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS")["endpointAddress"]
    assert endpoint == "localhost"
    aws("s3api", "create-bucket", "--bucket", f"{server.account}.dd.metric.export", "--region", "ap-south-1",
        "--create-bucket-configuration", "LocationConstraint=ap-south-1")
    return {"arn": arn, "id": keys["certificateId"], "policy": policy, "endpoint": endpoint, "files": files}


def clean_up_resources(server, made):
    """The calls of cleanupResources.sh, back to back."""
    aws = server.aws
    aws("iot", "detach-policy", "--policy-name", made["policy"], "--target", made["arn"])
    aws("iot", "detach-thing-principal", "--thing-name", THING, "--principal", made["arn"])
    aws("iot", "delete-policy", "--policy-name", made["policy"])
    aws("iot", "update-certificate", "--certificate-id", made["id"], "--new-status", "INACTIVE")
    aws("iot", "delete-certificate", "--certificate-id", made["id"])
    aws("iot", "remove-thing-from-thing-group", "--thing-group-name", GROUP, "--thing-name", THING)
    aws("iot", "delete-thing-group", "--thing-group-name", GROUP)
    aws("iot", "delete-thing", "--thing-name", THING)
    assert aws("iot", "list-things")["things"] == []


class Publisher:
    """What the sample's publisher does, with AWS's own device SDK: persistent session, a keep-alive of 6 seconds."""

    def __init__(self, server, made):
        self.topic = f"$aws/things/{THING}/defender/metrics/json"
        self.connection = mqtt_connection_builder.mtls_from_path(
            endpoint=made["endpoint"], port=server.mqtts_port, cert_filepath=str(made["files"]["certificate-pem"]),
            pri_key_filepath=str(made["files"]["private-key"]), ca_filepath=server.ca, client_id=THING,
            clean_session=False, keep_alive_secs=6)
        self.connection.connect().result(20)
        self.answers = []
        for answer in ("accepted", "rejected"):
            future, _ = self.connection.subscribe(f"{self.topic}/{answer}", mqtt.QoS.AT_LEAST_ONCE,
                                                  lambda topic, payload, **_: self.answers.append(topic))
            assert future.result(20)["qos"] == mqtt.QoS.AT_LEAST_ONCE

    def report(self, report_id, rssi):
        payload = {"header": {"report_id": report_id, "version": "1.0"},
                   "custom_metrics": {"mobilerssi": [{"number": rssi}]}}
        future, _ = self.connection.publish(self.topic, json.dumps(payload), mqtt.QoS.AT_LEAST_ONCE)
        future.result(20)

    def close(self):
        self.connection.disconnect().result(20)


@pytest.fixture
def fresh(new_server):
    """A server of its own: the sample's names are fixed."""
    return new_server()


def test_the_samples_calls_option_1(fresh, tmp_path):
    made = create_resources(fresh, tmp_path)
    console = Console(fresh)
    console.metric()
    console.stream_and_rule()
    console.profile("$aws/rules/dd_export_firehose/ddmetric/cellular")
    publisher = Publisher(fresh, made)
    sent = [-102, -71, -88]
    for report_id, rssi in enumerate(sent):
        publisher.report(report_id + 1, rssi)
    wait_for(lambda: len(console.values()) >= len(sent), what="the values in the bucket")
    assert sorted(console.values()) == sorted(sent)
    # Its policy lets it receive on the base topic only, so the answers do not reach it.
    assert publisher.answers == []
    publisher.close()
    for data in lake.objects(fresh, console.bucket).values():
        assert not data.endswith(b"\n"), "no separator was asked for"
    clean_up_resources(fresh, made)
    console.clean_up(streamed=True)


def test_the_samples_calls_option_2(fresh, tmp_path):
    made = create_resources(fresh, tmp_path)
    console = Console(fresh)
    console.metric()
    console.profile("dd/export/cellular")
    watcher = fresh.aws("iot", "create-keys-and-certificate", "--set-as-active", "--certificate-pem-outfile",
                        tmp_path / "sub.pem", "--private-key-outfile", tmp_path / "sub.key")
    fresh.aws("iot", "create-policy", "--policy-name", "dd-export-subscriber", "--policy-document", json.dumps(
        {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}"},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/dd/export/cellular"},
            {"Effect": "Allow", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/dd/export/cellular"}]}))
    fresh.aws("iot", "attach-policy", "--policy-name", "dd-export-subscriber", "--target", watcher["certificateArn"])
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-h", "localhost", "-p", str(fresh.mqtts_port), "--cafile", fresh.ca, "--cert",
         tmp_path / "sub.pem", "--key", tmp_path / "sub.key", "-i", "dd-export-subscriber", "-t", "dd/export/cellular",
         "-q", "1"], stdout=subprocess.PIPE, text=True)
    batches = []
    reader = threading.Thread(target=lambda: batches.extend(json.loads(line) for line in subscriber.stdout), daemon=True)
    reader.start()
    wait_for(lambda: fresh.boto("iot-data").list_subscriptions(clientId="dd-export-subscriber")["subscriptions"]
             if connected(fresh, "dd-export-subscriber") else False, what="the subscriber")
    publisher = Publisher(fresh, made)
    publisher.report(1, -102)

    def seen():
        # mosquitto_sub prints through a pipe as lines end; the reader collects them.
        return lake.datapoints(list(batches), "mobilerssi")

    try:
        wait_for(seen, what="the exported batch")
    finally:
        subscriber.terminate()
        subscriber.wait()
        publisher.close()
    assert seen() == [(THING, -102)]
    clean_up_resources(fresh, made)
    console.clean_up(streamed=False)


def connected(server, client_id):
    data = server.boto("iot-data")
    try:
        return data.get_connection(clientId=client_id)["connected"]
    except data.exceptions.ResourceNotFoundException:
        return False


def can_bind_443():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 443))
            return True
        except OSError:
            return False


class SampleServer(fleetward.Server):
    """Listens where the sample's SDK connects to: it has no option for another port."""

    def command(self):
        command = super().command()
        command[command.index("--alpn-listen") + 1] = "127.0.0.1:443"
        return command


@pytest.fixture
def sample(tmp_path):
    """A copy of the sample, with the CA in place of the one that it downloads."""
    if not SAMPLE:
        pytest.skip("FLEETWARD_AWS_SAMPLE is not set to a checkout of aws-iot-device-defender-metric-export")
    if not can_bind_443():
        pytest.skip("port 443 of 127.0.0.1 is taken or not permitted; the sample's SDK connects there")
    for tool in ("jq", "wget"):
        if shutil.which(tool) is None:
            pytest.skip(f"the sample's scripts need {tool}")
    folder = tmp_path / "sample"
    shutil.copytree(pathlib.Path(SAMPLE), folder, ignore=shutil.ignore_patterns(".git"))
    server = SampleServer(fleetward.scratch_directory()).start()
    shutil.copy(server.ca, folder / "AmazonRootCA1.pem")
    (tmp_path / "wgetrc").write_text("timeout = 5\ntries = 1\n")  # its download is not used, so do not wait for it
    yield server, folder, {**server.env, "WGETRC": str(tmp_path / "wgetrc"), "PYTHONUNBUFFERED": "1",
                           "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    server.kill()
    fleetward.remove(server.directory)


def run_script(folder, env, name, *arguments):
    done = subprocess.run(["bash", name, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    for complaint in ("error occurred", "aws: error", "Could not connect to the endpoint"):  # wget may complain
        assert complaint not in done.stderr, done.stderr
    return done.stdout


def test_the_sample_itself(sample):
    server, folder, env = sample
    run_script(folder, env, "createResources.sh", THING)
    assert (folder / "AmazonRootCA1.pem").read_text() == pathlib.Path(server.ca).read_text()
    console = Console(server)
    console.metric()
    console.stream_and_rule()
    console.profile("$aws/rules/dd_export_firehose/ddmetric/cellular")
    output = folder / "publisher.log"
    with open(output, "w") as log:
        publisher = subprocess.Popen(["bash", "publishMetric.sh"], cwd=folder, env=env, stdout=log,
                                     stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(lambda: "Published:" in output.read_text() or publisher.poll() is not None, 180, "the publisher")
        assert publisher.poll() is None, output.read_text()
        values = wait_for(console.values, what="its value in the bucket")
        line = next(line for line in output.read_text().splitlines() if "Published:" in line)
        sent = json.loads(line.split("'")[1])["custom_metrics"]["mobilerssi"][0]["number"]
        assert values == [sent]
    finally:
        if publisher.poll() is None:
            os.killpg(publisher.pid, signal.SIGTERM)
        publisher.wait()
    run_script(folder, env, "cleanupResources.sh")
    iot = server.boto("iot")
    assert iot.list_things()["things"] == iot.list_thing_groups()["thingGroups"] == []
    assert iot.list_certificates()["certificates"] == iot.list_policies()["policies"] == []
    assert not (folder / "AmazonRootCA1.pem").exists()
    console.clean_up(streamed=True)
