"""MQTT over WebSockets: plain, with a client certificate, with a signature; Paho, the AWS IoT device SDKs, MQTT.js."""
import datetime
import hashlib
import hmac
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import urllib.parse

import fleetward
import paho.mqtt.client as mqtt
import pytest
import requests

from devices import Thing, unique, wait_for

@pytest.fixture(scope="module")
def ws_server():
    directory = fleetward.scratch_directory()
    running = fleetward.Server(directory, options=["--ws-listen", "127.0.0.1:0", "--mqtt-policy", "open"]).start()
    running.ws_port = int(running.endpoints["ws"].rsplit(":", 1)[1])
    running.https_port = int(running.endpoints["api_tls"].rsplit(":", 1)[1])
    running.http_port = int(running.endpoints["api"].rsplit(":", 1)[1])
    yield running
    assert running.stop() == 0, running.log()
    fleetward.remove(directory)


def presigned(server, key=None, token=None, expires=300, when=None, host=None, service="iotdevicegateway",
              query_extra=(), region=None):
    """The query string of a signed WebSocket, computed here as AWS describes it."""
    key_id, secret = key or server.credentials
    when = when or datetime.datetime.now(datetime.timezone.utc)
    stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    scope = f"{day}/{region or server.region}/{service}/aws4_request"
    query = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{key_id}/{scope}", "X-Amz-Date": stamp,
             "X-Amz-SignedHeaders": "host", **dict(query_extra)}
    if expires is not None:
        query["X-Amz-Expires"] = str(expires)
    quote = lambda text: urllib.parse.quote(text, safe="-_.~")  # noqa: E731
    canonical_query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(query.items()))
    canonical = f"GET\n/mqtt\n{canonical_query}\nhost:{host}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = b"AWS4" + secret.encode()
    for part in (day, region or server.region, service, "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    out = f"{canonical_query}&X-Amz-Signature={signature}"
    return out + (f"&X-Amz-Security-Token={quote(token)}" if token else "")


class Client:
    """A Paho client over WebSockets."""

    def __init__(self, client_id, port, path="/mqtt", ca=None, thing=None, version=mqtt.MQTTv311):
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, transport="websockets",
                                protocol=version)
        # Paho puts the port into Host only if it is told to.
        self.paho.ws_set_options(path=path, headers={"Host": f"localhost:{port}"})
        if ca:
            context = ssl.create_default_context(cafile=ca)
            if thing:
                context.load_cert_chain(thing.certificate_file, thing.key_file)
            self.paho.tls_set_context(context)
        self.seen, self.reason, self.subscribed, self.ended = [], None, False, None
        self.paho.on_connect = lambda _c, _u, _f, reason, _p: setattr(self, "reason", reason)
        self.paho.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: setattr(self, "ended", reason)
        self.paho.on_message = lambda _c, _u, message: self.seen.append((message.topic, message.payload))
        self.paho.reconnect_delay_set(60, 60)
        self.paho.connect("localhost", port)
        self.paho.loop_start()
        wait_for(lambda: self.reason is not None, what="CONNACK")

    def echo(self, topic, payload, qos=1):
        """What comes back on the topic."""
        self.seen.clear()
        if not self.subscribed:
            self.paho.subscribe(topic, 1)
            wait_for(lambda: self.subscribed, what="SUBACK")
        info = self.paho.publish(topic, payload, qos)
        info.wait_for_publish(15)
        wait_for(lambda: self.seen, what="the message")
        return self.seen[0]

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_plain_websockets(ws_server, name, version):
    client = Client(name, ws_server.ws_port, version=version)
    for size in (0, 1, 125, 126, 65535, 70000, 130000):
        topic, payload = client.echo(f"{name}/x", os.urandom(size))
        assert (topic, len(payload)) == (f"{name}/x", size)
    client.close()


@pytest.mark.parametrize("listener", ["api_tls", "alpn"])
def test_a_client_certificate(ws_server, name, listener):
    thing = Thing(ws_server, name)
    port = int(ws_server.endpoints[listener].rsplit(":", 1)[1])
    client = Client(name, port, ca=ws_server.ca, thing=thing)
    assert client.reason.value == 0
    assert client.echo(f"{name}/x", b"payload" * 1000) == (f"{name}/x", b"payload" * 1000)
    ws_server.boto("iot").update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
    wait_for(lambda: client.ended is not None, what="the end of the connection")
    client.paho.loop_stop()


@pytest.mark.parametrize("listener", ["api", "api_tls", "alpn"])
def test_a_signature_of_the_root_user(ws_server, name, listener):
    port = int(ws_server.endpoints[listener].rsplit(":", 1)[1])
    path = "/mqtt?" + presigned(ws_server, host=f"localhost:{port}", expires=None)
    client = Client(name, port, path=path, ca=None if listener == "api" else ws_server.ca)
    assert client.echo(f"{name}/x", b"signed") == (f"{name}/x", b"signed")
    client.close()


def user_with(server, name, statements):
    iam = server.boto("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": statements}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def test_iam_policies_decide(ws_server, name):
    arn = f"arn:aws:iot:{ws_server.region}:{ws_server.account}"
    key = user_with(ws_server, name, [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{arn}:client/{name}-*"},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": f"{arn}:topic/{name}/*"},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{arn}:topicfilter/{name}/*"}])
    port = ws_server.http_port

    def connect(client_id):
        return Client(client_id, port, path="/mqtt?" + presigned(ws_server, key, host=f"localhost:{port}"))

    refused = connect("somebody-else")
    assert refused.reason.value != 0
    refused.paho.loop_stop()
    client = connect(f"{name}-1")
    assert client.reason.value == 0
    assert client.echo(f"{name}/x", b"mine") == (f"{name}/x", b"mine")
    client.paho.publish("elsewhere", b"not mine", 1)
    wait_for(lambda: client.ended is not None, what="the end of the connection")
    client.paho.loop_stop()
    # A key that is switched off ends what it has opened.
    client = connect(f"{name}-2")
    ws_server.boto("iam").update_access_key(UserName=name, AccessKeyId=key[0], Status="Inactive")
    wait_for(lambda: client.ended is not None, what="the end of the connection")
    client.paho.loop_stop()


def handshake(server, query, headers=(), path="/mqtt"):
    """The status of an upgrade request and its body."""
    request = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt", **dict(headers)}
    answer = requests.get(f"http://localhost:{server.http_port}{path}?{query}", timeout=10,
                          headers={k: v for k, v in request.items() if v is not None})
    return answer.status_code, answer.text


def test_what_is_refused_before_the_upgrade(ws_server):
    host = f"localhost:{ws_server.http_port}"
    good = presigned(ws_server, host=host)
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    key_id, secret = ws_server.credentials
    for query, reason in (
            ("", "neither a signature nor a client certificate"),
            (good.replace("X-Amz-Signature=", "X-Amz-Signature=0")[:-1], "signature"),
            (presigned(ws_server, host="elsewhere"), "signature"),
            (presigned(ws_server, host=host, when=now - hour, expires=60), "expired"),
            (presigned(ws_server, host=host, when=now + hour), "not yet current"),
            (presigned(ws_server, host=host, key=("AKIANOBODY", secret)), "does not exist"),
            (presigned(ws_server, host=host, service="iotdata"), "iotdevicegateway"),
            (presigned(ws_server, host=host, region="eu-north-7"), "region"),
            (presigned(ws_server, host=host, token="nonsense"), "token")):
        status, text = handshake(ws_server, query)
        assert status == 403 and reason in text, (query, status, text)
        assert json.loads(text)["traceId"]
    for headers, status in (({"Sec-WebSocket-Protocol": "mqttv3.1"}, 400), ({"Sec-WebSocket-Protocol": None}, 400),
                            ({"Sec-WebSocket-Version": "8"}, 426), ({"Sec-WebSocket-Key": "short"}, 400),
                            ({"Upgrade": "h2c"}, 501)):
        assert handshake(ws_server, good, headers)[0] == status, headers
    assert handshake(ws_server, good, path="/other")[0] == 404
    # Nothing but WebSockets on their own listener.
    assert requests.get(f"http://localhost:{ws_server.ws_port}/health", timeout=10).status_code == 426


def test_a_role_session_and_the_device_sdk(ws_server, name):
    """The AWS IoT device SDK for Python: it appends the token after it has signed."""
    from awscrt import auth
    from awscrt import mqtt as crt
    from awsiot import mqtt_connection_builder

    iam, sts = ws_server.boto("iam"), ws_server.boto("sts")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ws_server.account}, "Action": "sts:AssumeRole"}]}))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}))
    session = sts.assume_role(RoleArn=f"arn:aws:iam::{ws_server.account}:role/{name}",
                              RoleSessionName="session")["Credentials"]
    provider = auth.AwsCredentialsProvider.new_static(session["AccessKeyId"], session["SecretAccessKey"],
                                                      session["SessionToken"])
    connection = mqtt_connection_builder.websockets_with_default_aws_signing(
        region=ws_server.region, credentials_provider=provider, endpoint="localhost", port=ws_server.https_port,
        ca_filepath=ws_server.ca, client_id=name, clean_session=True, keep_alive_secs=30)
    connection.connect().result(15)
    seen = []
    subscribed, _ = connection.subscribe(f"{name}/#", crt.QoS.AT_LEAST_ONCE,
                                         lambda topic, payload, **_: seen.append((topic, payload)))
    subscribed.result(15)
    published, _ = connection.publish(f"{name}/x", b"x" * 100000, crt.QoS.AT_LEAST_ONCE)
    published.result(15)
    wait_for(lambda: seen, what="the message")
    assert seen == [(f"{name}/x", b"x" * 100000)]
    info = ws_server.boto("iot-data").get_connection(clientId=name)
    assert info["connected"]
    connection.disconnect().result(15)


@pytest.fixture(scope="module")
def node():
    """node(kind, **options): what the JavaScript client printed."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    modules = subprocess.run([fleetward.ROOT / "tools/node.sh"], check=True, capture_output=True, text=True).stdout.strip()

    def run(kind, **options):
        done = subprocess.run(["node", fleetward.ROOT / "test/e2e/clients/websocket.js", kind, json.dumps(options)],
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, "NODE_PATH": f"{modules}/node_modules"})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_js(ws_server, name, node, version):
    for url, extra in ((f"ws://localhost:{ws_server.ws_port}/mqtt", {}),
                       (f"wss://localhost:{ws_server.https_port}/mqtt?" +
                        presigned(ws_server, host=f"localhost:{ws_server.https_port}"), {"ca": ws_server.ca})):
        got = node("mqtt", url=url, client_id=unique(name), version=version, topic=f"{name}/x",
                       payload="x" * 70000, **extra)
        assert got == {"topic": f"{name}/x", "size": 70000}


def test_mqtt_js_with_a_certificate(ws_server, name, node):
    thing = Thing(ws_server, name)
    got = node("mqtt", url=f"wss://localhost:{ws_server.alpn_port}/mqtt", client_id=name, version=5,
                   topic=f"{name}/x", payload="hello", ca=ws_server.ca, cert=str(thing.certificate_file),
                   key=str(thing.key_file))
    assert got == {"topic": f"{name}/x", "size": 5}


def test_the_device_sdk_for_javascript(ws_server, name, node):
    access_key, secret_key = ws_server.credentials
    got = node("awsiot", region=ws_server.region, access_key=access_key, secret_key=secret_key,
                   ca=ws_server.ca, client_id=name, port=ws_server.https_port, topic=f"{name}/x", payload="x" * 70000)
    assert got == {"topic": f"{name}/x", "size": 70000}


def test_text_and_broken_frames_end_the_connection(ws_server):
    """Byte by byte: MQTT in a text frame, an unmasked frame; the close code says why. [MQTT3-6.0.0-1] [MQTT5-6.0.0-1]"""
    before = ws_server.metrics()['fleetward_broker_refused_total{reason="websocket"}']
    for frame, code in ((b"\x81\x82" + b"\0\0\0\0" + b"\xc0\0", 1003), (b"\x82\x02\xc0\0", 1002)):
        with socket.create_connection(("localhost", ws_server.ws_port), timeout=10) as raw:
            raw.sendall(b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        b"Sec-WebSocket-Protocol: mqtt\r\n\r\n" + frame)
            got = b""
            while chunk := raw.recv(4096):
                got += chunk
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert rest == b"\x88\x02" + struct.pack(">H", code)
    after = ws_server.metrics()['fleetward_broker_refused_total{reason="websocket"}']
    assert after == before + 2
