"""Things with certificates, and MQTT clients (Paho) that are them."""
import json
import pathlib
import queue
import re
import ssl
import threading
import time
import uuid

import paho.mqtt.client as mqtt

OPEN_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


def unique(text):
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:30] + "-" + uuid.uuid4().hex[:8]


def wait_for(condition, timeout=30, what="condition"):
    """Polls until `condition()` is true; its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.05)


class Thing:
    """A registered thing with an active certificate and a policy."""

    def __init__(self, server, name, policy=OPEN_POLICY, group=None):
        self.server, self.name = server, name
        iot = server.boto("iot")
        iot.create_thing(thingName=name)
        created = iot.create_keys_and_certificate(setAsActive=True)
        self.certificate_arn, self.certificate_id = created["certificateArn"], created["certificateId"]
        directory = pathlib.Path(server.directory)
        self.certificate_file = directory / f"{name}.pem"
        self.key_file = directory / f"{name}.key"
        self.certificate_file.write_text(created["certificatePem"])
        self.key_file.write_text(created["keyPair"]["PrivateKey"])
        self.policy_name = f"{name}-policy"
        iot.create_policy(policyName=self.policy_name, policyDocument=json.dumps(policy))
        iot.attach_policy(policyName=self.policy_name, target=self.certificate_arn)
        iot.attach_thing_principal(thingName=name, principal=self.certificate_arn)
        if group:
            iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)

    def client(self, client_id=None, **options):
        return Client(self.server, client_id or self.name, self, **options)


class Client:
    """A Paho client over mutual TLS that keeps what it receives."""

    def __init__(self, server, client_id, thing=None, version=mqtt.MQTTv311, clean=True, port=None, will=None,
                 connect=True, properties=None, keepalive=60):
        options = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **options)
        self.messages = queue.Queue()
        self.connected, self.disconnected = threading.Event(), threading.Event()
        self.reason = self.flags = self.disconnect_reason = None
        self._acks, self._ack_arrived = {}, threading.Condition()
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda _c, _u, mid, codes, _p: self._acked(("sub", mid), codes)
        self.paho.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._acked(("unsub", mid), codes)
        if will:
            self.paho.will_set(*will)
        if thing is not None:
            context = ssl.create_default_context(cafile=server.ca)
            context.load_cert_chain(thing.certificate_file, thing.key_file)
            self.paho.tls_set_context(context)
        if connect:
            extra = {"clean_start": clean, "properties": properties} if version == mqtt.MQTTv5 else {}
            self.paho.connect("localhost", port or server.mqtts_port, keepalive=keepalive, **extra)
            self.paho.loop_start()
            assert self.connected.wait(15), "no CONNACK"

    def _on_connect(self, _client, _userdata, flags, reason, _properties):
        self.flags, self.reason = flags, reason
        self.connected.set()

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties):
        self.disconnect_reason = reason
        self.disconnected.set()

    def _acked(self, key, value):
        with self._ack_arrived:
            self._acks[key] = value
            self._ack_arrived.notify_all()

    def _wait_ack(self, key):
        with self._ack_arrived:
            assert self._ack_arrived.wait_for(lambda: key in self._acks, 15), f"no answer to {key}"
            return self._acks.pop(key)

    def subscribe(self, topic, qos=1):
        _, mid = self.paho.subscribe(topic, qos)
        return [code.value for code in self._wait_ack(("sub", mid))]

    def unsubscribe(self, topic):
        _, mid = self.paho.unsubscribe(topic)
        return self._wait_ack(("unsub", mid))

    def publish(self, topic, payload=b"", qos=1, retain=False, properties=None):
        info = self.paho.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(15)
        assert info.is_published(), f"no PUBACK for {topic}"

    def receive(self, timeout=15):
        return self.messages.get(timeout=timeout)

    def receive_json(self, timeout=15):
        return json.loads(self.receive(timeout).payload)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
