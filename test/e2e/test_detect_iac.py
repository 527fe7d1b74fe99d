"""The requests that CloudFormation's handlers of AWS::IoT::SecurityProfile, ::CustomMetric and ::Dimension make:
create, read, update in place, delete, delete again; and drift: what is read is what was written."""
import uuid

import botocore.exceptions
import pytest
import lake


class NotFound(Exception):
    """The handler's answer for a resource that is not there."""


class AlreadyExists(Exception):
    pass


def call(operation, **arguments):
    """As the handlers do it: the service's errors become theirs; members without a value are left out."""
    try:
        return operation(**{k: v for k, v in arguments.items() if v is not None})
    except botocore.exceptions.ClientError as error:
        name = error.response["Error"]["Code"]
        if name == "ResourceNotFoundException":
            raise NotFound from error
        if name == "ResourceAlreadyExistsException":
            raise AlreadyExists from error
        raise


def all_pages(operation, member, **arguments):
    out, answer = [], {}
    while True:
        answer = call(operation, **arguments, nextToken=answer.get("nextToken"))
        out += answer[member]
        if not answer.get("nextToken"):
            return out


class Handlers:
    """What the three types have in common. A model is a dict of the resource's properties."""

    def __init__(self, server):
        self.iot = server.boto("iot")
        self.arn = f"arn:aws:iot:{server.region}:{server.account}"

    def tags(self, arn):
        return all_pages(self.iot.list_tags_for_resource, "tags", resourceArn=arn)

    def update_tags(self, arn, wanted):
        held = {tag["Key"]: tag["Value"] for tag in self.tags(arn)}
        wanted = {tag["Key"]: tag["Value"] for tag in wanted or []}
        gone = [key for key in held if key not in wanted]
        fresh = [{"Key": k, "Value": v} for k, v in wanted.items() if held.get(k) != v]
        if fresh:
            call(self.iot.tag_resource, resourceArn=arn, tags=fresh)
        if gone:
            call(self.iot.untag_resource, resourceArn=arn, tagKeys=gone)

    @staticmethod
    def with_tags(model, tags):
        return {**model, "Tags": sorted(tags, key=lambda tag: tag["Key"])} if tags else model


class SecurityProfile(Handlers):
    MEMBERS = {"SecurityProfileDescription": "securityProfileDescription", "Behaviors": "behaviors",
               "AlertTargets": "alertTargets", "AdditionalMetricsToRetainV2": "additionalMetricsToRetainV2",
               "MetricsExportConfig": "metricsExportConfig"}

    def create(self, model):
        call(self.iot.create_security_profile, securityProfileName=model["SecurityProfileName"], tags=model.get("Tags"),
             **{member: model.get(name) for name, member in self.MEMBERS.items()})
        for target in model.get("TargetArns", []):
            call(self.iot.attach_security_profile, securityProfileName=model["SecurityProfileName"],
                 securityProfileTargetArn=target)

    def targets(self, name):
        return [target["arn"] for target in all_pages(self.iot.list_targets_for_security_profile,
                                                      "securityProfileTargets", securityProfileName=name)]

    def read(self, name):
        found = call(self.iot.describe_security_profile, securityProfileName=name)
        model = {"SecurityProfileName": found["securityProfileName"]}
        for property_name, member in self.MEMBERS.items():
            if found.get(member):
                model[property_name] = found[member]
        targets = self.targets(name)
        if targets:
            model["TargetArns"] = sorted(targets)
        return self.with_tags(model, self.tags(found["securityProfileArn"]))

    def update(self, model):
        name = model["SecurityProfileName"]
        arn = call(self.iot.update_security_profile, securityProfileName=name,
                   **{member: model.get(name) or None for name, member in self.MEMBERS.items()},
                   deleteBehaviors=None if model.get("Behaviors") else True,
                   deleteAlertTargets=None if model.get("AlertTargets") else True,
                   deleteAdditionalMetricsToRetain=None if model.get("AdditionalMetricsToRetainV2") else True,
                   deleteMetricsExportConfig=None if model.get("MetricsExportConfig") else True)["securityProfileArn"]
        held, wanted = set(self.targets(name)), set(model.get("TargetArns", []))
        for target in wanted - held:
            call(self.iot.attach_security_profile, securityProfileName=name, securityProfileTargetArn=target)
        for target in held - wanted:
            call(self.iot.detach_security_profile, securityProfileName=name, securityProfileTargetArn=target)
        self.update_tags(arn, model.get("Tags"))

    def delete(self, name):
        # Deleting one that is not there is no error of the service, so that the handler looks first.
        call(self.iot.describe_security_profile, securityProfileName=name)
        call(self.iot.delete_security_profile, securityProfileName=name)

    def list(self):
        return {p["name"] for p in all_pages(self.iot.list_security_profiles, "securityProfileIdentifiers")}


class CustomMetric(Handlers):
    def create(self, model, token=None):
        call(self.iot.create_custom_metric, metricName=model["MetricName"], metricType=model["MetricType"],
             displayName=model.get("DisplayName"), tags=model.get("Tags"), clientRequestToken=token or str(uuid.uuid4()))

    def read(self, name):
        found = call(self.iot.describe_custom_metric, metricName=name)
        model = {"MetricName": found["metricName"], "MetricType": found["metricType"]}
        if found.get("displayName"):
            model["DisplayName"] = found["displayName"]
        return self.with_tags(model, self.tags(found["metricArn"]))

    def update(self, model):
        arn = call(self.iot.update_custom_metric, metricName=model["MetricName"],
                   displayName=model.get("DisplayName", ""))["metricArn"]
        self.update_tags(arn, model.get("Tags"))

    def delete(self, name):
        call(self.iot.describe_custom_metric, metricName=name)
        call(self.iot.delete_custom_metric, metricName=name)

    def list(self):
        return set(all_pages(self.iot.list_custom_metrics, "metricNames"))


class Dimension(Handlers):
    def create(self, model, token=None):
        call(self.iot.create_dimension, name=model["Name"], type=model["Type"], stringValues=model["StringValues"],
             tags=model.get("Tags"), clientRequestToken=token or str(uuid.uuid4()))

    def read(self, name):
        found = call(self.iot.describe_dimension, name=name)
        model = {"Name": found["name"], "Type": found["type"], "StringValues": found["stringValues"]}
        return self.with_tags(model, self.tags(found["arn"]))

    def update(self, model):
        arn = call(self.iot.update_dimension, name=model["Name"], stringValues=model["StringValues"])["arn"]
        self.update_tags(arn, model.get("Tags"))

    def delete(self, name):
        call(self.iot.describe_dimension, name=name)
        call(self.iot.delete_dimension, name=name)

    def list(self):
        return set(all_pages(self.iot.list_dimensions, "dimensionNames"))


def tags_of(**tags):
    return [{"Key": k, "Value": v} for k, v in sorted(tags.items())]


def life_of(handlers, models, name):
    """Creates the first model and turns it into each of the others; reads what it wrote every time."""
    with pytest.raises(NotFound):
        handlers.read(name)
    handlers.create(models[0])
    assert handlers.read(name) == models[0]
    assert name in handlers.list()
    with pytest.raises(AlreadyExists):
        handlers.create(models[0])
    for model in models[1:] + models[:1]:
        for _ in range(2):  # an update that changes nothing
            handlers.update(model)
            assert handlers.read(name) == model
    handlers.delete(name)
    assert name not in handlers.list()
    for gone in (handlers.read, handlers.delete):
        with pytest.raises(NotFound):
            gone(name)
    # Nothing of it comes back with the next one of its name.
    bare = {k: v for k, v in models[0].items() if k in ("SecurityProfileName", "MetricName", "MetricType", "Name", "Type",
                                                          "StringValues")}
    handlers.create(bare)
    assert handlers.read(name) == bare
    handlers.delete(name)


def test_security_profile(server, name):
    handlers = SecurityProfile(server)
    iot = handlers.iot
    groups = [iot.create_thing_group(thingGroupName=f"{name}-{i:02}")["thingGroupArn"] for i in range(30)]
    iot.create_custom_metric(metricName=f"{name}-units", metricType="string-list", clientRequestToken="t")
    iot.create_custom_metric(metricName=f"{name}-load", metricType="number", clientRequestToken="t")
    iot.create_dimension(name=name, type="TOPIC_FILTER", stringValues=["a/#"], clientRequestToken=name)
    role = lake.role(server, name, "iot.amazonaws.com", ["sns:Publish", "iot:Publish"])
    topic = server.boto("sns").create_topic(Name=name)["TopicArn"]
    full = {
        "SecurityProfileName": name,
        "SecurityProfileDescription": "What is normal: 3 > 2",
        # Members with and without defaults, in an order of the writer's own.
        "Behaviors": [
            {"name": "z-few", "metric": "aws:num-authorization-failures", "suppressAlerts": False,
             "criteria": {"comparisonOperator": "less-than", "value": {"count": 5}, "durationSeconds": 300,
                          "consecutiveDatapointsToAlarm": 2, "consecutiveDatapointsToClear": 3}},
            {"name": "a-small", "metric": "aws:message-byte-size", "suppressAlerts": True, "exportMetric": True,
             "criteria": {"comparisonOperator": "less-than-equals", "value": {"count": 128}}},
            {"name": "home", "metric": "aws:source-ip-address", "exportMetric": False,
             "criteria": {"comparisonOperator": "in-cidr-set", "value": {"cidrs": ["192.168.0.0/16", "10.0.0.0/8", "::1"]}}},
            {"name": "ports", "metric": "aws:listening-tcp-ports",
             "criteria": {"comparisonOperator": "in-port-set", "value": {"ports": [443, 22, 8883]}}},
            {"name": "units", "metric": f"{name}-units",
             "criteria": {"comparisonOperator": "not-in-set", "value": {"strings": ["telnetd", "nc"]}}},
            {"name": "load", "metric": f"{name}-load",
             "criteria": {"comparisonOperator": "less-than", "value": {"number": 0.75}}},
            {"name": "kept", "metric": "aws:num-disconnects"},
            {"name": "elsewhere", "metric": "aws:num-messages-sent",
             "metricDimension": {"dimensionName": name, "operator": "NOT_IN"},
             "criteria": {"comparisonOperator": "less-than", "value": {"count": 9}, "durationSeconds": 600}},
            {"name": "here", "metric": "aws:num-messages-sent", "metricDimension": {"dimensionName": name}},
        ],
        "AlertTargets": {"SNS": {"alertTargetArn": topic, "roleArn": role}},
        "AdditionalMetricsToRetainV2": [{"metric": "aws:num-messages-sent", "exportMetric": True},
                                        {"metric": "aws:all-bytes-out"},
                                        {"metric": "aws:num-messages-received",
                                         "metricDimension": {"dimensionName": name}, "exportMetric": True},
                                        {"metric": "aws:all-bytes-in", "exportMetric": False}],
        "MetricsExportConfig": {"mqttTopic": "export/metrics", "roleArn": role},
        "TargetArns": groups,  # more than one page of targets
        "Tags": tags_of(team="security", stage="test"),
    }
    other = {
        "SecurityProfileName": name,
        "SecurityProfileDescription": "Less",
        "Behaviors": full["Behaviors"][4:1:-1],
        "AdditionalMetricsToRetainV2": full["AdditionalMetricsToRetainV2"][2:],
        "TargetArns": sorted([groups[3], groups[7], f"{handlers.arn}:all/things"]),
        "Tags": tags_of(team="platform", cost="7"),
    }
    # CloudFormation cannot unset a description: the service has no flag for it.
    least = {"SecurityProfileName": name, "SecurityProfileDescription": "Nothing"}
    life_of(handlers, [full, other, least, {**other, "AlertTargets": full["AlertTargets"]}], name)


def test_custom_metric(server, name):
    handlers = CustomMetric(server)
    model = {"MetricName": name, "MetricType": "number-list", "DisplayName": "Load of the cores",
             "Tags": tags_of(team="a")}
    life_of(handlers, [model, {**model, "DisplayName": "Cores", "Tags": tags_of(team="b", x="")},
                       {"MetricName": name, "MetricType": "number-list"}], name)
    # The engine repeats a request whose answer it lost, with the token it had.
    for _ in range(2):
        handlers.create(model, token="one-request")
    handlers.delete(name)


def test_dimension(server, name):
    handlers = Dimension(server)
    model = {"Name": name, "Type": "TOPIC_FILTER", "StringValues": ["z/+/a", "devices/${iot:ClientId}/#", "a/b"],
             "Tags": tags_of(team="a")}
    life_of(handlers, [model, {**model, "StringValues": ["a/b"], "Tags": tags_of(team="b", x="")},
                       {"Name": name, "Type": "TOPIC_FILTER", "StringValues": ["a/b", "z/#"]}], name)
    for _ in range(2):
        handlers.create(model, token=name)
    handlers.delete(name)
