"""What alert targets talk to: a web server that checks signatures, and syslog servers that read RFC 5424 strictly."""
import base64
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import re
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority of the test's own, and certificates for localhost and 127.0.0.1 by it."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        self.certificate = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(True, None))
        self.file = directory / "test-ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=2)))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, host=None):
        """Files of a chain and a key. Without `host` for localhost and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(host)] if host else [x509.DNSName("localhost"),
                                                   x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), x509.SubjectAlternativeName(names))
        chain, key_file = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return chain, key_file

    def server_context(self, name, host=None, clients=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, host))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context


def check_webhook(headers, body, secret):
    """As the Standard Webhooks specification has receivers do it."""
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in headers["webhook-signature"].split(" ")


class WebhookReceiver:
    """Answers with the statuses of `answers`, then 200; keeps what it took by webhook-id."""

    def __init__(self, secret, context=None):
        self.secret, self.answers, self.lock = secret, [], threading.Lock()
        self.accepted, self.refused = {}, []
        self.failing = False
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.take(self.headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server.server_port}/alarms"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        check_webhook(headers, body, self.secret)
        assert headers["content-type"] == "application/json"
        with self.lock:
            status = 503 if self.failing else self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.accepted.setdefault(headers["webhook-id"], []).append(json.loads(body))
            else:
                self.refused.append((headers["webhook-id"], headers["webhook-timestamp"]))
            return status

    def close(self):
        self.server.shutdown()


HEADER = re.compile(rb"<(0|[1-9]\d{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)|-) "
                    rb"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ")
NAME = re.compile(rb'[!#-<>-\\^-~]{1,32}')  # no '=', ']', '"' and space


def parse_syslog(message):
    """One message of RFC 5424, strictly, as a dict. AssertionError for anything else."""
    header = HEADER.match(message)
    assert header, message
    priority = int(header[1])
    assert priority <= 191
    at, elements = header.end(), {}
    if message[at:at + 1] == b"-":
        at += 1
    else:
        assert message[at:at + 1] == b"[", message
        while message[at:at + 1] == b"[":
            name = NAME.match(message, at + 1)
            at, parameters = name.end(), {}
            while message[at:at + 1] == b" ":
                key = NAME.match(message, at + 1)
                at = key.end()
                assert message[at:at + 2] == b'="', message
                at, value = at + 2, b""
                while message[at:at + 1] != b'"':
                    if message[at:at + 1] == b"\\" and message[at + 1:at + 2] in (b'"', b"\\", b"]"):
                        at += 1
                    else:
                        assert message[at:at + 1] not in (b"]", b""), message
                    value += message[at:at + 1]
                    at += 1
                at += 1
                parameters[key[0].decode()] = value.decode("utf-8")
            assert message[at:at + 1] == b"]", message
            at += 1
            assert name[0].decode() not in elements
            elements[name[0].decode()] = parameters
    assert message[at:at + 1] in (b" ", b""), message
    text = message[at + 1:]
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    else:
        assert text.isascii()
    return {"facility": priority >> 3, "severity": priority & 7, "time": header[2].decode(), "hostname": header[3].decode(),
            "app": header[4].decode(), "process": header[5].decode(), "id": header[6].decode(), "elements": elements,
            "text": text.decode("utf-8")}


class SyslogReceiver:
    """A syslog server: kind is udp, tcp-octets, tcp-newline or tls."""

    def __init__(self, kind, context=None, port=0):
        self.kind, self.context = kind, context
        self.messages, self.problems, self.lock, self.open = [], [], threading.Lock(), []
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        if kind != "udp":
            self.listener.listen(16)
        threading.Thread(target=self._datagrams if kind == "udp" else self._accept, daemon=True).start()

    def _take(self, message):
        with self.lock:
            try:
                self.messages.append(parse_syslog(message))
            except Exception as problem:  # noqa: BLE001
                self.problems.append((problem, message))

    def _datagrams(self):
        while True:
            try:
                self._take(self.listener.recv(65536))
            except OSError:
                return

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream:
                while self._one(stream):
                    pass
        except OSError:
            pass  # a client that was killed

    def _one(self, stream):
        if self.kind == "tcp-newline":
            line = stream.readline()
            if line.endswith(b"\n"):
                self._take(line[:-1])
            return line.endswith(b"\n")
        length = b""
        while (digit := stream.read(1)).isdigit():
            length += digit
        if not digit:
            return False
        assert digit == b" " and re.fullmatch(rb"[1-9]\d*", length), (length, digit)
        message = stream.read(int(length))
        if len(message) == int(length):
            self._take(message)
        return True

    def events(self):
        """{(violation, event)} of what came."""
        with self.lock:
            assert not self.problems, self.problems
            return [(m["elements"]["violation@32473"]["violationId"], m["id"]) for m in self.messages]

    def close(self):
        if self.kind != "udp":
            self.listener.shutdown(socket.SHUT_RDWR)  # or the accept under way would take one more connection
        self.listener.close()
        for connection in self.open:
            connection.close()
