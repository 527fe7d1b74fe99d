"""The broker with foreign clients: Paho, mosquitto's, the AWS IoT device SDK."""
import json
import shutil
import ssl
import subprocess
import threading
import time

import fleetward
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devices import Thing, wait_for

V311, V5 = mqtt.MQTTv311, mqtt.MQTTv5


def expiry(seconds):
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return properties


@pytest.mark.parametrize("publisher_version", [V311, V5])
@pytest.mark.parametrize("subscriber_version", [V311, V5])
def test_versions_talk_to_each_other(server, name, publisher_version, subscriber_version):
    thing = Thing(server, name)
    with thing.client(f"{name}-s", version=subscriber_version) as subscriber, \
            thing.client(f"{name}-p", version=publisher_version) as publisher:
        assert subscriber.subscribe(f"{name}/+") == [1]
        for qos in (0, 1):
            publisher.publish(f"{name}/{qos}", b"\x00binary", qos)
            message = subscriber.receive()
            assert (message.topic, message.payload, message.qos) == (f"{name}/{qos}", b"\x00binary", qos)
            assert not message.retain


def test_properties_travel_unchanged(server, name):
    thing = Thing(server, name)
    with thing.client(f"{name}-s", version=V5) as subscriber, thing.client(f"{name}-p", version=V5) as publisher:
        subscriber.subscribe(f"{name}/#")
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("k", "1"), ("k", "2"), ("unit", "dBm")]
        properties.ContentType = "application/json"
        properties.ResponseTopic = f"{name}/answer"
        properties.CorrelationData = b"\x01\x02"
        properties.MessageExpiryInterval = 60
        publisher.publish(f"{name}/x", b"{}", properties=properties)
        got = subscriber.receive().properties
        assert got.UserProperty == [("k", "1"), ("k", "2"), ("unit", "dBm")]
        assert got.ContentType == "application/json" and got.ResponseTopic == f"{name}/answer"
        assert got.CorrelationData == b"\x01\x02" and got.MessageExpiryInterval <= 60


def test_many_messages_keep_their_order_and_number(server, name):
    thing = Thing(server, name)
    count = 2000
    with thing.client(f"{name}-s") as subscriber, thing.client(f"{name}-p") as publisher:
        subscriber.subscribe(f"{name}/n")
        for i in range(count):
            publisher.paho.publish(f"{name}/n", str(i), 1)
        assert [int(subscriber.receive().payload) for _ in range(count)] == list(range(count))


def test_a_shared_subscription_shares(server, name):
    thing = Thing(server, name)
    workers = [thing.client(f"{name}-w{i}", version=V5) for i in range(4)]
    for worker in workers:
        assert worker.subscribe(f"$share/g/{name}/job") == [1]
    with thing.client(f"{name}-p") as publisher:
        for i in range(40):
            publisher.publish(f"{name}/job", str(i))
    wait_for(lambda: sum(w.messages.qsize() for w in workers) == 40, what="all jobs")
    time.sleep(0.2)
    assert sum(w.messages.qsize() for w in workers) == 40
    assert all(w.messages.qsize() == 10 for w in workers)
    for worker in workers:
        worker.close()


def test_retained_messages_and_the_data_api(server, name):
    thing = Thing(server, name)
    with thing.client() as client:
        client.publish(f"{name}/state", b"on", retain=True)
        with thing.client(f"{name}-late") as late:
            late.subscribe(f"{name}/#")
            message = late.receive()
            assert message.retain and message.payload == b"on"
        data = server.boto("iot-data")
        assert data.get_retained_message(topic=f"{name}/state")["payload"] == b"on"
        client.publish(f"{name}/state", b"", retain=True)
        wait_for(lambda: name not in json.dumps(data.list_retained_messages(), default=str), what="deletion")


def test_wills_and_presence(server, name):
    thing = Thing(server, name)
    with thing.client(f"{name}-watch") as watcher:
        watcher.subscribe(f"$aws/events/presence/+/{name}")
        watcher.subscribe(f"{name}/will")
        doomed = thing.client(will=(f"{name}/will", b"lost", 1, False))
        connected = watcher.receive_json()
        assert connected["eventType"] == "connected" and connected["clientId"] == name
        assert connected["principalIdentifier"] == thing.certificate_id
        doomed.paho.loop_stop()
        doomed.paho.socket().shutdown(2)
        seen = {watcher.receive().topic for _ in range(2)}
        assert seen == {f"{name}/will", f"$aws/events/presence/disconnected/{name}"}


def test_takeover(server, name):
    thing = Thing(server, name)
    first = thing.client(version=V5)
    first.paho.reconnect_delay_set(60, 60)
    second = thing.client(version=V5)
    assert first.disconnected.wait(15)
    assert first.disconnect_reason.value == 0x8E
    second.publish(f"{name}/x", b"alive")
    second.close()
    first.paho.loop_stop()


@pytest.mark.parametrize("version", [V311, V5])
def test_a_session_survives_kill_9(new_server, name, version):
    server = new_server()
    thing = Thing(server, name)
    options = dict(version=version, clean=False, properties=expiry(3600) if version == V5 else None)
    device = thing.client(**options)
    assert device.subscribe(f"{name}/cmd") == [1]
    device.close()
    with thing.client(f"{name}-p") as publisher:
        for i in range(50):
            publisher.publish(f"{name}/cmd", str(i))
    server.kill()
    server.start()
    device = thing.client(**options)
    assert device.flags.session_present
    assert [int(device.receive().payload) for _ in range(50)] == list(range(50))
    device.close()
    # Once this one is acknowledged, so is on disk what the device acknowledged before it left.
    wait_for(lambda: server.metrics()["fleetward_broker_connections"] == 0, what="the device to be gone")
    with thing.client(f"{name}-p") as publisher:
        publisher.publish(f"{name}/cmd", "last")
    server.kill()
    server.start()
    device = thing.client(**options)
    assert device.receive().payload == b"last"
    time.sleep(0.3)
    assert device.messages.empty(), "what was acknowledged does not come again"
    device.close()


def test_queues_that_share_their_messages_survive_kill_9(new_server, name):
    """Also with another number of shards, and after some of the queues were read."""
    config = fleetward.DEFAULT_CONFIG + "[broker]\nshards = {}\n"
    server = new_server(config=config.format(1))
    thing = Thing(server, name)
    for i in range(6):
        with thing.client(f"{name}-{i}", clean=False) as client:
            client.subscribe(f"{name}/#")
    with thing.client() as client:
        for n in range(20):
            client.publish(f"{name}/x", b"%d" % n)

    def read(i):
        with thing.client(f"{name}-{i}", clean=False) as client:
            assert client.flags.session_present
            assert [int(client.receive().payload) for _ in range(20)] == list(range(20))

    read(0)
    server.keep_ports()
    server.kill()
    server.config_file.write_text(config.format(2))
    server.start()
    for i in (1, 2, 3):
        read(i)
    with thing.client() as client:
        client.publish(f"{name}/x", b"20")
    server.kill()
    server.start()
    for i in (4, 5):
        read(i)


def test_alpn_on_the_shared_port(server, name):
    thing = Thing(server, name)
    context = ssl.create_default_context(cafile=server.ca)
    context.load_cert_chain(thing.certificate_file, thing.key_file)
    context.set_alpn_protocols(["x-amzn-mqtt-ca"])
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    client.tls_set_context(context)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("localhost", server.alpn_port)
    client.loop_start()
    assert connected.wait(15)
    client.disconnect()
    client.loop_stop()


def test_refusals_are_named_and_counted(server, name):
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"arn:aws:iot:*:*:topic/{name}/*"}]}
    thing = Thing(server, name, policy)
    before = server.metrics().get("fleetward_broker_authorization_failures_total", 0)
    stranger = thing.client(f"{name}-stranger", version=V5)
    assert stranger.reason.value == 0x87
    stranger.paho.loop_stop()
    device = thing.client(version=V5)
    device.paho.reconnect_delay_set(60, 60)
    assert device.subscribe(f"{name}/x") == [0x87]
    device.publish(f"{name}/x", b"fine")
    device.paho.publish("elsewhere", b"no", 1)
    assert device.disconnected.wait(15)
    assert device.disconnect_reason.value == 0x87
    device.paho.loop_stop()
    assert server.metrics()["fleetward_broker_authorization_failures_total"] == before + 3


def test_a_certificate_that_is_deactivated_loses_its_connection(server, name):
    thing = Thing(server, name)
    device = thing.client(version=V5)
    device.paho.reconnect_delay_set(60, 60)
    server.boto("iot").update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
    assert device.disconnected.wait(15)
    device.paho.loop_stop()
    refused = thing.client(version=V5)
    assert refused.reason.value == 0x87
    refused.paho.loop_stop()


def subscribed(server, client_id):
    from botocore.exceptions import ClientError
    try:
        return server.boto("iot-data").list_subscriptions(clientId=client_id)["subscriptions"]
    except ClientError:
        return []


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients")
def test_mosquitto_clients(server, name):
    thing = Thing(server, name)
    tls = ["-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca, "--cert", thing.certificate_file,
           "--key", thing.key_file]
    subscriber = subprocess.Popen(["mosquitto_sub", *tls, "-V", "5", "-i", f"{name}-s", "-t", f"{name}/#", "-q", "1",
                                   "-C", "3", "-W", "20", "-F", "%t %q %p"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: subscribed(server, f"{name}-s"), what="the subscription")
    for i in range(3):
        subprocess.run(["mosquitto_pub", *tls, "-i", f"{name}-p", "-t", f"{name}/{i}", "-m", f"m{i}", "-q", "1"],
                       check=True, timeout=30)
    assert subscriber.communicate(timeout=30)[0].splitlines() == [f"{name}/{i} 1 m{i}" for i in range(3)]


def test_aws_iot_device_sdk(server, name):
    """As the sample's device: mutual TLS from files, a persistent session, QoS 1, a short keep-alive."""
    from awscrt import mqtt as crt_mqtt
    from awsiot import mqtt_connection_builder
    thing = Thing(server, name)
    received = []

    def connect():
        connection = mqtt_connection_builder.mtls_from_path(
            endpoint="localhost", port=server.mqtts_port, ca_filepath=server.ca,
            cert_filepath=str(thing.certificate_file), pri_key_filepath=str(thing.key_file), client_id=name,
            clean_session=False, keep_alive_secs=6)
        connection.on_message(lambda topic, payload, **_: received.append((topic, payload)))
        return connection, connection.connect().result(20)["session_present"]

    connection, present = connect()
    assert not present
    future, _ = connection.subscribe(f"{name}/down", crt_mqtt.QoS.AT_LEAST_ONCE)
    assert future.result(20)["qos"] == crt_mqtt.QoS.AT_LEAST_ONCE
    future, _ = connection.publish(f"{name}/down", "echo", crt_mqtt.QoS.AT_LEAST_ONCE)
    future.result(20)
    wait_for(lambda: received == [(f"{name}/down", b"echo")], what="the echo")
    connection.disconnect().result(20)
    server.boto("iot-data").publish(topic=f"{name}/down", qos=1, payload=b"while away")
    connection, present = connect()
    assert present
    wait_for(lambda: (f"{name}/down", b"while away") in received, what="the queued message")
    connection.disconnect().result(20)


def test_the_service_s_habits(new_server, name):
    server = new_server(config=fleetward.DEFAULT_CONFIG + '[broker]\nbehaviour = "aws"\n')
    thing = Thing(server, name)
    with thing.client(version=V5) as client:
        assert client.subscribe(f"{name}/#", 2) == [1]
        client.publish(name, b"the parent")
        client.publish(f"{name}/x", b"retained", retain=True)
        assert client.receive().payload == b"retained"
        with thing.client(f"{name}-late") as late:
            late.subscribe(f"{name}/+")
            late.subscribe(f"{name}/x")
            assert late.receive().payload == b"retained" and late.messages.empty()
        client.paho.reconnect_delay_set(60, 60)
        client.paho.publish(f"{name}/x", b"", 2)
        assert client.disconnected.wait(15)
        assert client.disconnect_reason.value == 0x9B
