"""Statistical thresholds with a fleet of devices: the one that stays apart is found, in what it reports and in what
the server sees it do, and no other."""
import json

import pytest
from devices import Thing, wait_for

DEVICES = 24
OUTLIER = 17


class Fleet:
    """Things in one group, each with a connection of its own, that report a custom number."""

    def __init__(self, server, name, things):
        self.iot, self.name = server.boto("iot"), name
        self.group = self.iot.create_thing_group(thingGroupName=name)["thingGroupArn"]
        self.metric = f"{name}-temperature"
        self.iot.create_custom_metric(metricName=self.metric, metricType="number", clientRequestToken="t")
        self.names = [f"{name}-{i}" for i in range(things)]
        self.clients = [Thing(server, thing, group=name).client() for thing in self.names]
        self.report_id = 0

    def watch(self, *behaviors):
        self.iot.create_security_profile(securityProfileName=self.name, behaviors=list(behaviors))
        self.iot.attach_security_profile(securityProfileName=self.name, securityProfileTargetArn=self.group)

    def behavior(self, name, metric, operator, statistic, **criteria):
        return {"name": name, "metric": metric, "criteria": {
            "comparisonOperator": operator, "statisticalThreshold": {"statistic": statistic}, "durationSeconds": 300,
            **criteria}}

    def report(self, i, number):
        self.report_id += 1
        self.clients[i].publish(f"$aws/things/{self.names[i]}/defender/metrics/json", json.dumps(
            {"hed": {"rid": self.report_id, "v": "1.0"}, "cmet": {self.metric: [{"number": number}]}}))

    def active(self, behavior):
        page = self.iot.list_active_violations(securityProfileName=self.name, behaviorCriteriaType="STATISTICAL",
                                               maxResults=250)["activeViolations"]
        return {v["thingName"]: v["lastViolationValue"] for v in page if v["behavior"]["name"] == behavior}

    def events(self, behavior):
        from test_detect_api import around_now
        page = self.iot.list_violation_events(securityProfileName=self.name, maxResults=250, **around_now())
        return [(e["thingName"], e["violationEventType"], e["metricValue"]) for e in reversed(page["violationEvents"])
                if e["behavior"]["name"] == behavior]

    def close(self):
        for client in self.clients:
            client.__exit__(None, None, None)


@pytest.fixture
def fleet_of():
    fleets = []

    def make(server, name, things):
        fleets.append(Fleet(server, name, things))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


def test_the_device_that_stays_apart(server, name, fleet_of):
    fleet = fleet_of(server, name, DEVICES)
    runs = {"consecutiveDatapointsToAlarm": 3, "consecutiveDatapointsToClear": 2}
    hot = fleet.behavior("hot", fleet.metric, "less-than-equals", "p90", **runs)
    busy = fleet.behavior("busy", "aws:num-messages-sent", "less-than-equals", "p90", **runs)
    fleet.watch(hot, busy)
    assert fleet.iot.describe_security_profile(securityProfileName=name)["behaviors"] == [hot, busy]

    # p90 of 24 is the 22nd smallest value: three steps that are alike, and one device far away.
    def number(i):
        return 80 if i == OUTLIER else 20 + i % 3

    for i in range(DEVICES):
        fleet.report(i, number(i))
        fleet.clients[i].publish(f"{name}/telemetry", "21")
    for _ in range(30):
        fleet.clients[OUTLIER].publish(f"{name}/telemetry", "80")
    outlier = fleet.names[OUTLIER]
    wait_for(lambda: fleet.active("hot") == {outlier: {"number": 80}}, what="the alarm of the hot one")
    wait_for(lambda: outlier in fleet.active("busy"), what="the alarm of the busy one")
    # Reports are messages too: one each.
    assert fleet.active("busy") == {outlier: {"count": 32}}

    # It cools down, and the others send as much as it does. While they do, another one may be ahead for some ticks.
    fleet.report(OUTLIER, 21)
    for i in set(range(DEVICES)) - {OUTLIER}:
        for _ in range(31):
            fleet.clients[i].publish(f"{name}/telemetry", "22")
    wait_for(lambda: fleet.active("hot") == {}, what="the end of the alarm of the hot one")
    wait_for(lambda: outlier not in fleet.active("busy"), what="the end of the alarm of the busy one")
    assert fleet.events("hot") == [(outlier, "in-alarm", {"number": 80}), (outlier, "alarm-cleared", {"number": 21})]
    of_outlier = [e[1] for e in fleet.events("busy") if e[0] == outlier]
    assert of_outlier == ["in-alarm", "alarm-cleared"]


def test_nobody_is_judged_below_the_smallest_population(new_server, name, fleet_of):
    server = new_server(config='[detect]\ntick = "1s"\npopulation_min = 4\n')
    fleet = fleet_of(server, name, 4)
    fleet.watch(fleet.behavior("hot", fleet.metric, "less-than", "p100"))
    for i in range(3):
        fleet.report(i, 20 + i)
    skipped = "fleetward_detect_populations_skipped_total"
    wait_for(lambda: server.metrics()[skipped] >= 2, what="two ticks without thresholds")
    assert fleet.active("hot") == {}
    fleet.report(3, 10)
    wait_for(lambda: fleet.active("hot") == {fleet.names[2]: {"number": 22}}, what="the alarm of the largest")
