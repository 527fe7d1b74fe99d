"""Things, groups, certificates and policies through boto3 and the aws CLI, and what devices may do with them."""
import json
import subprocess
import time

import pytest
import requests
from botocore.exceptions import ClientError

import devices


def error_of(call, **arguments):
    """(status, error name) of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.fixture
def iot(boto):
    return boto("iot")


@pytest.fixture
def certificate(iot):
    made = []

    def make(**options):
        made.append(iot.create_keys_and_certificate(setAsActive=True, **options))
        return made[-1]

    return make


def test_things(iot, name):
    first = iot.create_thing(thingName=name, attributePayload={"attributes": {"site": "berlin"}})
    again = iot.create_thing(thingName=name, attributePayload={"attributes": {"site": "berlin"}})
    assert first["thingId"] == again["thingId"]
    assert first["thingArn"].endswith(f":thing/{name}")
    assert error_of(iot.create_thing, thingName=name) == (409, "ResourceAlreadyExistsException")
    iot.update_thing(thingName=name, attributePayload={"attributes": {"floor": "2"}, "merge": True})
    described = iot.describe_thing(thingName=name)
    assert described["attributes"] == {"site": "berlin", "floor": "2"}
    assert (described["version"], described["defaultClientId"]) == (2, name)
    assert error_of(iot.update_thing, thingName=name, expectedVersion=1) == (409, "VersionConflictException")
    assert error_of(iot.describe_thing, thingName=name + "-none") == (404, "ResourceNotFoundException")
    iot.delete_thing(thingName=name)
    iot.delete_thing(thingName=name)
    assert error_of(iot.describe_thing, thingName=name) == (404, "ResourceNotFoundException")


def test_list_things_pages(iot, name):
    names = [f"{name}-{i:02}" for i in range(23)]
    for each in names:
        iot.create_thing(thingName=each, attributePayload={"attributes": {"batch": name[:64]}})
    pages = iot.get_paginator("list_things").paginate(
        attributeName="batch", attributeValue=name[:64], PaginationConfig={"PageSize": 5})
    listed = [thing["thingName"] for page in pages for thing in page["things"]]
    assert listed == names
    assert error_of(iot.list_things, nextToken="forged") == (400, "InvalidRequestException")


def test_thing_types(iot, name):
    made = iot.create_thing_type(thingTypeName=name, thingTypeProperties={
        "thingTypeDescription": "a lamp", "searchableAttributes": ["site"]}, tags=[{"Key": "k", "Value": "v"}])
    assert iot.list_tags_for_resource(resourceArn=made["thingTypeArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    iot.create_thing(thingName=name, thingTypeName=name)
    assert [t["thingName"] for t in iot.list_things(thingTypeName=name)["things"]] == [name]
    assert error_of(iot.delete_thing_type, thingTypeName=name) == (400, "InvalidRequestException")
    iot.deprecate_thing_type(thingTypeName=name)
    assert iot.describe_thing_type(thingTypeName=name)["thingTypeMetadata"]["deprecated"]
    assert error_of(iot.create_thing, thingName=name + "2", thingTypeName=name) == (400, "InvalidRequestException")
    iot.deprecate_thing_type(thingTypeName=name, undoDeprecate=True)
    assert name in [t["thingTypeName"] for t in iot.list_thing_types(thingTypeName=name)["thingTypes"]]


def test_groups(iot, name):
    root, leaf = f"{name}-root", f"{name}-leaf"
    iot.create_thing_group(thingGroupName=root)
    iot.create_thing_group(thingGroupName=root)  # the same again succeeds
    assert error_of(iot.create_thing_group, thingGroupName=root, thingGroupProperties={
        "thingGroupDescription": "x"}) == (409, "ResourceAlreadyExistsException")
    iot.create_thing_group(thingGroupName=leaf, parentGroupName=root,
                           thingGroupProperties={"attributePayload": {"attributes": {"a": "1"}}})
    described = iot.describe_thing_group(thingGroupName=leaf)
    assert described["thingGroupMetadata"]["rootToParentThingGroups"][0]["groupName"] == root
    assert described["thingGroupProperties"]["attributePayload"]["attributes"] == {"a": "1"}
    things = [f"{name}-{i}" for i in range(5)]
    for thing in things:
        iot.create_thing(thingName=thing)
        iot.add_thing_to_thing_group(thingGroupName=leaf, thingName=thing)
    pages = iot.get_paginator("list_things_in_thing_group").paginate(
        thingGroupName=root, recursive=True, PaginationConfig={"PageSize": 2})
    assert [thing for page in pages for thing in page["things"]] == things
    assert iot.list_things_in_thing_group(thingGroupName=root)["things"] == []
    assert [g["groupName"] for g in iot.list_thing_groups_for_thing(thingName=things[0])["thingGroups"]] == [leaf]
    assert [g["groupName"] for g in iot.list_thing_groups(parentGroup=root)["thingGroups"]] == [leaf]
    assert error_of(iot.delete_thing_group, thingGroupName=root) == (400, "InvalidRequestException")
    iot.remove_thing_from_thing_group(thingGroupName=leaf, thingName=things[0])
    iot.delete_thing_group(thingGroupName=leaf)
    iot.delete_thing_group(thingGroupName=root)
    assert iot.list_thing_groups_for_thing(thingName=things[1])["thingGroups"] == []


def test_certificate_life(iot, name, certificate):
    made = certificate()
    arn, identifier = made["certificateArn"], made["certificateId"]
    assert made["certificatePem"].startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY-----" in made["keyPair"]["PrivateKey"]
    assert made["keyPair"]["PublicKey"].startswith("-----BEGIN PUBLIC KEY-----")
    described = iot.describe_certificate(certificateId=identifier)["certificateDescription"]
    assert (described["status"], described["certificateArn"]) == ("ACTIVE", arn)
    assert described["validity"]["notAfter"].year == 2049
    iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName=name, principal=arn)
    iot.attach_thing_principal(thingName=name, principal=arn)
    assert iot.list_thing_principals(thingName=name)["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == [name]
    assert iot.list_thing_principals_v2(thingName=name)["thingPrincipalObjects"] == [
        {"principal": arn, "thingPrincipalType": "NON_EXCLUSIVE_THING"}]
    assert error_of(iot.delete_thing, thingName=name) == (400, "InvalidRequestException")
    assert error_of(iot.delete_certificate, certificateId=identifier) == (406, "CertificateStateException")
    iot.update_certificate(certificateId=identifier, newStatus="INACTIVE")
    assert error_of(iot.delete_certificate, certificateId=identifier) == (409, "DeleteConflictException")
    iot.detach_thing_principal(thingName=name, principal=arn)
    iot.delete_certificate(certificateId=identifier)
    assert error_of(iot.describe_certificate, certificateId=identifier) == (404, "ResourceNotFoundException")


def test_certificates_from_elsewhere(iot, tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    key, csr, own = tmp_path / "key.pem", tmp_path / "csr.pem", tmp_path / "own.pem"
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=soundbox", "-out", csr)
    first = iot.create_certificate_from_csr(certificateSigningRequest=csr.read_text(), setAsActive=True)
    second = iot.create_certificate_from_csr(certificateSigningRequest=csr.read_text())
    assert first["certificateId"] != second["certificateId"]
    openssl("req", "-x509", "-key", key, "-subj", "/CN=own", "-days", "30", "-out", own)
    registered = iot.register_certificate_without_ca(certificatePem=own.read_text(), status="ACTIVE")
    described = iot.describe_certificate(certificateId=registered["certificateId"])["certificateDescription"]
    assert described["certificateMode"] == "SNI_ONLY"
    assert error_of(iot.register_certificate_without_ca, certificatePem=own.read_text()) == (
        409, "ResourceAlreadyExistsException")
    assert error_of(iot.register_certificate_without_ca, certificatePem="nonsense") == (
        400, "CertificateValidationException")
    assert error_of(iot.create_certificate_from_csr, certificateSigningRequest="nonsense") == (
        400, "InvalidRequestException")


def test_a_ca_of_the_customer(iot, tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=tmp_path)

    def signed(subject, stem):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{stem}.key", "-subj", subject, "-out", f"{stem}.csr")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "30", "-out", f"{stem}.pem")
        return (tmp_path / f"{stem}.pem").read_text()

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-subj", "/CN=customer CA", "-days", "30", "-out", "ca.pem")
    proof = signed("/CN=" + iot.get_registration_code()["registrationCode"], "proof")
    ca = iot.register_ca_certificate(caCertificate=(tmp_path / "ca.pem").read_text(), verificationCertificate=proof,
                                     setAsActive=True)
    device = iot.register_certificate(certificatePem=signed("/CN=device", "device"), status="ACTIVE")
    described = iot.describe_certificate(certificateId=device["certificateId"])["certificateDescription"]
    assert described["caCertificateId"] == ca["certificateId"]
    listed = iot.list_certificates_by_ca(caCertificateId=ca["certificateId"])["certificates"]
    assert [c["certificateId"] for c in listed] == [device["certificateId"]]
    iot.update_ca_certificate(certificateId=ca["certificateId"], newStatus="INACTIVE")
    assert error_of(iot.register_certificate, certificatePem=signed("/CN=late", "late")) == (
        406, "CertificateStateException")
    iot.delete_ca_certificate(certificateId=ca["certificateId"])


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def test_policies(iot, name, certificate):
    document = policy(Action="iot:Connect", Resource="*")
    made = iot.create_policy(policyName=name, policyDocument=document, tags=[{"Key": "k", "Value": "v"}])
    assert (made["policyVersionId"], made["policyDocument"]) == ("1", document)
    assert error_of(iot.create_policy, policyName=name, policyDocument=document) == (
        409, "ResourceAlreadyExistsException")
    for bad in ["{", "{}", policy(Action="iot:Connect"), policy(Action="iot:*", Resource="*", Principal="*")]:
        assert error_of(iot.create_policy, policyName=name + "2", policyDocument=bad) == (
            400, "MalformedPolicyException")
    for _ in range(4):
        iot.create_policy_version(policyName=name, policyDocument=document)
    assert error_of(iot.create_policy_version, policyName=name, policyDocument=document) == (
        409, "VersionsLimitExceededException")
    iot.set_default_policy_version(policyName=name, policyVersionId="3")
    assert iot.get_policy(policyName=name)["defaultVersionId"] == "3"
    assert error_of(iot.delete_policy, policyName=name) == (409, "DeleteConflictException")

    group = iot.create_thing_group(thingGroupName=name)["thingGroupArn"]
    arn = certificate()["certificateArn"]
    for target in (group, arn):
        iot.attach_policy(policyName=name, target=target)
        iot.attach_policy(policyName=name, target=target)
        assert [p["policyName"] for p in iot.list_attached_policies(target=target)["policies"]] == [name]
    assert sorted(iot.list_targets_for_policy(policyName=name)["targets"]) == sorted([group, arn])
    assert iot.list_policy_principals(policyName=name)["principals"] == [arn]
    assert [p["policyName"] for p in iot.list_principal_policies(principal=arn)["policies"]] == [name]
    assert [p["policyName"] for p in iot.get_effective_policies(principal=arn)["effectivePolicies"]] == [name]
    for target in (group, arn):
        iot.detach_policy(policyName=name, target=target)
    for version in iot.list_policy_versions(policyName=name)["policyVersions"]:
        if not version["isDefaultVersion"]:
            iot.delete_policy_version(policyName=name, policyVersionId=version["versionId"])
    iot.delete_policy(policyName=name)


def test_test_authorization(iot, name, certificate, server):
    arn = certificate()["certificateArn"]
    topic = f"arn:aws:iot:{server.region}:{server.account}:topic/a/{name}"
    iot.create_policy(policyName=name, policyDocument=policy(
        Action="iot:Publish", Resource="arn:aws:iot:*:*:topic/a/${iot:ClientId}"))
    iot.attach_policy(policyName=name, target=arn)
    question = [{"actionType": "PUBLISH", "resources": [topic]}]
    results = iot.test_authorization(principal=arn, authInfos=question, clientId=name)["authResults"]
    assert results[0]["authDecision"] == "ALLOWED"
    assert results[0]["allowed"]["policies"][0]["policyName"] == name
    results = iot.test_authorization(principal=arn, authInfos=question, clientId="other")["authResults"]
    assert results[0]["authDecision"] == "IMPLICIT_DENY" and results[0]["missingContextValues"] == []
    assert results[0]["denied"]["implicitDeny"]["policies"][0]["policyName"] == name
    results = iot.test_authorization(principal=arn, authInfos=question)["authResults"]
    assert results[0]["missingContextValues"] == ["iot:ClientId"]


def test_policies_of_a_principal_in_order_of_creation(iot, name, certificate):
    arn = certificate()["certificateArn"]
    names = [f"{name}-{suffix}" for suffix in ("z", "a", "m")]
    for each in names:
        iot.create_policy(policyName=each, policyDocument=policy(Action="iot:Connect", Resource="*"))
        iot.attach_principal_policy(policyName=each, principal=arn)
        time.sleep(0.01)  # the order is by milliseconds
    for ascending, expected in ((True, names), (False, names[::-1])):
        listed = iot.list_principal_policies(principal=arn, ascendingOrder=ascending)["policies"]
        assert [p["policyName"] for p in listed] == expected


def test_a_deleted_group_is_nobodys_target(iot, name):
    group = iot.create_thing_group(thingGroupName=name)["thingGroupArn"]
    iot.create_security_profile(securityProfileName=name)
    iot.attach_security_profile(securityProfileName=name, securityProfileTargetArn=group)
    iot.delete_thing_group(thingGroupName=name)
    assert iot.list_targets_for_security_profile(securityProfileName=name)["securityProfileTargets"] == []
    iot.delete_security_profile(securityProfileName=name)


def test_the_same_creation_twice_is_one(iot, name):
    call = dict(metricName=name, metricType="number", clientRequestToken=name)
    assert iot.create_custom_metric(**call)["metricArn"] == iot.create_custom_metric(**call)["metricArn"]
    assert error_of(iot.create_custom_metric, **{**call, "clientRequestToken": "other"})[1] == \
        "ResourceAlreadyExistsException"
    assert error_of(iot.create_custom_metric, **{**call, "metricType": "string-list"})[1] == \
        "ResourceAlreadyExistsException"
    iot.delete_custom_metric(metricName=name)


def test_what_is_missing_is_refused_by_name(iot, boto):
    for operation, arguments in [("create_job", {"jobId": "j", "targets": ["arn:aws:iot:us-east-1:1:thing/x"]}),
                                 ("get_statistics", {"queryString": "*"}),
                                 ("list_audit_tasks", {"startTime": 1, "endTime": 2})]:
        with pytest.raises(ClientError) as caught:
            getattr(iot, operation)(**arguments)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert caught.value.operation_name in caught.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as caught:
        boto("iot-data").get_thing_shadow(thingName="x")
    assert "GetThingShadow" in caught.value.response["Error"]["Message"]
    status, code = error_of(iot.create_thing, thingName="x", billingGroupName="b")
    assert (status, code) == (400, "InvalidRequestException")


def test_cli(aws, name, tmp_path):
    files = {option: tmp_path / option for option in ("certificate-pem", "public-key", "private-key")}
    made = aws("iot", "create-keys-and-certificate", "--set-as-active",
               *[word for option, path in files.items() for word in (f"--{option}-outfile", path)])
    assert files["private-key"].read_text() == made["keyPair"]["PrivateKey"]
    assert aws("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS")["endpointAddress"] == "localhost"
    aws("iot", "create-thing", "--thing-name", name)
    aws("iot", "attach-thing-principal", "--thing-name", name, "--principal", made["certificateArn"])
    assert aws("iot", "list-thing-principals", "--thing-name", name)["principals"] == [made["certificateArn"]]


def test_policies_decide_what_a_device_may_do(server, iot, name):
    """The broker's view of the registry: variables of the thing, groups' policies, changes at once."""
    group = f"{name}-group"
    arn = iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    thing = devices.Thing(server, name, group=group, policy=json.loads(policy(
        Action="iot:Connect", Resource="arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}",
        Condition={"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}})))
    iot.create_policy(policyName=group, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": f"arn:aws:iot:*:*:topic/{name}/*"},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"arn:aws:iot:*:*:topicfilter/{name}/*"},
        {"Effect": "Deny", "Action": "iot:Receive", "Resource": f"arn:aws:iot:*:*:topic/{name}/secret"}]}))
    iot.attach_policy(policyName=group, target=arn)
    with thing.client() as client:
        assert client.subscribe(f"{name}/#") == [1]
        assert client.subscribe("elsewhere/#") == [0x80]
        client.publish(f"{name}/secret", b"no")
        client.publish(f"{name}/open", b"yes")
        assert client.receive().payload == b"yes"
        iot.update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
        assert client.disconnected.wait(15), "the connection of a deactivated certificate must close"


def test_https_publish_by_certificate(server, name):
    thing = devices.Thing(server, name)
    with thing.client() as client:
        client.subscribe(f"{name}/#")
        response = requests.post(f"{server.tls_url}/topics/{name}%2Fa?qos=1", data=b"over https", timeout=15,
                                 verify=server.ca, cert=(thing.certificate_file, thing.key_file))
        assert (response.status_code, response.json()["message"]) == (200, "OK")
        message = client.receive()
        assert (message.topic, message.payload) == (f"{name}/a", b"over https")
    server.boto("iot").update_certificate(certificateId=thing.certificate_id, newStatus="INACTIVE")
    response = requests.post(f"{server.tls_url}/topics/{name}/a", data=b"x", timeout=15, verify=server.ca,
                             cert=(thing.certificate_file, thing.key_file))
    assert response.status_code in (401, 403)


def test_iotdata(server, boto, name):
    data = boto("iot-data")
    thing = devices.Thing(server, name)
    with thing.client() as client:
        client.subscribe(f"{name}/#")
        data.publish(topic=f"{name}/live", qos=1, payload=b"\x00\xff")
        assert client.receive().payload == b"\x00\xff"
        connection = data.get_connection(clientId=name, includeSocketInformation=True)
        assert connection["connected"] and connection["thingName"] == name
        subscriptions = data.list_subscriptions(clientId=name)["subscriptions"]
        assert subscriptions == [{"topicFilter": f"{name}/#", "qos": 1}]
        data.delete_connection(clientId=name)
        assert client.disconnected.wait(15)
    data.publish(topic=f"{name}/kept", qos=1, retain=True, payload=b"kept")
    kept = data.get_retained_message(topic=f"{name}/kept")
    assert (kept["payload"], kept["qos"]) == (b"kept", 1)
    listed = [t for page in data.get_paginator("list_retained_messages").paginate()
              for t in page["retainedTopics"] if t["topic"] == f"{name}/kept"]
    assert listed[0]["payloadSize"] == 4
    assert error_of(data.get_retained_message, topic=f"{name}/none") == (404, "ResourceNotFoundException")
    assert error_of(data.publish, topic="$aws/things/x/shadow/update", payload=b"{}")[0] == 400
