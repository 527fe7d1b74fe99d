"""Fleet indexing, dynamic thing groups, and whom Detect's profiles reach as memberships change: boto3, the aws CLI, Paho."""
import datetime
import json
import time

from botocore.exceptions import ClientError
from devices import Client, Thing, unique, wait_for
import pytest

REGISTRY = {"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}


def error_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def iot(server):
    iot = server.boto("iot")
    assert iot.get_indexing_configuration()["thingIndexingConfiguration"]["thingIndexingMode"] == "OFF"
    assert iot.list_indices()["indexNames"] == []
    code, message = error_of(iot.create_dynamic_thing_group, thingGroupName="too-early", queryString="thingName:a")
    assert code == "ResourceNotFoundException" and "UpdateIndexingConfiguration" in message
    assert error_of(iot.search_index, queryString="*")[0] == "ResourceNotFoundException"
    assert error_of(iot.describe_index, indexName="AWS_Things")[0] == "ResourceNotFoundException"
    iot.update_indexing_configuration(thingIndexingConfiguration=REGISTRY)
    assert iot.list_indices()["indexNames"] == ["AWS_Things"]
    index = iot.describe_index(indexName="AWS_Things")
    assert (index["indexStatus"], index["schema"]) == ("ACTIVE", "REGISTRY_AND_CONNECTIVITY_STATUS")
    return iot


def members(iot, group):
    return iot.list_things_in_thing_group(thingGroupName=group)["things"]


def has_members(iot, group, *things, timeout=5):
    wait_for(lambda: members(iot, group) == sorted(things), timeout=timeout, what=f"{things} in {group}")


def names(iot, query, **options):
    return [thing["thingName"] for thing in iot.search_index(queryString=query, **options)["things"]]


def test_life_of_a_dynamic_group(iot, name, server):
    group = f"{name}-warm"
    iot.create_thing(thingName=name, attributePayload={"attributes": {"temp": "80", "test": name}})
    query = f"attributes.temp>75 AND attributes.test:{name}"
    made = iot.create_dynamic_thing_group(
        thingGroupName=group, queryString=query, tags=[{"Key": "k", "Value": "v"}],
        thingGroupProperties={"thingGroupDescription": "warm", "attributePayload": {"attributes": {"a": "b"}}})
    assert (made["indexName"], made["queryVersion"], made["queryString"]) == ("AWS_Things", "2017-09-30", query)
    wait_for(lambda: iot.describe_thing_group(thingGroupName=group)["status"] == "ACTIVE", timeout=5)
    described = iot.describe_thing_group(thingGroupName=group)
    assert (described["queryString"], described["indexName"], described["version"]) == (query, "AWS_Things", 1)
    assert described["thingGroupProperties"]["thingGroupDescription"] == "warm"
    assert members(iot, group) == [name]
    assert [g["groupName"] for g in iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]] == [group]
    assert group in [g["groupName"] for g in iot.list_thing_groups(namePrefixFilter=group)["thingGroups"]]
    assert iot.list_tags_for_resource(resourceArn=made["thingGroupArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    # The same again is fine, another query is not.
    iot.create_dynamic_thing_group(
        thingGroupName=group, queryString=query,
        thingGroupProperties={"thingGroupDescription": "warm", "attributePayload": {"attributes": {"a": "b"}}})
    assert error_of(iot.create_dynamic_thing_group, thingGroupName=group,
                    queryString="a")[0] == "ResourceAlreadyExistsException"
    # Things come and go as they change.
    iot.update_thing(thingName=name, attributePayload={"attributes": {"temp": "20"}, "merge": True})
    assert members(iot, group) == []
    version = iot.update_dynamic_thing_group(thingGroupName=group, expectedVersion=1, thingGroupProperties={},
                                             queryString=f"attributes.test:{name}")["version"]
    assert version == 2
    has_members(iot, group, name)
    assert error_of(iot.update_dynamic_thing_group, thingGroupName=group, thingGroupProperties={},
                    expectedVersion=1)[0] == "VersionConflictException"
    assert error_of(iot.delete_dynamic_thing_group, thingGroupName=group,
                    expectedVersion=1)[0] == "VersionConflictException"
    iot.delete_dynamic_thing_group(thingGroupName=group)
    assert error_of(iot.describe_thing_group, thingGroupName=group)[0] == "ResourceNotFoundException"
    assert iot.list_thing_groups_for_thing(thingName=name)["thingGroups"] == []


def test_dynamic_groups_have_no_manual_members_children_or_policies(iot, name):
    iot.create_thing(thingName=name)
    iot.create_dynamic_thing_group(thingGroupName=name, queryString="thingName:none")
    iot.create_policy(policyName=name, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}))
    arn = iot.describe_thing_group(thingGroupName=name)["thingGroupArn"]
    for call, arguments in [
            (iot.add_thing_to_thing_group, {"thingGroupName": name, "thingName": name}),
            (iot.remove_thing_from_thing_group, {"thingGroupName": name, "thingName": name}),
            (iot.update_thing_groups_for_thing, {"thingName": name, "thingGroupsToAdd": [name]}),
            (iot.create_thing_group, {"thingGroupName": f"{name}-child", "parentGroupName": name}),
            (iot.update_thing_group, {"thingGroupName": name, "thingGroupProperties": {}}),
            (iot.delete_thing_group, {"thingGroupName": name}),
            (iot.attach_policy, {"policyName": name, "target": arn})]:
        code, message = error_of(call, **arguments)
        assert code == "InvalidRequestException" and "dynamic" in message
    iot.create_thing_group(thingGroupName=f"{name}-static")
    for call in (iot.delete_dynamic_thing_group, iot.update_dynamic_thing_group):
        arguments = {"thingGroupProperties": {}} if call == iot.update_dynamic_thing_group else {}
        assert error_of(call, thingGroupName=f"{name}-static", **arguments)[0] == "InvalidRequestException"
    code, message = error_of(iot.update_indexing_configuration,
                             thingIndexingConfiguration={"thingIndexingMode": "OFF"})
    assert code == "InvalidRequestException" and "dynamic thing groups" in message


def test_invalid_queries_say_why(iot, name):
    for query, why in [("thingGroupName:x", "invalid field name, field name: thingGroupName"),
                       ("shadow.reported.battery>50", "shadow.reported.battery is not indexed"),
                       ("deviceDefender.violationCount>0", "is not indexed"),
                       (" OR ".join(["a"] * 13), "12 terms"), ("a" * 1001, "1000 characters"),
                       ("thingName:*a thingGroupNames:*b", "begin with a wildcard")]:
        for call, arguments in [(iot.search_index, {}), (iot.create_dynamic_thing_group, {"thingGroupName": name})]:
            code, message = error_of(call, queryString=query, **arguments)
            assert code == "InvalidQueryException" and why in message
    assert error_of(iot.search_index, queryString="a", queryVersion="2099-01-01")[0] == "InvalidRequestException"
    for configuration in [{"thingIndexingMode": "REGISTRY_AND_SHADOW"},
                          {"thingIndexingMode": "REGISTRY", "deviceDefenderIndexingMode": "VIOLATIONS"},
                          {"thingIndexingMode": "REGISTRY", "namedShadowIndexingMode": "ON"},
                          {"thingIndexingMode": "REGISTRY", "customFields": [{"name": "a", "type": "String"}]}]:
        assert error_of(iot.update_indexing_configuration,
                        thingIndexingConfiguration=configuration)[0] == "InvalidRequestException"


def test_search(iot, aws, name):
    iot.create_thing_type(thingTypeName=name)
    iot.create_thing_group(thingGroupName=f"{name}-g")
    for i in range(7):
        iot.create_thing(thingName=f"{name}-{i}", thingTypeName=name, attributePayload={"attributes": {"n": str(i)}})
    iot.add_thing_to_thing_group(thingName=f"{name}-3", thingGroupName=f"{name}-g")
    assert names(iot, f"thingTypeName:{name} attributes.n:[2 TO 4}}") == [f"{name}-2", f"{name}-3"]
    assert names(iot, f'thingName:"{name}-3"') == [f"{name}-3"]
    assert names(iot, f"thingTypeName:{name} NOT attributes.n<5") == [f"{name}-5", f"{name}-6"]
    found = iot.search_index(queryString=f"registry.thingGroupNames:{name}-g")["things"]
    assert found[0]["thingTypeName"] == name and found[0]["thingGroupNames"] == [f"{name}-g"]
    assert found[0]["attributes"] == {"n": "3"} and found[0]["connectivity"] == {"connected": False}
    pages, token = [], {}
    while True:
        page = iot.search_index(queryString=f"thingTypeName:{name}", maxResults=3, **token)
        pages.append(len(page["things"]))
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert sum(pages) == 7 and max(pages) == 3
    assert error_of(iot.search_index, queryString="a", maxResults=101)[0] == "InvalidRequestException"
    found = aws("iot", "search-index", "--index-name", "AWS_Things", "--query-string", f"thingName:{name}-1")
    assert [thing["thingName"] for thing in found["things"]] == [f"{name}-1"]


def test_connectivity(iot, server, name):
    thing = Thing(server, name)
    iot.create_dynamic_thing_group(thingGroupName=name, queryString=f"thingName:{name} connectivity.connected:true")
    assert iot.get_thing_connectivity_data(thingName=name)["connected"] is False
    client = thing.client()
    has_members(iot, name, name, timeout=2)
    data = iot.get_thing_connectivity_data(thingName=name)
    assert data["connected"] and abs(data["timestamp"].timestamp() - time.time()) < 60
    assert names(iot, f"thingName:{name} connectivity.timestamp>{int(time.time() - 60) * 1000}") == [name]
    client.close()
    has_members(iot, name, timeout=2)
    data = iot.get_thing_connectivity_data(thingName=name)
    assert (data["connected"], data["disconnectReason"]) == (False, "CLIENT_INITIATED_DISCONNECT")
    assert names(iot, f"thingName:{name} connectivity.disconnectReason:CLIENT_INITIATED_DISCONNECT") == [name]


def test_groups_beyond_ten_give_way_to_static_ones(iot, name):
    for i in range(11):
        iot.create_dynamic_thing_group(thingGroupName=f"{name}-{i:02}", queryString=f"thingName:{name}")
    iot.create_thing(thingName=name)
    groups = lambda: [g["groupName"] for g in iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]]
    assert groups() == [f"{name}-{i:02}" for i in range(10)], "the oldest ten"
    iot.create_thing_group(thingGroupName=f"{name}-s")
    join = {"thingName": name, "thingGroupName": f"{name}-s"}
    assert error_of(iot.add_thing_to_thing_group, **join)[0] == "LimitExceededException"
    iot.add_thing_to_thing_group(**join, overrideDynamicGroups=True)
    assert groups() == [f"{name}-{i:02}" for i in range(9)] + [f"{name}-s"]
    for i in range(11):
        iot.delete_dynamic_thing_group(thingGroupName=f"{name}-{i:02}")


def test_memberships_are_there_again_after_a_restart(new_server):
    server = new_server()
    iot = server.boto("iot")
    iot.update_indexing_configuration(thingIndexingConfiguration=REGISTRY)
    thing = Thing(server, "a")
    iot.create_thing(thingName="b", attributePayload={"attributes": {"x": "1"}})
    iot.create_dynamic_thing_group(thingGroupName="d", queryString="attributes.x:1 OR connectivity.connected:true")
    thing.client()
    has_members(iot, "d", "a", "b")
    server.kill()
    server.start()
    iot = server.boto("iot")
    assert iot.describe_thing_group(thingGroupName="d")["status"] == "ACTIVE"
    wait_for(lambda: "b" in members(iot, "d"), timeout=2)


# ------------------------------------------------------------------------------------------------ Detect


class Watch:
    """A profile that every report of `thing` violates, and what became of it."""

    def __init__(self, server, iot, name, *targets):
        self.server, self.iot, self.name, self.rid = server, iot, name, 0
        self.account = f"arn:aws:iot:{server.region}:{server.account}"
        iot.create_security_profile(securityProfileName=name, behaviors=[{
            "name": "quiet", "metric": "aws:all-bytes-out",
            "criteria": {"comparisonOperator": "less-than", "value": {"count": 1},
                         "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1}}])
        for target in targets:
            iot.attach_security_profile(securityProfileName=name,
                                        securityProfileTargetArn=f"{self.account}:{target}")

    def report(self, client, thing):
        self.rid += 1
        client.publish(f"$aws/things/{thing}/defender/metrics/json", json.dumps({
            "hed": {"rid": int(time.time() * 1000) + self.rid, "v": "1.0"},
            "met": {"ns": {"bi": 1, "bo": 10, "pi": 1, "po": 1}}}))

    def events(self, thing):
        now = datetime.datetime.now(datetime.timezone.utc)
        found = self.iot.list_violation_events(startTime=now - datetime.timedelta(hours=1), endTime=now,
                                               thingName=thing, securityProfileName=self.name)["violationEvents"]
        return [e["violationEventType"] for e in sorted(found, key=lambda e: e["violationEventTime"])]

    def alarms(self, client, thing):
        def reported():
            self.report(client, thing)
            time.sleep(0.1)
            return self.events(thing)[-1:] == ["in-alarm"]
        wait_for(reported, timeout=10, what="in-alarm")

    def ends(self, thing):
        """The alarm is invalidated at the next tick, and reports raise no other."""
        wait_for(lambda: self.events(thing)[-1:] == ["alarm-invalidated"], timeout=5, what="alarm-invalidated")

    def stays_quiet(self, client, thing):
        count = len(self.events(thing))
        self.report(client, thing)
        time.sleep(1.5)
        assert len(self.events(thing)) == count


def test_profiles_follow_static_groups_and_their_children(iot, server, name):
    thing = Thing(server, name)
    iot.create_thing_group(thingGroupName=f"{name}-top")
    iot.create_thing_group(thingGroupName=f"{name}-mid", parentGroupName=f"{name}-top")
    iot.create_thing_group(thingGroupName=f"{name}-low", parentGroupName=f"{name}-mid")
    watch = Watch(server, iot, name, f"thinggroup/{name}-top")
    client = thing.client()
    watch.stays_quiet(client, name)
    iot.add_thing_to_thing_group(thingName=name, thingGroupName=f"{name}-low")
    watch.alarms(client, name)
    iot.remove_thing_from_thing_group(thingName=name, thingGroupName=f"{name}-low")
    watch.ends(name)
    watch.stays_quiet(client, name)
    iot.update_thing_groups_for_thing(thingName=name, thingGroupsToAdd=[f"{name}-mid"])
    watch.alarms(client, name)
    iot.update_thing_groups_for_thing(thingName=name, thingGroupsToRemove=[f"{name}-mid"])
    watch.ends(name)


def test_profiles_follow_dynamic_groups(iot, server, name):
    thing = Thing(server, name)
    iot.create_dynamic_thing_group(thingGroupName=name, queryString=f"thingName:{name} attributes.watch:yes")
    watch = Watch(server, iot, name, f"thinggroup/{name}")
    client = thing.client()
    watch.stays_quiet(client, name)
    iot.update_thing(thingName=name, attributePayload={"attributes": {"watch": "yes"}})
    watch.alarms(client, name)
    iot.update_thing(thingName=name, attributePayload={"attributes": {"watch": "no"}})
    watch.ends(name)
    watch.stays_quiet(client, name)
    iot.update_dynamic_thing_group(thingGroupName=name, thingGroupProperties={},
                                   queryString=f"thingName:{name} connectivity.connected:true")
    watch.alarms(client, name)
    client.close()
    watch.ends(name)
    client = thing.client()
    watch.alarms(client, name)
    iot.delete_dynamic_thing_group(thingGroupName=name)
    watch.ends(name)


def test_alarms_end_within_a_second_whatever_the_tick(new_server):
    server = new_server(config='[detect]\ntick = "300s"\n')
    iot = server.boto("iot")
    iot.create_thing_group(thingGroupName="watched")
    thing = Thing(server, "pump", group="watched")
    watch = Watch(server, iot, "profile", "thinggroup/watched")
    client = thing.client()
    watch.alarms(client, "pump")
    iot.remove_thing_from_thing_group(thingName="pump", thingGroupName="watched")
    watch.ends("pump")


def test_profiles_of_all_follow_registration(new_server):
    server = new_server(options=["--mqtt-listen", "127.0.0.1:0", "--mqtt-policy", "open"])
    iot = server.boto("iot")
    everyone = Watch(server, iot, "everyone", "all/things")
    known = Watch(server, iot, "known", "all/registered-things")
    unknown = Watch(server, iot, "unknown", "all/unregistered-things")
    name = unique("device")
    client = Client(server, name, port=int(server.endpoints["mqtt"].rsplit(":")[-1]))
    everyone.alarms(client, name)
    unknown.alarms(client, name)
    assert known.events(name) == []
    iot.create_thing(thingName=name)
    unknown.ends(name)
    known.alarms(client, name)
    iot.delete_thing(thingName=name)
    known.ends(name)
    unknown.alarms(client, name)
    assert everyone.events(name) == ["in-alarm"], "one alarm all along"
