"""Ways in beside TLS on its own port: behind a load balancer, by a Unix socket, by HTTPS; and how many may come at once."""
import base64
import json
import socket
import ssl
import struct
import threading

import paho.mqtt.client as mqtt
import pytest
import requests

import fleetward
from devices import Thing, wait_for
from wire import Wire


class Balancer:
    """Forwards connections to a port of this machine, with a header of the PROXY protocol before their bytes."""

    def __init__(self, port, header):
        self.target, self.header = port, header
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            server.sendall(self.header)
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def version2(ip, port):
    body = socket.inet_pton(socket.AF_INET6, ip) + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(
        ">HH", port, 8883)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H", len(body)) + body


@pytest.fixture(scope="module")
def balanced():
    """A server whose listeners but the plain API's are behind balancers."""
    directory = fleetward.scratch_directory()
    running = fleetward.Server(directory, config=fleetward.DEFAULT_CONFIG + """
[server]
proxy_protocol = ["mqtts_listen", "alpn_listen", "api_tls_listen"]
proxy_sources = ["127.0.0.0/8"]
unix_listen = "%s/mqtt.sock"
unix_mode = "0600"
unix_policy = "open"
[broker]
packets_per_second_max = 200
""" % directory).start()
    yield running
    assert running.stop() == 0, running.log()
    fleetward.remove(directory)


POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:*", "Resource": "*",
     "Condition": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}}]}


def port_of(server, listener):
    return int(server.endpoints[listener].rsplit(":", 1)[1])


@pytest.mark.parametrize("header,ip", [(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n", "192.0.2.7"),
                                       (version2("2001:db8::7", 4712), "2001:db8::7")])
def test_policies_see_the_client_behind_the_balancer(balanced, name, header, ip):
    thing = Thing(balanced, name, POLICY)
    balancer = Balancer(balanced.mqtts_port, header)
    with thing.client(port=balancer.port) as client:
        assert client.reason.value == 0
        info = balanced.boto("iot-data").get_connection(clientId=name, includeSocketInformation=True)
        assert info["sourceIp"] == ip and info["sourcePort"] in (4711, 4712)
    balancer.close()
    elsewhere = Balancer(balanced.mqtts_port, b"PROXY TCP4 203.0.113.1 198.51.100.1 4711 8883\r\n")
    refused = thing.client(port=elsewhere.port)
    assert refused.reason.value != 0
    refused.paho.loop_stop()
    elsewhere.close()


@pytest.mark.parametrize("listener", ["api_tls", "alpn"])
def test_https_publish_behind_a_balancer(balanced, name, listener):
    thing = Thing(balanced, name, POLICY)
    for header, status in ((b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", 200),
                           (b"PROXY TCP4 203.0.113.1 198.51.100.1 4711 443\r\n", 403)):
        balancer = Balancer(port_of(balanced, listener), header)
        answer = requests.post(f"https://localhost:{balancer.port}/topics/{name}?qos=1", data=b"x", verify=balanced.ca,
                               cert=(thing.certificate_file, thing.key_file), timeout=10)
        assert answer.status_code == status, answer.text
        balancer.close()


def test_what_is_no_proxy_header_is_cut_and_counted(balanced):
    mqtt_before = balanced.metrics()['fleetward_broker_refused_total{reason="proxy_header"}']
    for listener in ("mqtts", "alpn", "api_tls"):
        with socket.create_connection(("127.0.0.1", port_of(balanced, listener)), timeout=10) as raw:
            raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
            assert raw.recv(100) == b""
    metrics = balanced.metrics()
    assert metrics['fleetward_broker_refused_total{reason="proxy_header"}'] == mqtt_before + 2
    assert metrics['fleetward_http_bad_requests_total{reason="proxy"}'] >= 1


def test_a_unix_socket(balanced, name):
    seen = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, transport="unix")
    client.on_connect = lambda *_: client.subscribe(f"{name}/#", 1)
    client.on_subscribe = lambda *_: client.publish(f"{name}/x", b"local", 1)
    client.on_message = lambda _c, _u, message: seen.append(message.payload)
    client.connect(balanced.endpoints["unix"])
    client.loop_start()
    wait_for(lambda: seen == [b"local"], what="the message")
    client.disconnect()
    client.loop_stop()


def test_a_socket_that_a_killed_server_left_is_replaced(new_server, tmp_path):
    path = tmp_path / "mqtt.sock"
    server = new_server(config=fleetward.DEFAULT_CONFIG + f'[server]\nunix_listen = "{path}"\nunix_policy = "open"\n')
    server.kill()
    assert path.is_socket()
    server.start()
    assert server.stop() == 0
    assert not path.exists()


def test_a_client_that_sends_too_much_is_slowed_down_not_cut(balanced, name):
    thing = Thing(balanced, name)
    balancer = Balancer(balanced.mqtts_port, b"PROXY UNKNOWN\r\n")
    with thing.client(port=balancer.port) as client:
        infos = [client.paho.publish(f"{name}/x", b"x" * 2000, 1) for _ in range(600)]
        for info in infos:
            info.wait_for_publish(30)
    balancer.close()
    assert balanced.metrics()['fleetward_broker_refused_total{reason="packet_rate"}'] >= 1


def test_connections_of_one_source_are_counted(new_server, name):
    server = new_server(config=fleetward.DEFAULT_CONFIG + "[broker]\nconnect_rate_per_source_max = 3\n")
    thing = Thing(server, name)
    context = ssl.create_default_context(cafile=server.ca)
    context.load_cert_chain(thing.certificate_file, thing.key_file)
    results = []
    for _ in range(8):
        try:
            with socket.create_connection(("localhost", server.mqtts_port), timeout=10) as raw, \
                    context.wrap_socket(raw, server_hostname="localhost"):
                results.append(True)
        except OSError:
            results.append(False)
    assert 3 <= sum(results) < 8, results
    assert server.metrics()['fleetward_broker_refused_total{reason="connect_rate_of_source"}'] == 8 - sum(results)


def test_https_publish_carries_what_mqtt_5_has(server, name):
    thing = Thing(server, name)
    with thing.client(f"{name}-s", version=mqtt.MQTTv5) as subscriber:
        subscriber.subscribe(f"{name}/#")
        pairs = [{"k": "1"}, {"k": "2"}]
        answer = requests.post(
            f"{server.tls_url}/topics/{name}/a?qos=1&contentType=text/plain&responseTopic={name}/r&messageExpiry=60",
            data="gr\u00fc\u00df".encode(), verify=server.ca, cert=(thing.certificate_file, thing.key_file), timeout=10,
            headers={"x-amz-mqtt5-user-properties": base64.b64encode(json.dumps(pairs).encode()).decode(),
                     "x-amz-mqtt5-correlation-data": base64.b64encode(b"\x01\x02").decode(),
                     "x-amz-mqtt5-payload-format-indicator": "UTF8_DATA"})
        assert answer.status_code == 200 and answer.json()["message"] == "OK", answer.text
        message = subscriber.receive()
        got = message.properties
        assert message.topic == f"{name}/a" and message.payload == "gr\u00fc\u00df".encode()
        assert got.UserProperty == [("k", "1"), ("k", "2")] and got.ContentType == "text/plain"
        assert got.ResponseTopic == f"{name}/r" and got.CorrelationData == b"\x01\x02"
        assert got.PayloadFormatIndicator == 1 and 0 < got.MessageExpiryInterval <= 60


@pytest.mark.parametrize("query,headers,body,status", [
    ("qos=2", {}, b"", 400), ("qos=1&what=x", {}, b"", 400), ("messageExpiry=-1", {}, b"", 400),
    ("messageExpiry=604801", {}, b"", 400), ("qos=1", {"x-amz-mqtt5-correlation-data": "!"}, b"", 400),
    ("qos=1", {"x-amz-mqtt5-payload-format-indicator": "TEXT"}, b"", 400),
    ("qos=1", {"x-amz-mqtt5-payload-format-indicator": "UTF8_DATA"}, b"\xff", 400),
    ("qos=1", {}, b"x" * (128 * 1024 + 1), 413), ("qos=1", {}, b"x" * (128 * 1024), 200)])
def test_https_publish_refuses_by_name(server, name, query, headers, body, status):
    thing = Thing(server, name)
    answer = requests.post(f"{server.tls_url}/topics/{name}?{query}", data=body, verify=server.ca, headers=headers,
                           cert=(thing.certificate_file, thing.key_file), timeout=10)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"] and answer.json()["traceId"]


def test_https_publish_by_alpn(server, name):
    """Port 443 of AWS: ALPN x-amzn-http-ca; without it a certificate will do too."""
    thing = Thing(server, name)
    with thing.client(f"{name}-s") as subscriber:
        subscriber.subscribe(f"{name}/#")
        for protocols in (["x-amzn-http-ca"], ["http/1.1"], []):
            context = ssl.create_default_context(cafile=server.ca)
            context.load_cert_chain(thing.certificate_file, thing.key_file)
            if protocols:
                context.set_alpn_protocols(protocols)
            with socket.create_connection(("localhost", server.alpn_port), timeout=10) as raw, \
                    context.wrap_socket(raw, server_hostname="localhost") as tls:
                assert tls.selected_alpn_protocol() == (protocols[0] if protocols else None)
                tls.sendall(f"POST /topics/{name}/a?qos=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                            "Connection: close\r\n\r\nhi".encode())
                assert tls.recv(1000).startswith(b"HTTP/1.1 200 OK")
            assert subscriber.receive().payload == b"hi"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_sessions_are_resumed_while_the_certificate_is_active(server, name, version):
    thing = Thing(server, name)
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(thing.certificate_file, thing.key_file)

    def connect(session=None):
        """What CONNECT was answered, whether the session was taken, and one for the next time."""
        with socket.create_connection(("127.0.0.1", server.mqtts_port), timeout=15) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
                wire = Wire.of(tls)
                answer = wire.send(wire.connect_bytes(name)).next()
                return answer, tls.session_reused, tls.session

    answer, reused, first = connect()
    assert (answer.code, reused) == (0, False)
    answer, reused, second = connect(first)
    assert (answer.code, reused) == (0, True)
    assert server.metrics()["fleetward_broker_tls_resumed_total"] >= 1
    server.boto("iot").update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
    answer, reused, _ = connect(second)
    assert (answer.code, reused) == (0x87, True)
