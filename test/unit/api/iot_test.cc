#include "api/iot/iot.h"

#include <fstream>

#include <gtest/gtest.h>

#include "api/iotdata/iotdata.h"
#include "registry/policies.h"

namespace fleetward::api::iot {
namespace {

// The service over a store in memory. call() answers the operation's JSON text, or "<status> <error name>".
class IotApi : public ::testing::Test {
 protected:
  IotApi()
      : tables_(registry::Tables::add_to(store_)),
        authority_(*registry::CertificateAuthority::create(random_, clock_.now())),
        authorizer_(tables_, account_) {
    EXPECT_TRUE(store_.open(":memory:"));
    options_.endpoint_host = "broker.example";
    service_ = service({store_, tables_, account_, authority_, authorizer_, clock_, random_, options_}, {});
  }

  std::string call(const std::string& name, const std::string& arguments) {
    for (const http::Operation& operation : service_.operations) {
      if (operation.name != name) continue;
      const identity::Caller caller;
      const auto parsed = json::parse(arguments);
      EXPECT_TRUE(parsed) << arguments;
      auto result = operation.run({caller, "192.0.2.1", "request", {}, nullptr}, parsed->as_object());
      if (!result) {
        last_error_ = result.error();
        return std::to_string(result.error().status) + " " + result.error().name;
      }
      return json::serialize(*result);
    }
    return "no such operation";
  }
  json::object object(const std::string& name, const std::string& arguments) {
    const std::string text = call(name, arguments);
    auto parsed = json::parse(text);
    EXPECT_TRUE(parsed) << name << ": " << text << " " << last_error_.message;
    return parsed ? parsed->as_object() : json::object{};
  }
  // A certificate's ARN and id.
  std::pair<std::string, std::string> certificate(bool active) {
    const auto made = object("CreateKeysAndCertificate", active ? R"({"setAsActive":true})" : "{}");
    return {std::string(json::string_or(made, "certificateArn")),
            std::string(json::string_or(made, "certificateId"))};
  }
  std::string policy(const std::string& name,
                     const std::string& document = R"({\"Version\":\"2012-10-17\",)"
                                                   R"(\"Statement\":{\"Effect\":\"Allow\",)"
                                                   R"(\"Action\":\"*\",\"Resource\":\"*\"}})") {
    return call("CreatePolicy", R"({"policyName":")" + name + R"(","policyDocument":")" + document + R"("})");
  }

  ManualClock clock_;
  SeededRandom random_{1};
  AccountScope account_{AccountId::trusted("123456789012"), "us-east-1"};
  state::Store store_;
  registry::Tables tables_;
  registry::CertificateAuthority authority_;
  registry::DeviceAuthorizer authorizer_;
  Options options_;
  http::Service service_;
  http::ApiError last_error_;
};

TEST_F(IotApi, Things) {
  const std::string a = R"({"thingName":"a","attributePayload":{"attributes":{"site":"berlin"}}})";
  const auto made = object("CreateThing", a);
  EXPECT_EQ(json::string_or(made, "thingArn"), "arn:aws:iot:us-east-1:123456789012:thing/a");
  EXPECT_EQ(object("CreateThing", a), made) << "the same again succeeds";
  EXPECT_EQ(call("CreateThing", R"({"thingName":"a"})"), "409 ResourceAlreadyExistsException");
  EXPECT_EQ(json::string_or(last_error_.extra, "resourceId"), json::string_or(made, "thingId"));
  EXPECT_EQ(call("CreateThing", R"({"thingName":"a b"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("CreateThing", R"({"thingName":"b","billingGroupName":"x"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("CreateThing", R"({"thingName":"b","thingTypeName":"none"})"),
            "404 ResourceNotFoundException");
  EXPECT_EQ(call("UpdateThing", R"({"thingName":"a","expectedVersion":9})"), "409 VersionConflictException");
  EXPECT_EQ(call("UpdateThing",
                 R"({"thingName":"a","attributePayload":{"attributes":{"floor":"2"},"merge":true}})"),
            "{}");
  EXPECT_EQ(call("UpdateThing", R"({"thingName":"a","attributePayload":{"merge":false}})"), "{}")
      << "without attributes, they stay";
  const auto described = object("DescribeThing", R"({"thingName":"a"})");
  EXPECT_EQ(described.at("version").as_int64(), 3);
  EXPECT_EQ(json::serialize(described.at("attributes")), R"({"floor":"2","site":"berlin"})");
  EXPECT_EQ(json::string_or(described, "defaultClientId"), "a");
  EXPECT_EQ(call("DescribeThing", R"({"thingName":"none"})"), "404 ResourceNotFoundException");
  EXPECT_EQ(call("DeleteThing", R"({"thingName":"none"})"), "{}");
}

TEST_F(IotApi, ListThings) {
  EXPECT_EQ(call("CreateThingType", R"({"thingTypeName":"light"})").substr(0, 1), "{");
  for (int i = 0; i < 7; ++i) {
    const std::string n = std::to_string(i);
    object("CreateThing", R"({"thingName":"t)" + n + R"(","attributePayload":{"attributes":{"n":"x)" + n +
                              R"("}})" + (i % 2 ? R"(,"thingTypeName":"light")" : "") + "}");
  }
  const auto names = [&](std::string filter) {
    std::string out, token;
    do {
      const auto page =
          object("ListThings", R"({"maxResults":2)" + filter +
                                   (token.empty() ? "" : R"(,"nextToken":")" + token + "\"") + "}");
      EXPECT_LE(page.at("things").as_array().size(), 2u);
      for (const auto& thing : page.at("things").as_array()) {
        out += std::string(json::string_or(thing.as_object(), "thingName")) + " ";
      }
      token = json::string_or(page, "nextToken");
    } while (!token.empty());
    return out;
  };
  EXPECT_EQ(names(""), "t0 t1 t2 t3 t4 t5 t6 ");
  EXPECT_EQ(names(R"(,"thingTypeName":"light")"), "t1 t3 t5 ");
  EXPECT_EQ(names(R"(,"attributeName":"n","attributeValue":"x4")"), "t4 ");
  EXPECT_EQ(names(R"(,"attributeName":"n","attributeValue":"x","usePrefixAttributeValue":true)"),
            "t0 t1 t2 t3 t4 t5 t6 ");
  EXPECT_EQ(names(R"(,"attributeName":"none")"), "");
  EXPECT_EQ(call("ListThings", R"({"nextToken":"forged"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("ListThings", R"({"maxResults":251})"), "400 InvalidRequestException");
}

TEST_F(IotApi, Groups) {
  const std::string root = R"({"thingGroupName":"root","thingGroupProperties":{"thingGroupDescription":"r"},)"
                           R"("tags":[{"Key":"k","Value":"v"}]})";
  EXPECT_EQ(object("CreateThingGroup", root), object("CreateThingGroup", root));
  EXPECT_EQ(call("CreateThingGroup", R"({"thingGroupName":"root"})"), "409 ResourceAlreadyExistsException");
  object("CreateThingGroup", R"({"thingGroupName":"mid","parentGroupName":"root"})");
  object("CreateThingGroup", R"({"thingGroupName":"leaf","parentGroupName":"mid"})");
  const auto leaf = object("DescribeThingGroup", R"({"thingGroupName":"leaf"})");
  const auto& path = leaf.at("thingGroupMetadata").at("rootToParentThingGroups").as_array();
  EXPECT_EQ(path.size(), 2u);
  EXPECT_EQ(path[0].at("groupName").as_string(), "root");
  for (const char* thing : {"a", "b", "c", "d"}) {
    object("CreateThing", R"({"thingName":")" + std::string(thing) + "\"}");
    EXPECT_EQ(call("AddThingToThingGroup",
                   R"({"thingGroupName":")" + std::string(thing[0] < 'c' ? "leaf" : "root") +
                       R"(","thingArn":"arn:aws:iot:us-east-1:123456789012:thing/)" + thing + "\"}"),
              "{}");
  }
  EXPECT_EQ(call("AddThingToThingGroup", R"({"thingGroupName":"mid","thingName":"a"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("AddThingToThingGroup", R"({"thingGroupName":"none","thingName":"a"})"),
            "404 ResourceNotFoundException");
  EXPECT_EQ(call("AddThingToThingGroup", R"({"thingGroupName":"leaf"})"), "400 InvalidRequestException");
  std::string all, token;
  int pages = 0;
  do {
    const auto page =
        object("ListThingsInThingGroup", R"({"thingGroupName":"root","recursive":true,"maxResults":2)" +
                                             (token.empty() ? "" : R"(,"nextToken":")" + token + "\"") + "}");
    for (const auto& thing : page.at("things").as_array()) all += std::string(thing.as_string()) + " ";
    token = json::string_or(page, "nextToken");
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(all, "a b c d ");
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(call("ListThingsInThingGroup", R"({"thingGroupName":"mid"})"), R"({"things":[]})");
  EXPECT_EQ(object("ListThingGroups", R"({"parentGroup":"root"})").at("thingGroups").as_array().size(), 2u);
  EXPECT_EQ(object("ListThingGroups", R"({"parentGroup":"root","recursive":false})")
                .at("thingGroups")
                .as_array()
                .size(),
            1u);
  EXPECT_EQ(object("ListThingGroups", R"({"namePrefixFilter":"l"})").at("thingGroups").as_array().size(), 1u);
  EXPECT_EQ(call("UpdateThingGroupsForThing",
                 R"({"thingName":"a","thingGroupsToRemove":["leaf"],"thingGroupsToAdd":["mid"]})"),
            "{}");
  EXPECT_EQ(
      call("ListThingGroupsForThing", R"({"thingName":"a"})"),
      R"({"thingGroups":[{"groupName":"mid","groupArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/mid"}]})");
  EXPECT_EQ(call("DeleteThingGroup", R"({"thingGroupName":"mid"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("DeleteThingGroup", R"({"thingGroupName":"leaf","expectedVersion":2})"),
            "409 VersionConflictException");
  EXPECT_EQ(call("DeleteThingGroup", R"({"thingGroupName":"leaf"})"), "{}");
  EXPECT_EQ(object("UpdateThingGroup", R"({"thingGroupName":"mid","thingGroupProperties":{}})")
                .at("version")
                .as_int64(),
            2);
  const std::string root_arn = R"({"resourceArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/root")";
  EXPECT_EQ(call("ListTagsForResource", root_arn + "}"), R"({"tags":[{"Key":"k","Value":"v"}]})");
  EXPECT_EQ(call("UntagResource", root_arn + R"(,"tagKeys":["k"]})"), "{}");
  EXPECT_EQ(call("ListTagsForResource", root_arn + "}"), R"({"tags":[]})");
  EXPECT_EQ(
      call("ListTagsForResource", R"({"resourceArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/x"})"),
      "404 ResourceNotFoundException");
  EXPECT_EQ(call("ListTagsForResource", R"({"resourceArn":"arn:aws:iot:us-east-1:123456789012:thing/a"})"),
            "400 InvalidRequestException");
}

TEST_F(IotApi, TheLifeOfTheSamplesResources) {
  object("CreateThing", R"({"thingName":"dd"})");
  const auto [arn, id] = certificate(true);
  const std::string target = R"("policyName":"dd_dd_metric_export","target":")" + arn + "\"";
  const std::string principal = R"({"thingName":"dd","principal":")" + arn + "\"}";
  EXPECT_EQ(policy("dd_dd_metric_export").substr(0, 1), "{");
  EXPECT_EQ(policy("dd_dd_metric_export"), "409 ResourceAlreadyExistsException");
  EXPECT_EQ(call("AttachThingPrincipal", principal), "{}");
  EXPECT_EQ(call("AttachPolicy", "{" + target + "}"), "{}");
  EXPECT_EQ(call("ListThingPrincipals", R"({"thingName":"dd"})"), R"({"principals":[")" + arn + R"("]})");
  EXPECT_EQ(call("ListPrincipalThingsV2", R"({"principal":")" + arn + "\"}"),
            R"({"principalThingObjects":[{"thingName":"dd","thingPrincipalType":"NON_EXCLUSIVE_THING"}]})");
  EXPECT_EQ(call("ListThingPrincipalsV2", R"({"thingName":"dd","thingPrincipalType":"EXCLUSIVE_THING"})"),
            R"({"thingPrincipalObjects":[]})");
  EXPECT_EQ(call("ListTargetsForPolicy", R"({"policyName":"dd_dd_metric_export"})"),
            R"({"targets":[")" + arn + R"("]})");
  EXPECT_EQ(object("ListAttachedPolicies", R"({"target":")" + arn + "\"}").at("policies").as_array().size(),
            1u);
  EXPECT_EQ(object("GetEffectivePolicies", R"({"principal":")" + arn + "\"}")
                .at("effectivePolicies")
                .as_array()
                .size(),
            1u);

  // Clean-up out of order is refused, in order succeeds.
  const std::string certificate_json = R"({"certificateId":")" + id + "\"}";
  EXPECT_EQ(call("DeleteThing", R"({"thingName":"dd"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("DeletePolicy", R"({"policyName":"dd_dd_metric_export"})"), "409 DeleteConflictException");
  EXPECT_EQ(call("DeleteCertificate", certificate_json), "406 CertificateStateException");
  EXPECT_EQ(call("DetachPolicy", "{" + target + "}"), "{}");
  EXPECT_EQ(call("DetachThingPrincipal", principal), "{}");
  EXPECT_EQ(call("DeletePolicy", R"({"policyName":"dd_dd_metric_export"})"), "{}");
  EXPECT_EQ(call("UpdateCertificate", R"({"certificateId":")" + id + R"(","newStatus":"INACTIVE"})"), "{}");
  EXPECT_EQ(call("DeleteCertificate", certificate_json), "{}");
  EXPECT_EQ(call("DeleteCertificate", certificate_json), "404 ResourceNotFoundException");
  EXPECT_EQ(call("DeleteThing", R"({"thingName":"dd"})"), "{}");
}

TEST_F(IotApi, Certificates) {
  const auto [arn, id] = certificate(false);
  const std::string me = R"("certificateId":")" + id + "\"";
  const auto described =
      object("DescribeCertificate", "{" + me + "}").at("certificateDescription").as_object();
  EXPECT_EQ(json::string_or(described, "status"), "INACTIVE");
  EXPECT_EQ(json::string_or(described, "ownedBy"), "123456789012");
  EXPECT_EQ(json::string_or(described, "certificateMode"), "DEFAULT");
  EXPECT_EQ(call("UpdateCertificate", "{" + me + R"(,"newStatus":"PENDING_TRANSFER"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("UpdateCertificate", "{" + me + R"(,"newStatus":"REVOKED"})"), "{}");
  EXPECT_EQ(call("UpdateCertificate", "{" + me + R"(,"newStatus":"ACTIVE"})"),
            "406 CertificateStateException");
  policy("p");
  call("AttachPrincipalPolicy", R"({"policyName":"p","principal":")" + arn + "\"}");
  EXPECT_EQ(call("DeleteCertificate", "{" + me + "}"), "409 DeleteConflictException");
  EXPECT_EQ(call("DeleteCertificate", "{" + me + R"(,"forceDelete":true})"), "{}");
  EXPECT_EQ(call("AttachPolicy", R"({"policyName":"p","target":"us-east-1:0d2e7a4e"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("AttachPolicy", R"({"policyName":"p","target":")" + arn + "\"}"),
            "404 ResourceNotFoundException");

  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) {
    clock_.advance(Duration{1000});
    made.push_back(certificate(true).second);
  }
  for (const bool ascending : {true, false}) {
    std::vector<std::string> listed;
    std::string token;
    do {
      const auto page =
          object("ListCertificates", std::string(R"({"pageSize":2,"ascendingOrder":)") +
                                         (ascending ? "true" : "false") +
                                         (token.empty() ? "" : R"(,"marker":")" + token + "\"") + "}");
      for (const auto& each : page.at("certificates").as_array()) {
        listed.emplace_back(json::string_or(each.as_object(), "certificateId"));
      }
      token = json::string_or(page, "nextMarker");
    } while (!token.empty());
    if (!ascending) std::reverse(listed.begin(), listed.end());
    EXPECT_EQ(listed, made);
  }
}

std::string json_text(const std::string& text) {
  std::string out;
  json::quote_to(text, out);
  return out;
}

TEST_F(IotApi, RegisteredCertificates) {
  auto customer = registry::CertificateAuthority::create(random_, clock_.now());
  auto device = customer->issue_device(registry::KeyType::kP256, random_, clock_.now());
  const std::string pem = json_text(device->certificate_pem), ca = json_text(customer->certificate_pem());
  EXPECT_EQ(call("RegisterCertificate", R"({"certificatePem":)" + pem + "}"),
            "400 CertificateValidationException");
  EXPECT_EQ(call("RegisterCACertificate", R"({"caCertificate":)" + ca + "}"), "400 InvalidRequestException")
      << "no proof";
  EXPECT_EQ(call("RegisterCACertificate", R"({"caCertificate":)" + pem + R"(,"certificateMode":"SNI_ONLY"})"),
            "400 CertificateValidationException");
  const auto code = object("GetRegistrationCode", "{}");
  EXPECT_EQ(json::string_or(code, "registrationCode").size(), 64u);
  EXPECT_EQ(object("GetRegistrationCode", "{}"), code);
  EXPECT_EQ(call("RegisterCACertificate",
                 R"({"caCertificate":)" + ca + R"(,"verificationCertificate":)" + pem + "}"),
            "400 RegistrationCodeValidationException");
  const auto registered =
      object("RegisterCACertificate",
             R"({"caCertificate":)" + ca + R"(,"certificateMode":"SNI_ONLY","setAsActive":true})");
  const std::string ca_id = json_text(std::string(json::string_or(registered, "certificateId")));
  const auto mine = object("RegisterCertificate", R"({"certificatePem":)" + pem + R"(,"status":"ACTIVE"})");
  EXPECT_EQ(call("RegisterCertificate", R"({"certificatePem":)" + pem + "}"),
            "409 ResourceAlreadyExistsException");
  EXPECT_EQ(object("ListCertificatesByCA", R"({"caCertificateId":)" + ca_id + "}")
                .at("certificates")
                .as_array()
                .size(),
            1u);
  clock_.advance(Duration{1000});
  auto second = customer->issue_device(registry::KeyType::kP256, random_, clock_.now());
  call("RegisterCertificate", R"({"certificatePem":)" + json_text(second->certificate_pem) + "}");
  const auto first_shown = [&](const char* extra) {
    const auto page =
        object("ListCertificatesByCA", R"({"caCertificateId":)" + ca_id + R"(,"pageSize":1)" + extra + "}");
    return page.at("certificates").at(0).at("certificateId");
  };
  EXPECT_EQ(first_shown(R"(,"ascendingOrder":true)"), mine.at("certificateId"));
  EXPECT_NE(first_shown(R"(,"ascendingOrder":false)"), mine.at("certificateId"));
  EXPECT_NE(first_shown(""), mine.at("certificateId")) << "the newest first";
  EXPECT_EQ(call("DeleteCACertificate", R"({"certificateId":)" + ca_id + "}"),
            "406 CertificateStateException");
  EXPECT_EQ(call("UpdateCACertificate",
                 R"({"certificateId":)" + ca_id + R"(,"newAutoRegistrationStatus":"ENABLE"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("UpdateCACertificate", R"({"certificateId":)" + ca_id + R"(,"newStatus":"INACTIVE"})"),
            "{}");
  EXPECT_EQ(call("DeleteCACertificate", R"({"certificateId":)" + ca_id + "}"), "{}");
  auto other = customer->issue_device(registry::KeyType::kP256, random_, clock_.now());
  EXPECT_EQ(call("RegisterCertificateWithoutCA",
                 R"({"certificatePem":)" + json_text(other->certificate_pem) + R"(,"status":"ACTIVE"})")
                .substr(0, 1),
            "{");
  EXPECT_EQ(call("RegisterCertificateWithoutCA", R"({"certificatePem":"nonsense"})"),
            "400 CertificateValidationException");
  EXPECT_EQ(call("CreateCertificateFromCsr", R"({"certificateSigningRequest":"nonsense"})"),
            "400 InvalidRequestException");
}

TEST_F(IotApi, Policies) {
  EXPECT_EQ(policy("p", "{"), "400 MalformedPolicyException");
  EXPECT_EQ(policy("p", "{}"), "400 MalformedPolicyException");
  policy("p");
  const std::string document =
      R"(,"policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",)"
      R"(\"Action\":\"*\",\"Resource\":\"*\"}}")";
  for (int i = 2; i <= 5; ++i) {
    EXPECT_EQ(json::string_or(object("CreatePolicyVersion", R"({"policyName":"p")" + document + "}"),
                              "policyVersionId"),
              std::to_string(i));
  }
  EXPECT_EQ(call("CreatePolicyVersion", R"({"policyName":"p")" + document + "}"),
            "409 VersionsLimitExceededException");
  EXPECT_EQ(call("DeletePolicy", R"({"policyName":"p"})"), "409 DeleteConflictException");
  EXPECT_EQ(call("SetDefaultPolicyVersion", R"({"policyName":"p","policyVersionId":"4"})"), "{}");
  EXPECT_EQ(call("DeletePolicyVersion", R"({"policyName":"p","policyVersionId":"4"})"),
            "409 DeleteConflictException");
  EXPECT_EQ(call("DeletePolicyVersion", R"({"policyName":"p","policyVersionId":"x"})"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("GetPolicyVersion", R"({"policyName":"p","policyVersionId":"9"})"),
            "404 ResourceNotFoundException");
  EXPECT_EQ(object("ListPolicyVersions", R"({"policyName":"p"})").at("policyVersions").as_array().size(), 5u);
  EXPECT_EQ(json::string_or(object("GetPolicy", R"({"policyName":"p"})"), "defaultVersionId"), "4");
}

TEST_F(IotApi, PrincipalPoliciesInOrderOfCreation) {
  const std::string principal = R"({"principal":")" + certificate(true).first + "\"";
  for (const char* name : {"zeta", "alpha", "mid"}) {
    policy(name);
    clock_.advance(Duration{1000});
    call("AttachPrincipalPolicy", principal + R"(,"policyName":")" + name + "\"}");
  }
  const auto names = [&](const std::string& extra) {
    std::string out, marker;
    do {
      const auto page =
          object("ListPrincipalPolicies", principal + R"(,"pageSize":2)" + extra +
                                              (marker.empty() ? "" : R"(,"marker":")" + marker + "\"") + "}");
      for (const auto& each : page.at("policies").as_array())
        out += std::string(each.at("policyName").as_string()) + " ";
      marker = json::string_or(page, "nextMarker");
    } while (!marker.empty());
    return out;
  };
  EXPECT_EQ(names(R"(,"ascendingOrder":true)"), "zeta alpha mid ");
  EXPECT_EQ(names(""), "mid alpha zeta ");
}

TEST_F(IotApi, TestAuthorization) {
  const std::string arn = certificate(true).first;
  policy("allow",
         R"({\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",)"
         R"(\"Resource\":\"arn:aws:iot:*:*:topic/${iot:ClientId}\"}})");
  policy(
      "deny",
      R"({\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"iot:*\",\"Resource\":\"*\"}})");
  call("AttachPolicy", R"({"policyName":"allow","target":")" + arn + "\"}");
  const auto decision = [&](const std::string& extra) {
    const auto out = object(
        "TestAuthorization",
        R"({"principal":")" + arn +
            R"(","authInfos":[{"actionType":"PUBLISH","resources":["arn:aws:iot:us-east-1:123456789012:topic/me"]}])" +
            extra + "}");
    return std::string(out.at("authResults").at(0).at("authDecision").as_string());
  };
  EXPECT_EQ(decision(R"(,"clientId":"me")"), "ALLOWED");
  EXPECT_EQ(decision(R"(,"clientId":"other")"), "IMPLICIT_DENY");
  EXPECT_EQ(decision(""), "IMPLICIT_DENY");
  EXPECT_EQ(decision(R"(,"clientId":"me","policyNamesToAdd":["deny"])"), "EXPLICIT_DENY");
  EXPECT_EQ(decision(R"(,"clientId":"me","policyNamesToSkip":["allow"])"), "IMPLICIT_DENY");
  const auto result = [&](const std::string& extra) {
    return object(
               "TestAuthorization",
               R"({"principal":")" + arn +
                   R"(","authInfos":[{"actionType":"PUBLISH","resources":["arn:aws:iot:us-east-1:1:topic/me"]}])" +
                   extra + "}")
        .at("authResults")
        .at(0)
        .as_object();
  };
  policy(
      "asks",
      R"({\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"iot:*\",\"Resource\":\"*\",)"
      R"(\"Condition\":{\"StringEquals\":{\"iot:DomainName\":\"${iot:Connection.Thing.ThingName}${*}\"}}}})");
  const auto asked = result(R"(,"policyNamesToAdd":["asks"])");
  EXPECT_EQ(json::serialize(asked.at("missingContextValues")),
            R"(["iot:ClientId","iot:Connection.Thing.ThingName","iot:DomainName"])");
  const auto& silent = asked.at("denied").at("implicitDeny").at("policies").as_array();
  ASSERT_EQ(silent.size(), 2u);
  EXPECT_EQ(silent[0].at("policyName").as_string(), "allow");
  EXPECT_EQ(
      json::serialize(result(R"(,"clientId":"me","policyNamesToAdd":["deny"])").at("missingContextValues")),
      "[]");
}

TEST_F(IotApi, EndpointAndWhatIsMissing) {
  EXPECT_EQ(call("DescribeEndpoint", "{}"), R"({"endpointAddress":"broker.example"})");
  EXPECT_EQ(call("DescribeEndpoint", R"({"endpointType":"iot:Data-ATS"})"),
            R"({"endpointAddress":"broker.example"})");
  EXPECT_EQ(call("DescribeEndpoint", R"({"endpointType":"iot:Jobs"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("DescribeEndpoint", R"({"endpointType":"nonsense"})"), "400 InvalidRequestException");
  size_t missing = 0;
  for (const http::Operation& operation : service_.operations) {
    EXPECT_EQ(operation.implemented, operation.run != nullptr) << operation.name;
    missing += !operation.implemented;
  }
  EXPECT_EQ(service_.operations.size(), documented_operations().size());
  EXPECT_GT(missing, 150u);
}

}  // namespace
}  // namespace fleetward::api::iot
