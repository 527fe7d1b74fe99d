"""SNS by boto3, a web server that checks signatures with a foreign library, and a server that is killed."""
import base64
import http.server
import json
import queue
import threading

import pytest
import requests
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from devices import wait_for

CONFIRMATION = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]


class Endpoint:
    """A subscriber's web server: what is posted to it comes out of receive()."""

    def __init__(self):
        received = self.received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                received.put((self.headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def receive(self, timeout=30):
        return self.received.get(timeout=timeout)

    def receive_json(self):
        return json.loads(self.receive()[1])


@pytest.fixture
def endpoint():
    running = Endpoint()
    yield running
    running.server.shutdown()


def check_signature(server, message):
    names = CONFIRMATION
    if message["Type"] == "Notification":
        names = ["Message", "MessageId", *(["Subject"] if "Subject" in message else []), "Timestamp", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    certificate = x509.load_pem_x509_certificate(
        requests.get(message["SigningCertURL"], verify=server.ca, timeout=10).content)
    digest = hashes.SHA256() if message["SignatureVersion"] == "2" else hashes.SHA1()
    certificate.public_key().verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), digest)


def test_private_endpoints_may_be_forbidden(new_server, endpoint):
    server = new_server(config="[sns]\nprivate_endpoints = false\n")
    sns = server.boto("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    port = endpoint.server.server_port
    urls = [f"http://{host}:{port}/" for host in ("127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]")]
    for url in urls:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
    refused = 'fleetward_alerts_dropped_total{reason="refused"}'
    wait_for(lambda: server.metrics().get(refused, 0) == len(urls), what="every confirmation to be refused")
    assert endpoint.received.empty()
    assert "is private ([sns] private_endpoints)" in server.log()
    for url in ("http://localhost:99999/", "http://:80/", "http://a:x/"):
        with pytest.raises(ClientError) as caught:
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        assert caught.value.response["Error"]["Code"] == "InvalidParameter"


def confirmed(server, sns, topic, endpoint, **attributes):
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    assert answer["SubscriptionArn"] == "pending confirmation"
    message = endpoint.receive_json()
    assert message["Type"] == "SubscriptionConfirmation"
    check_signature(server, message)
    assert requests.get(message["SubscribeURL"], verify=server.ca, timeout=10).status_code == 200
    return sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_confirmed_endpoint_gets_signed_notifications(server, name, endpoint, version):
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name, Attributes={"SignatureVersion": version})["TopicArn"]
    subscription = confirmed(server, sns, topic, endpoint)
    published = sns.publish(TopicArn=topic, Subject="subject", Message='two\nlines, "quoted", ü',
                            MessageAttributes={"n": {"DataType": "Number", "StringValue": "5"}})
    headers, body = endpoint.receive()
    message = json.loads(body)
    check_signature(server, message)
    assert (message["MessageId"], message["SignatureVersion"]) == (published["MessageId"], version)
    assert (message["Subject"], message["Message"]) == ("subject", 'two\nlines, "quoted", ü')
    assert message["MessageAttributes"] == {"n": {"Type": "Number", "Value": "5"}}
    assert headers["x-amz-sns-subscription-arn"] == subscription
    assert message["UnsubscribeURL"].endswith(f"Action=Unsubscribe&SubscriptionArn={subscription}")

    assert requests.get(message["UnsubscribeURL"], verify=server.ca, timeout=10).status_code == 200
    farewell = endpoint.receive_json()
    assert farewell["Type"] == "UnsubscribeConfirmation"
    check_signature(server, farewell)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_filters_and_raw_delivery(server, name, endpoint):
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    confirmed(server, sns, topic, endpoint, RawMessageDelivery="true", FilterPolicyScope="MessageBody",
              FilterPolicy=json.dumps({"device": {"rssi": [{"numeric": ["<", -100]}]}}))
    for rssi in (-70, -115):
        sns.publish(TopicArn=topic, Message=json.dumps({"device": {"rssi": rssi}}))
    headers, body = endpoint.receive()
    assert json.loads(body) == {"device": {"rssi": -115}}
    assert headers["x-amz-sns-rawdelivery"] == "true"
    assert endpoint.received.empty()


def test_nothing_acknowledged_is_lost_by_kill(new_server, endpoint):
    server = new_server()
    server.keep_ports()
    sns = server.boto("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    confirmed(server, sns, topic, endpoint)
    sent = []
    for _ in range(4):
        sent += [sns.publish(TopicArn=topic, Message=str(i))["MessageId"] for i in range(25)]
        server.kill()
        server.start()
    missing = set(sent)
    while missing:
        missing.discard(endpoint.receive_json()["MessageId"])


@pytest.mark.parametrize("protocol", ["email", "sms", "sqs", "lambda", "firehose", "application"])
def test_other_protocols_are_refused_by_name(server, name, protocol):
    sns = server.boto("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    with pytest.raises(ClientError, match=f"'{protocol}' is not supported") as refused:
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint="someone")
    assert refused.value.response["Error"]["Code"] == "InvalidParameter"


def test_batches_by_the_command_line(server, name):
    topic = server.aws("sns", "create-topic", "--name", name)["TopicArn"]
    answer = server.aws("sns", "publish-batch", "--topic-arn", topic, "--publish-batch-request-entries",
                        "Id=a,Message=x", "Id=b,Message=y,Subject=s")
    assert [entry["Id"] for entry in answer["Successful"]] == ["a", "b"]
    assert server.aws("sns", "list-topics")["Topics"].count({"TopicArn": topic}) == 1
