"""Every documented error of every Detect operation, from the service's own model: each has its case here, or a reason
why it cannot be had."""
import botocore.exceptions
import botocore.session
import pytest
from devices import unique
from test_detect_api import around_now

# The tables of docs/reference/operations.md hold these; ML Detect and mitigation tasks are refused by name.
OPERATIONS = """
    CreateSecurityProfile UpdateSecurityProfile DescribeSecurityProfile DeleteSecurityProfile ListSecurityProfiles
    ValidateSecurityProfileBehaviors AttachSecurityProfile DetachSecurityProfile ListTargetsForSecurityProfile
    ListSecurityProfilesForTarget CreateCustomMetric UpdateCustomMetric DescribeCustomMetric DeleteCustomMetric
    ListCustomMetrics CreateDimension UpdateDimension DescribeDimension DeleteDimension ListDimensions
    ListActiveViolations ListViolationEvents PutVerificationStateOnViolation ListMetricValues
    GetBehaviorModelTrainingSummaries""".split()
REFUSED = """
    StartDetectMitigationActionsTask CancelDetectMitigationActionsTask DescribeDetectMitigationActionsTask
    ListDetectMitigationActionsTasks ListDetectMitigationActionsExecutions""".split()

NOT_HERE = {
    "ThrottlingException": "the rate of calls is not limited; beyond the workers' queue they are answered 503",
    "InternalFailureException": "a fault of the control store; see test_read_only_disk.py",
    ("AttachSecurityProfile", "VersionConflictException"): "attachments have no version: changes wait for each other",
}

BEHAVIOR = {"name": "b", "metric": "aws:num-disconnects",
            "criteria": {"comparisonOperator": "less-than", "value": {"count": 5}}}
ABSENT = "absent"


def model():
    return botocore.session.get_session().get_service_model("iot")


def documented():
    out = []
    for operation in OPERATIONS:
        for shape in model().operation_model(operation).error_shapes:
            if shape.name not in NOT_HERE and (operation, shape.name) not in NOT_HERE:
                out.append((operation, shape.name))
    return out


@pytest.fixture(scope="module")
def iot(server):
    return server.boto("iot", config=botocore.client.Config(parameter_validation=False, retries={"max_attempts": 1}))


@pytest.fixture(scope="module")
def there(iot, server):
    """A resource of each kind; a target with as many profiles as it may have."""
    name = unique("errors")
    arn = f"arn:aws:iot:{server.region}:{server.account}"
    iot.create_security_profile(securityProfileName=name)
    iot.create_custom_metric(metricName=name, metricType="number", clientRequestToken="t")
    iot.create_dimension(name=name, type="TOPIC_FILTER", stringValues=["a/#"], clientRequestToken="t")
    iot.create_thing(thingName=name)
    full = iot.create_thing_group(thingGroupName=f"{name}-full")["thingGroupArn"]
    for i in range(5):
        iot.create_security_profile(securityProfileName=f"{name}-{i}")
        iot.attach_security_profile(securityProfileName=f"{name}-{i}", securityProfileTargetArn=full)
    yield {"name": name, "full": full, "arn": arn, "group": f"{arn}:thinggroup/{name}-full",
           "absent_group": f"{arn}:thinggroup/{ABSENT}"}
    for i in range(5):
        iot.delete_security_profile(securityProfileName=f"{name}-{i}")
    for what in (iot.delete_security_profile(securityProfileName=name), iot.delete_custom_metric(metricName=name),
                 iot.delete_dimension(name=name)):
        assert what["ResponseMetadata"]["HTTPStatusCode"] == 200


def arguments_of(operation, error, there):
    """What must be refused with that error; and a part of the message."""
    name = there["name"]
    profile, target = {"securityProfileName": name}, {"securityProfileTargetArn": there["full"]}
    absent = {"securityProfileName": ABSENT}
    metric = {"metricName": name, "metricType": "number", "clientRequestToken": "other"}
    dimension = {"name": name, "type": "TOPIC_FILTER", "stringValues": ["b"], "clientRequestToken": "other"}
    times = around_now()
    backwards = {"startTime": times["endTime"], "endTime": times["startTime"]}
    bad_behavior = [{**BEHAVIOR, "criteria": {**BEHAVIOR["criteria"], "durationSeconds": 1}}]
    cases = {
        "CreateSecurityProfile": {
            "InvalidRequestException": ({**absent, "behaviors": bad_behavior}, "behaviors.1.criteria.durationSeconds"),
            "ResourceAlreadyExistsException": (profile, name)},
        "UpdateSecurityProfile": {
            "InvalidRequestException": ({**profile, "behaviors": bad_behavior}, "behaviors.1.criteria.durationSeconds"),
            "ResourceNotFoundException": (absent, ABSENT),
            "VersionConflictException": ({**profile, "expectedVersion": 7}, "version 1")},
        "DescribeSecurityProfile": {
            "InvalidRequestException": ({"securityProfileName": "a b"}, "securityProfileName"),
            "ResourceNotFoundException": (absent, ABSENT)},
        "DeleteSecurityProfile": {
            "InvalidRequestException": ({"securityProfileName": "x" * 129}, "securityProfileName"),
            "VersionConflictException": ({**profile, "expectedVersion": 7}, "version 1")},
        "ListSecurityProfiles": {
            "InvalidRequestException": ({"maxResults": 0}, "maxResults"),
            "ResourceNotFoundException": ({"metricName": ABSENT}, ABSENT)},
        "ValidateSecurityProfileBehaviors": {
            "InvalidRequestException": ({"behaviors": [BEHAVIOR] * 101}, "100")},
        "AttachSecurityProfile": {
            "InvalidRequestException": ({**profile, "securityProfileTargetArn": there["arn"] + ":thing/x"}, "securityProfileTargetArn"),
            "ResourceNotFoundException": ({**profile, "securityProfileTargetArn": there["absent_group"]}, ABSENT),
            "LimitExceededException": ({**profile, **target}, "5")},
        "DetachSecurityProfile": {
            "InvalidRequestException": ({**profile, "securityProfileTargetArn": "arn:x"}, "securityProfileTargetArn"),
            "ResourceNotFoundException": ({**absent, **target}, ABSENT)},
        "ListTargetsForSecurityProfile": {
            "InvalidRequestException": ({**profile, "nextToken": "x"}, "nextToken"),
            "ResourceNotFoundException": (absent, ABSENT)},
        "ListSecurityProfilesForTarget": {
            "InvalidRequestException": ({**target, "maxResults": 251}, "maxResults"),
            "ResourceNotFoundException": ({"securityProfileTargetArn": there["absent_group"]}, ABSENT)},
        "CreateCustomMetric": {
            "InvalidRequestException": ({**metric, "metricName": "aws:x"}, "aws:"),
            "ResourceAlreadyExistsException": (metric, name)},
        "UpdateCustomMetric": {
            "InvalidRequestException": ({"metricName": name, "displayName": "x" * 129}, "displayName"),
            "ResourceNotFoundException": ({"metricName": ABSENT, "displayName": "x"}, ABSENT)},
        "DescribeCustomMetric": {
            "InvalidRequestException": ({"metricName": "a b"}, "metricName"),
            "ResourceNotFoundException": ({"metricName": ABSENT}, ABSENT)},
        "DeleteCustomMetric": {"InvalidRequestException": ({"metricName": "a b"}, "metricName")},
        "ListCustomMetrics": {"InvalidRequestException": ({"nextToken": "x"}, "nextToken")},
        "CreateDimension": {
            "InvalidRequestException": ({**dimension, "stringValues": ["a/#/b"]}, "stringValues"),
            "ResourceAlreadyExistsException": (dimension, name)},
        "UpdateDimension": {
            "InvalidRequestException": ({"name": name, "stringValues": []}, "stringValues"),
            "ResourceNotFoundException": ({"name": ABSENT, "stringValues": ["a"]}, ABSENT)},
        "DescribeDimension": {
            "InvalidRequestException": ({"name": "a b"}, "name"),
            "ResourceNotFoundException": ({"name": ABSENT}, ABSENT)},
        "DeleteDimension": {"InvalidRequestException": ({"name": "x" * 129}, "name")},
        "ListDimensions": {"InvalidRequestException": ({"maxResults": 251}, "maxResults")},
        "ListActiveViolations": {
            "InvalidRequestException": ({"verificationState": "ODD"}, "verificationState"),
            "ResourceNotFoundException": ({"thingName": ABSENT}, ABSENT)},
        "ListViolationEvents": {"InvalidRequestException": (backwards, "endTime")},
        "PutVerificationStateOnViolation": {
            "InvalidRequestException": ({"violationId": "0123", "verificationState": "ODD"}, "verificationState")},
        "ListMetricValues": {
            "InvalidRequestException": ({"thingName": name, "metricName": name, **backwards}, "endTime"),
            "ResourceNotFoundException": ({"thingName": name, "metricName": ABSENT, **times}, ABSENT)},
        "GetBehaviorModelTrainingSummaries": {
            "InvalidRequestException": ({"maxResults": 11}, "maxResults"),
            "ResourceNotFoundException": (absent, ABSENT)},
    }
    return cases[operation][error]


# Quotas of a whole account: with a small one, in a server of its own.
ACCOUNT_QUOTAS = {("CreateCustomMetric", "LimitExceededException"), ("CreateDimension", "LimitExceededException")}


@pytest.mark.parametrize("operation, error", sorted(set(documented()) - ACCOUNT_QUOTAS))
def test_documented_error(iot, there, operation, error):
    arguments, part = arguments_of(operation, error, there)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(iot, botocore.xform_name(operation))(**arguments)
    answer = refused.value.response
    assert answer["Error"]["Code"] == error and part in answer["Error"]["Message"]
    shape = model().shape_for(error)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == shape.metadata["error"]["httpStatusCode"]
    if error == "ResourceAlreadyExistsException":
        assert answer["resourceArn"].endswith("/" + there["name"]) and answer["resourceId"] == there["name"]


def test_quotas_of_an_account(new_server):
    iot = new_server(config="[detect]\ncustom_metrics_max = 1\ndimensions_max = 1\n").boto("iot")
    for refused in (False, True):
        for operation, arguments in (
                (iot.create_custom_metric, {"metricName": f"m-{refused}", "metricType": "number"}),
                (iot.create_dimension, {"name": f"d-{refused}", "type": "TOPIC_FILTER", "stringValues": ["a"]})):
            if not refused:
                operation(**arguments, clientRequestToken=f"t-{refused}")
                continue
            with pytest.raises(iot.exceptions.LimitExceededException) as error:
                operation(**arguments, clientRequestToken=f"t-{refused}")
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410


def test_the_model_has_no_further_detect_operation():
    """A later version of the model would be noticed here."""
    detect = {name for name in model().operation_names
              if any(word in name for word in ("SecurityProfile", "CustomMetric", "Dimension", "Violation", "MetricValues",
                                               "DetectMitigation", "BehaviorModel"))}
    assert detect == set(OPERATIONS) | set(REFUSED)


@pytest.mark.parametrize("operation", REFUSED)
def test_refused_by_name(iot, operation):
    arguments = {"taskId": "t", "target": {"violationIds": ["0"]}, "actions": ["a"], "clientRequestToken": "t",
                 "maxResults": 1, **around_now()}
    members = model().operation_model(operation).input_shape.members
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(iot, botocore.xform_name(operation))(**{k: v for k, v in arguments.items() if k in members})
    assert operation in refused.value.response["Error"]["Message"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
