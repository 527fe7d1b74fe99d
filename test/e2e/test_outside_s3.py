"""Delivery to an S3 that is not ours (moto), by configuration alone."""
import json
import socket
import subprocess

import boto3
import fleetward
import pytest
from devices import Thing, wait_for
import lake


@pytest.fixture
def outside():
    """The endpoint of a moto server with the bucket `outside`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([str(fleetward.SCRIPTS / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="outside",
                      aws_secret_access_key="secret")

    def is_up():
        try:
            return s3.create_bucket(Bucket="outside")
        except Exception:  # noqa: BLE001 - not listening yet
            return None

    try:
        wait_for(is_up, what="moto to listen")
        yield endpoint, s3
    finally:
        process.kill()
        process.wait()


def test_streams_and_rules_deliver_to_an_outside_s3(outside, new_server):
    endpoint, s3 = outside
    server = new_server(config=fleetward.DEFAULT_CONFIG + f"""
[lake]
kind = "s3"
s3_endpoint = "{endpoint}"
s3_region = "us-east-1"
s3_access_key_id = "outside"
s3_secret_access_key = "secret"
""")
    lake.stream(server, "outside", "outside", Prefix="stream/")
    action = {"s3": {"bucketName": "outside", "key": "rule/${topic(2)}",
                     "roleArn": lake.role(server, "outside-rule", "iot", ["s3:PutObject"])}}
    lake.rule(server, "outside", "SELECT * FROM 'out/#'", lake.firehose_action(server, "outside", "outside", "\n"), action)
    device = Thing(server, "device")
    with device.client() as client:
        for n in range(5):
            client.publish(f"out/{n}", json.dumps({"n": n}))

    def objects():
        return {o["Key"]: s3.get_object(Bucket="outside", Key=o["Key"])["Body"].read()
                for o in s3.list_objects_v2(Bucket="outside").get("Contents", [])}

    def delivered():
        return sorted(record["n"] for key, data in objects().items() if key.startswith("stream/")
                      for record in lake.split_json(data))

    wait_for(lambda: delivered() == list(range(5)), what="the stream's records outside")
    wait_for(lambda: {f"rule/{n}" for n in range(5)} <= set(objects()), what="the rule's objects outside")
    assert objects()["rule/3"] == b'{"n": 3}'
