"""The clients people have: Paho (3.1.1 and 5), mosquitto, the AWS IoT device SDK."""
import json
import ssl
import subprocess
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from devices import Client, Thing, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_publish_and_subscribe(server, name, version):
    thing = Thing(server, name)
    with thing.client(version=version) as client:
        assert client.subscribe(f"{name}/+/x", 1) == [1]
        client.publish(f"{name}/a/x", b"one", qos=1)
        client.publish(f"{name}/a/y", b"no", qos=1)
        client.publish(f"{name}/b/x", b"two", qos=0)
        got = [client.receive() for _ in range(2)]
        assert [(m.topic, m.payload, m.qos) for m in got] == [(f"{name}/a/x", b"one", 1), (f"{name}/b/x", b"two", 0)]
        client.unsubscribe(f"{name}/+/x")
        client.publish(f"{name}/a/x", b"three")
        assert client.messages.empty()


def test_mqtt5_properties_travel(server, name):
    thing = Thing(server, name)
    with thing.client(version=mqtt.MQTTv5) as client:
        client.subscribe(name)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType, properties.ResponseTopic = "application/json", f"{name}/answer"
        properties.CorrelationData = b"\x01\x02"
        properties.UserProperty = [("a", "1"), ("b", "2"), ("a", "3")]
        client.publish(name, b"{}", properties=properties)
        got = client.receive().properties
        assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("application/json", f"{name}/answer", b"\x01\x02")
        assert got.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")]


def test_a_persistent_session_keeps_messages_over_a_restart(new_server):
    server = new_server()
    sleeper, speaker = Thing(server, "sleeper"), Thing(server, "speaker")
    client = sleeper.client(clean=False)
    client.subscribe("news/#", 1)
    client.close()
    with speaker.client() as other:
        other.publish("news/1", b"before")
    server.keep_ports()
    server.kill()
    server.start()
    with speaker.client() as other:
        other.publish("news/2", b"after")
    with sleeper.client(clean=False) as client:
        assert client.flags.session_present
        assert sorted(client.receive().payload for _ in range(2)) == [b"after", b"before"]


def test_retained_messages_survive_a_restart(new_server):
    server = new_server()
    thing = Thing(server, "thing")
    with thing.client() as client:
        client.publish("status/thing", b"on", retain=True)
        client.publish("status/other", b"x", retain=True)
        client.publish("status/other", b"", retain=True)
    server.keep_ports()
    server.kill()
    server.start()
    with thing.client() as client:
        client.subscribe("status/thing")
        message = client.receive()
        assert (message.payload, message.retain) == (b"on", True)
        client.subscribe("status/other")
        client.publish("status/thing", b"off")
        assert client.receive().payload == b"off"


def test_the_will_is_published_when_the_connection_breaks(server, name):
    thing, watcher = Thing(server, name), Thing(server, f"{name}-w")
    with watcher.client() as client:
        client.subscribe(f"{name}/will")
        dying = thing.client(will=(f"{name}/will", b"gone", 1, False))
        dying.paho.loop_stop()
        dying.paho.socket().shutdown(2)  # without DISCONNECT
        assert client.receive().payload == b"gone"


def test_a_second_connection_takes_the_client_id_over(server, name):
    thing = Thing(server, name)
    first = thing.client()
    with thing.client():
        assert first.disconnected.wait(10)
    first.paho.loop_stop()


def test_policies_decide_and_refusals_are_counted(server, name):
    region, account = server.region, server.account
    prefix = f"arn:aws:iot:{region}:{account}"
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{prefix}:client/${{iot:Connection.Thing.ThingName}}"},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": f"{prefix}:topic/own/${{iot:ClientId}}/*"},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{prefix}:topicfilter/own/${{iot:ClientId}}/*"}]}
    thing = Thing(server, name, policy)
    with thing.client() as client:
        assert client.subscribe(f"own/{name}/x") == [1]
        assert client.subscribe("own/other/x")[0] >= 0x80
        client.publish(f"own/{name}/x", b"mine")
        assert client.receive().payload == b"mine"
        client.paho.publish("own/other/x", b"not mine", 1)
        assert client.disconnected.wait(10)
    stranger = Client(server, f"{name}-not-the-thing", thing, connect=False)
    stranger.paho.connect("localhost", server.mqtts_port)
    stranger.paho.loop_start()
    assert stranger.connected.wait(10) and stranger.reason.is_failure
    stranger.paho.loop_stop()


def test_unknown_and_inactive_certificates_are_refused(server, name):
    thing = Thing(server, name)
    client = thing.client()
    server.boto("iot").update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
    assert client.disconnected.wait(10), "the live connection of a deactivated certificate goes on"
    client.paho.loop_stop()
    context = ssl.create_default_context(cafile=server.ca)
    context.load_cert_chain(thing.certificate_file, thing.key_file)
    refused = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    refused.tls_set_context(context)
    accepted = threading.Event()
    refused.on_connect = lambda _c, _u, _f, reason, _p: None if reason.is_failure else accepted.set()
    try:
        refused.connect("localhost", server.mqtts_port)
        refused.loop_start()
        assert not accepted.wait(2)
        refused.loop_stop()
    except (OSError, ssl.SSLError):
        pass


def test_mosquitto_clients(server, name):
    thing = Thing(server, name)
    common = ["-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca, "--cert", str(thing.certificate_file),
              "--key", str(thing.key_file), "-q", "1", "-t", f"{name}/t"]
    with subprocess.Popen(["mosquitto_sub", *common, "-i", f"{name}-s", "-C", "1", "-W", "30"], stdout=subprocess.PIPE,
                          text=True) as sub:
        while sub.poll() is None:  # until the subscription stands and one arrives
            subprocess.run(["mosquitto_pub", *common, "-i", f"{name}-p", "-m", "hello"], check=True)
            time.sleep(0.1)
        assert sub.stdout.read() == "hello\n"


@pytest.mark.parametrize("listener", ["mqtts", "alpn"])
def test_aws_iot_device_sdk(server, name, listener):
    """The SDK of the AWS samples: mutual TLS on both ports, with ALPN x-amzn-mqtt-ca."""
    from awscrt import io
    from awscrt import mqtt as crt
    thing = Thing(server, name)
    options = io.TlsContextOptions.create_client_with_mtls_from_path(str(thing.certificate_file), str(thing.key_file))
    options.override_default_trust_store_from_path(None, server.ca)
    if listener == "alpn":
        options.alpn_list = ["x-amzn-mqtt-ca"]  # what the SDK's builder does for port 443
    connection = crt.Connection(
        crt.Client(tls_ctx=io.ClientTlsContext(options)), host_name="localhost",
        port=server.alpn_port if listener == "alpn" else server.mqtts_port, client_id=name, clean_session=False,
        keep_alive_secs=6)
    connection.connect().result(20)
    got = []
    topic = f"$aws/things/{name}/defender/metrics/json"
    subscribed, _ = connection.subscribe(f"{topic}/accepted", crt.QoS.AT_LEAST_ONCE,
                                         lambda topic, payload, **_: got.append(json.loads(payload)))
    subscribed.result(20)
    published, _ = connection.publish(topic, json.dumps({"header": {"report_id": 5, "version": "1.0"}, "metrics": {}}),
                                      crt.QoS.AT_LEAST_ONCE)
    published.result(20)
    wait_for(lambda: got, what="the answer")
    assert got[0]["reportId"] == 5
    connection.disconnect().result(20)


def test_https_without_alpn_on_the_alpn_listener(server):
    import requests
    answer = requests.get(f"https://localhost:{server.alpn_port}/health", verify=server.ca, timeout=10)
    assert answer.json()["status"] == "ok"
