"""Alert targets of the server's configuration: MQTT, signed webhooks, syslog over UDP, TCP and TLS; under kill -9."""
import base64
import datetime
import json
import subprocess
import threading
import time

import fleetward
import lake
import pytest
from devices import Thing, wait_for
from receivers import Authority, SyslogReceiver, WebhookReceiver

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
FAST = 'retry_first = "100ms"\nretry_max = "1s"\n'


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def receivers():
    started = []

    def start(receiver):
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        receiver.close()


def targets(*tables):
    return fleetward.DEFAULT_CONFIG + "".join("\n[[alerts.targets]]\n" + table + "\n" for table in tables)


def make_profile(server, name, things):
    """A profile with a loud and a suppressed behaviour of the custom metric `level`, for things of a group."""
    iot = server.boto("iot")
    iot.create_thing_group(thingGroupName=name)
    if "level" not in iot.list_custom_metrics()["metricNames"]:
        iot.create_custom_metric(metricName="level", metricType="number", clientRequestToken="t")
    criteria = {"comparisonOperator": "less-than", "value": {"number": 100}, "consecutiveDatapointsToAlarm": 1,
                "consecutiveDatapointsToClear": 1}
    iot.create_security_profile(securityProfileName=name, behaviors=[
        {"name": "low", "metric": "level", "criteria": criteria},
        {"name": "quiet", "metric": "level", "criteria": criteria, "suppressAlerts": True}])
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=iot.describe_thing_group(
        thingGroupName=name)["thingGroupArn"])
    return [Thing(server, thing, group=name) for thing in things]


def report(client, number, level):
    client.publish(f"$aws/things/{client.paho._client_id.decode()}/defender/metrics/json", json.dumps(
        {"hed": {"rid": number, "v": "1.0"}, "cmet": {"level": [{"number": level}]}}))


def listed(server, behavior="low"):
    """{(violation, event type)} of a behaviour, as the API has them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    pages = server.boto("iot").get_paginator("list_violation_events").paginate(
        startTime=now - datetime.timedelta(hours=1), endTime=now + datetime.timedelta(minutes=1))
    return {(e["violationId"], e["violationEventType"]) for page in pages for e in page["violationEvents"]
            if e["behavior"]["name"] == behavior}


def test_an_alarm_goes_to_every_target(new_server, authority, receivers, tmp_path):
    webhook = receivers(WebhookReceiver(SECRET, authority.server_context("hook")))
    webhook.answers = [503, 404]
    syslog = {kind: receivers(SyslogReceiver(kind)) for kind in ("udp", "tcp-octets", "tcp-newline")}
    syslog["tls"] = receivers(SyslogReceiver("tls", authority.server_context("logs", clients=True)))
    chain, key = authority.issue("client")
    secret_file = tmp_path / "secret"
    secret_file.write_text(f"whsec_{'A' * 32}\n{SECRET}\n")
    server = new_server(config=targets(
        'type = "mqtt"\nname = "bus"\ntopic = "alarms/${profile}/${thing}"',
        'type = "mqtt"\nname = "ends"\ntopic = "ends"\nevents = ["alarm-cleared"]',
        f'type = "webhook"\nname = "hook"\nurl = "{webhook.url}"\nsecret_file = "{secret_file}"\n'
        f'ca_file = "{authority.file}"\n{FAST}',
        f'type = "webhook"\nname = "others"\nurl = "{webhook.url}"\nsecret = "{SECRET}"\nprofiles = ["nobody-*"]',
        f'type = "syslog"\nname = "udp"\naddress = "127.0.0.1:{syslog["udp"].port}"\ntransport = "udp"',
        f'type = "syslog"\nname = "octets"\naddress = "localhost:{syslog["tcp-octets"].port}"\ntransport = "tcp"',
        f'type = "syslog"\nname = "lines"\naddress = "127.0.0.1:{syslog["tcp-newline"].port}"\ntransport = "tcp"\n'
        'framing = "newline"\nfacility = "audit"\nseverity = "alert"\nhostname = "fleet.example"\napp_name = "detect"',
        f'type = "syslog"\nname = "tls"\naddress = "localhost:{syslog["tls"].port}"\nca_file = "{authority.file}"\n'
        f'certificate_file = "{chain}"\nkey_file = "{key}"'))
    thing, = make_profile(server, "plant", ["pump-1"])
    watcher = Thing(server, "watcher")
    role = lake.role(server, "republish", "iot", ["iot:Publish"])
    server.boto("iot").create_topic_rule(ruleName="alarms", topicRulePayload={
        "sql": "SELECT thingName, fleetward.explanation AS why FROM 'alarms/+/+'",
        "actions": [{"republish": {"roleArn": role, "topic": "ruled"}}]})
    with watcher.client() as seen, thing.client() as device:
        seen.subscribe("alarms/#")
        seen.subscribe("ends")
        seen.subscribe("ruled")
        report(device, 1, 150)
        got = {}
        for _ in range(2):
            message = seen.receive()
            got[message.topic] = json.loads(message.payload)
        assert set(got) == {"alarms/plant/pump-1", "ruled"}
        alarm = got["alarms/plant/pump-1"]
        assert got["ruled"] == {"thingName": "pump-1", "why": alarm["fleetward"]["explanation"]}
        assert list(alarm) == ["violationEventTime", "thingName", "behavior", "violationEventType", "metricValue",
                               "violationId", "securityProfileName", "fleetward"]
        assert alarm["behavior"]["name"] == "low" and alarm["metricValue"] == {"number": 150}
        assert alarm["fleetward"] == {"explanation": '{"number":150} is not less-than 100, data point 1 of 1 in a row',
                                      "accountId": server.account, "region": server.region}
        report(device, 2, 50)
        assert {seen.receive().topic for _ in range(3)} == {"alarms/plant/pump-1", "ends", "ruled"}

    identifier = alarm["violationId"]
    both = {(identifier, "in-alarm"), (identifier, "alarm-cleared")}
    assert listed(server) == both and len(listed(server, "quiet")) == 2
    wait_for(lambda: set(webhook.accepted) == {f"{v}-{event}" for v, event in both}, what="both posts")
    assert webhook.accepted[f"{identifier}-in-alarm"] == [alarm]
    assert len(webhook.refused) == 2 and {i for i, _ in webhook.refused} <= set(webhook.accepted)
    for kind, receiver in syslog.items():
        wait_for(lambda: len(receiver.events()) == 2, what=f"both messages over {kind}")
        assert set(receiver.events()) == both, kind
        first, second = receiver.messages
        assert (first["id"], second["id"]) == ("in-alarm", "alarm-cleared")
        fields = first["elements"]["violation@32473"]
        assert fields == {"violationId": identifier, "violationEventType": "in-alarm", "thingName": "pump-1",
                          "securityProfileName": "plant", "behavior": "low", "metric": "level",
                          "metricValue": '{"number":150}', "accountId": server.account, "region": server.region}
        assert first["text"] == 'pump-1 in-alarm, plant/low: {"number":150} is not less-than 100, data point 1 of 1 in a row'
        when = datetime.datetime.fromisoformat(first["time"].replace("Z", "+00:00"))
        assert when.timestamp() * 1000 == pytest.approx(alarm["violationEventTime"], abs=1)
        as_told = kind == "tcp-newline"
        assert (first["facility"], first["severity"]) == ((13, 1) if as_told else (16, 4))
        assert second["severity"] == 5
        assert first["app"] == ("detect" if as_told else "fleetward")
        assert (first["hostname"] == "fleet.example") == as_told
    metrics = server.metrics()
    for name in ("bus", "hook", "udp", "octets", "lines", "tls"):
        assert metrics[f'fleetward_alerts_delivered_total{{target="{name}"}}'] == 2
    assert metrics['fleetward_alerts_retried_total{target="hook"}'] == 2
    assert metrics['fleetward_alerts_delivered_total{target="others"}'] == 0


def test_a_server_that_is_not_who_it_says_gets_nothing(new_server, authority, receivers):
    other_name = receivers(SyslogReceiver("tls", authority.server_context("other", host="other.example")))
    stranger = receivers(WebhookReceiver(SECRET, authority.server_context("stranger")))
    server = new_server(config=targets(
        f'type = "syslog"\nname = "logs"\naddress = "localhost:{other_name.port}"\nca_file = "{authority.file}"\n{FAST}'
        'give_up_after = "2s"',
        f'type = "webhook"\nname = "hook"\nurl = "{stranger.url}"\nsecret = "{SECRET}"\n{FAST}give_up_after = "2s"'))
    thing, = make_profile(server, "plant", ["pump-1"])
    with thing.client() as device:
        report(device, 1, 150)
    for name in ("logs", "hook"):
        wait_for(lambda: server.metrics().get(f'fleetward_alerts_dropped_total{{reason="expired",target="{name}"}}') == 1,
                 what=f"{name} to be given up")
    assert not other_name.messages and not stranger.accepted
    lines = [line for line in server.log().splitlines() if "alert_dropped" in line]
    assert any("target=logs" in line and "ostname mismatch" in line for line in lines), lines
    assert any("target=hook" in line and "certificate" in line for line in lines), lines


@pytest.mark.timeout(600)
def test_kill_9_between_alarm_and_delivery_loses_nothing(new_server, authority, receivers):
    webhook = receivers(WebhookReceiver(SECRET))
    webhook.failing = True
    logs = receivers(SyslogReceiver("tls", authority.server_context("logs")))
    down = SyslogReceiver("tcp-octets")
    down.close()  # comes back at the end
    server = new_server(config=targets(
        f'type = "webhook"\nname = "hook"\nurl = "{webhook.url}"\nsecret = "{SECRET}"\n{FAST}',
        f'type = "syslog"\nname = "tls"\naddress = "localhost:{logs.port}"\nca_file = "{authority.file}"\n{FAST}',
        f'type = "syslog"\nname = "down"\naddress = "127.0.0.1:{down.port}"\ntransport = "tcp"\n{FAST}'))
    server.keep_ports()
    things = make_profile(server, "plant", [f"pump-{i}" for i in range(4)])
    stopping = threading.Event()

    def toggle(thing):
        number = 0
        while not stopping.is_set():
            try:
                with thing.client() as device:
                    while not stopping.is_set() and not device.disconnected.is_set():
                        number += 1
                        report(device, number, 150 if number % 2 else 50)
            except (OSError, AssertionError, ValueError, RuntimeError):
                time.sleep(0.05)

    threads = [threading.Thread(target=toggle, args=(thing,), daemon=True) for thing in things]
    for thread in threads:
        thread.start()
    for pause in (1.0, 0.4, 1.3, 0.7, 0.2):
        time.sleep(pause)
        webhook.failing = pause > 0.5
        server.kill()
        server.start()
    time.sleep(1)
    stopping.set()
    for thread in threads:
        thread.join(30)
    webhook.failing = False
    back = receivers(SyslogReceiver("tcp-octets", port=down.port))
    wait_for(lambda: all(server.metrics()[f'fleetward_alerts_pending{{target="{name}"}}'] == 0
                         for name in ("hook", "tls", "down")), timeout=120, what="empty queues")
    events = listed(server)
    assert len(events) > 20, "hardly anything happened"
    assert set(webhook.accepted) == {f"{violation}-{event}" for violation, event in events}
    # What a syslog server's TCP has acknowledged it may still have to read.
    wait_for(lambda: set(logs.events()) >= events and set(back.events()) >= events, what="the syslog servers to read")
    assert set(logs.events()) == events
    assert set(back.events()) == events
    assert not [name for name in server.metrics() if name.startswith("fleetward_alerts_dropped_total")]
    repeated = [i for i, bodies in webhook.accepted.items() if len(bodies) > 1]
    assert len(repeated) <= 5 * 2  # at most what was open at a kill


@pytest.mark.parametrize("table, says", [
    ('type = "webhook"\nname = "hook"\nurl = "http://hooks.example/x"\nsecret = "' + SECRET + '"', ":6: alerts.targets[hook] url must be https"),
    ('type = "syslog"\nname = "logs"\naddress = "logs.example:514"\nfacility = "local9"', ":6: alerts.targets[logs] facility"),
    ('type = "mqtt"\nname = "bus"\ntopic = "a"\nretries = 3', ":10: unknown key alerts.targets[bus].retries"),
])
def test_check_config_names_line_and_reason(tmp_path, table, says):
    file = tmp_path / "fleetward.toml"
    file.write_text(targets(table))
    result = subprocess.run([fleetward.BINARY, "serve", "--config", file, "--check-config"], capture_output=True, text=True)
    assert result.returncode == 1
    assert f"{file}{says}" in result.stderr
    assert SECRET not in result.stderr
