#include "api/s3/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/encoding.h"
#include "lake/local_store.h"
#include "test/unit/lake/store_fixture.h"

namespace fleetward::api::s3 {
namespace {

using identity::Caller;
using identity::Decision;
using testing::HasSubstr;
using testing::Not;

class TextBody final : public http::S3BodyReader {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  http::ApiResult<std::string> next() override {
    if (failure) return tl::unexpected(*failure);
    return std::exchange(text_, {});
  }
  std::optional<uint64_t> size() const override { return text_.size(); }
  const http::Headers& trailers() const override { return fields; }

  http::Headers fields;
  std::optional<http::ApiError> failure;

 private:
  std::string text_;
};

// One request and its answer, as a client would see them.
class S3ServiceTest : public lake::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    S3ServiceOptions service_options;
    service_options.scope = {AccountId::trusted("123456789012"), "eu-west-1"};
    service = std::make_unique<S3Service>(
        service_options, *store,
        [this](const Caller& who, std::string_view action, std::string_view,
               const identity::RequestContext&) {
          if (who.kind == Caller::Kind::kRoot) return Decision::kAllow;
          return action == allowed_action ? Decision::kAllow : Decision::kNoMatch;
        },
        random);
    caller = {Caller::Kind::kRoot, "arn:aws:iam::123456789012:root", "", "123456789012", "", ""};
  }

  using Fields = std::vector<std::pair<std::string, std::string>>;
  http::Response send(const std::string& method, const std::string& target, std::string body = "",
                      const Fields& headers = {}, http::Headers trailers = {}) {
    http::S3Request request;
    request.method = method;
    EXPECT_TRUE(http::parse_target(target, request));
    request.headers.add("Host", "localhost:4566");
    for (const auto& [name, value] : headers) request.headers.add(name, value);
    request.caller = caller;
    request.request_id = "id";
    request.context = std::make_shared<identity::MapContext>();
    auto reader = std::make_unique<TextBody>(std::move(body));
    reader->fields = std::move(trailers);
    reader->failure = body_failure;
    request.body_size = reader->size();
    request.body = std::move(reader);
    auto answered = service->handle(request);
    http::Response response =
        answered ? std::move(*answered) : service->refuse(request, answered.error(), request.request_id);
    while (response.source) {
      auto piece = response.source();
      if (!piece || piece->empty()) break;
      response.body += *piece;
    }
    return response;
  }
  // "200" or "404 NoSuchKey".
  std::string outcome(const std::string& method, const std::string& target, std::string body = "",
                      const Fields& headers = {}) {
    const auto response = send(method, target, std::move(body), headers);
    const size_t code = response.body.find("<Code>");
    if (code == std::string::npos) return std::to_string(response.status);
    return std::to_string(response.status) + " " +
           response.body.substr(code + 6, response.body.find('<', code + 6) - code - 6);
  }

  std::unique_ptr<S3Service> service;
  Caller caller;
  std::string allowed_action;
  std::optional<http::ApiError> body_failure;
};

TEST_F(S3ServiceTest, AResourceThatIsNotKnownIsNotTheOneBelow) {
  EXPECT_EQ(outcome("PUT", "/fleet.data/a", "hello"), "200");
  for (const char* method : {"GET", "DELETE"}) {
    EXPECT_EQ(outcome(method, "/fleet.data?metadataTable"), "501 NotImplemented") << method;
    EXPECT_EQ(outcome(method, "/fleet.data?future"), "501 NotImplemented") << method;
    EXPECT_EQ(outcome(method, "/fleet.data/a?annotation&name=x"), "501 NotImplemented") << method;
    EXPECT_EQ(outcome(method, "/fleet.data/a?future="), "501 NotImplemented") << method;
  }
  EXPECT_EQ(outcome("PUT", "/fleet.data/a?future", "other"), "501 NotImplemented");
  EXPECT_THAT(send("PUT", "/fleet.data/a?future").body, HasSubstr("?future is not implemented"));
  // Options may be empty; what has a value is passed over as S3 passes it over.
  EXPECT_EQ(outcome("GET", "/fleet.data?prefix=&list-type=2&delimiter="), "200");
  EXPECT_EQ(send("GET", "/fleet.data/a?versionId=&x-id=GetObject&cache=7").body, "hello");
}

TEST_F(S3ServiceTest, ElementsOutsideTheSchemaAreRefused) {
  EXPECT_EQ(outcome("PUT", "/fleet.data/a", "hello"), "200");
  EXPECT_THAT(send("PUT", "/fleet.data?tagging",
                   "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><Ttl>1</Ttl></Tag></TagSet></Tagging>")
                  .body,
              HasSubstr("Tagging/TagSet/Tag/Ttl is not a known element"));
  EXPECT_EQ(outcome("PUT", "/fleet.data?versioning",
                    "<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Enabled</MfaDelete>"
                    "</VersioningConfiguration>"),
            "501 NotImplemented");
  EXPECT_EQ(send("GET", "/fleet.data/a").body, "hello");
}

TEST_F(S3ServiceTest, ObjectsComeAndGo) {
  const auto put = send("PUT", "/fleet.data/a%20b", "hello",
                        {{"Content-Type", "text/plain"},
                         {"X-Amz-Meta-Unit", "dBm"},
                         {"x-amz-tagging", "a=1"},
                         {"Content-Encoding", "aws-chunked"}});
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.headers.get("ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
  EXPECT_EQ(put.headers.get("x-amz-checksum-type"), "FULL_OBJECT");
  const auto get = send("GET", "/fleet.data/a%20b", "", {{"x-amz-checksum-mode", "ENABLED"}});
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.source_length, 5u);
  EXPECT_EQ(get.headers.get("x-amz-meta-unit"), "dBm");
  EXPECT_EQ(get.headers.get("x-amz-tagging-count"), "1");
  EXPECT_FALSE(get.headers.has("Content-Encoding"));
  EXPECT_EQ(get.headers.get("x-amz-checksum-crc64nvme"), put.headers.get("x-amz-checksum-crc64nvme"));
  const auto head = send("HEAD", "/fleet.data/a%20b");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.source_length, 5u);
  const auto part = send("GET", "/fleet.data/a%20b", "", {{"Range", "bytes=1-2"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "el");
  EXPECT_EQ(part.headers.get("Content-Range"), "bytes 1-2/5");
  const auto beyond = send("GET", "/fleet.data/a%20b", "", {{"Range", "bytes=9-"}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.headers.get("Content-Range"), "bytes */5");
  EXPECT_EQ(
      outcome("GET", "/fleet.data/a%20b", "", {{"If-None-Match", std::string(put.headers.get("ETag"))}}),
      "304");
  EXPECT_EQ(outcome("GET", "/fleet.data/a%20b", "", {{"If-Match", "\"x\""}}), "412 PreconditionFailed");
  EXPECT_EQ(outcome("DELETE", "/fleet.data/a%20b"), "204");
  EXPECT_EQ(outcome("DELETE", "/fleet.data/a%20b"), "204");
  EXPECT_EQ(outcome("GET", "/fleet.data/a%20b"), "404 NoSuchKey");
  EXPECT_EQ(send("HEAD", "/fleet.data/a%20b").body, "");
}

TEST_F(S3ServiceTest, ABodyThatFailsIsNotKept) {
  body_failure = http::ApiError{400, "XAmzContentSHA256Mismatch", "", {}};
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x"), "400 XAmzContentSHA256Mismatch");
  body_failure.reset();
  EXPECT_EQ(outcome("GET", "/fleet.data/k"), "404 NoSuchKey");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x", {{"Content-MD5", "AAAA"}}), "400 InvalidDigest");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x", {{"x-amz-checksum-crc32", "AAAAAA=="}}), "400 BadDigest");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x", {{"x-amz-trailer", "x-amz-checksum-crc32"}}),
            "400 MalformedTrailerError");
  http::Headers trailers;
  trailers.add("x-amz-checksum-crc32", "AAAAAA==");
  EXPECT_EQ(send("PUT", "/fleet.data/k", "x", {{"x-amz-trailer", "x-amz-checksum-crc32"}}, trailers).status,
            400);
  EXPECT_EQ(outcome("GET", "/fleet.data/k"), "404 NoSuchKey");
  trailers.set("x-amz-checksum-crc32", "jNwWgw==");
  EXPECT_EQ(send("PUT", "/fleet.data/k", "x", {{"x-amz-trailer", "x-amz-checksum-crc32"}}, trailers).status,
            200);
}

TEST_F(S3ServiceTest, WhatIsNotHereIsRefusedByName) {
  const auto refused = send("PUT", "/fleet.data?lifecycle", "<x/>");
  EXPECT_EQ(refused.status, 501);
  EXPECT_THAT(refused.body, HasSubstr("PutBucketLifecycleConfiguration is not implemented"));
  EXPECT_EQ(outcome("PUT", "/fleet.data?versioning",
                    "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
            "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "", {{"x-amz-server-side-encryption", "AES256"}}),
            "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "", {{"x-amz-acl", "public-read"}}),
            "400 AccessControlListNotSupported");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "", {{"x-amz-checksum-xxhash64", "x"}}), "501 NotImplemented");
  EXPECT_EQ(outcome("PATCH", "/fleet.data/k"), "405 MethodNotAllowed");
  EXPECT_EQ(outcome("PUT", "/UPPER"), "400 InvalidBucketName");
  EXPECT_EQ(outcome("GET", "/fleet.data/k?versionId=abc"), "404 NoSuchVersion");
}

// What S3 answers for a bucket on which nothing of it was ever set.
TEST_F(S3ServiceTest, ConfigurationsThatWereNeverSet) {
  const std::pair<const char*, const char*> cases[] = {
      {"accelerate", "200"},
      {"analytics", "200"},
      {"analytics&id=a", "404 NoSuchConfiguration"},
      {"cors", "404 NoSuchCORSConfiguration"},
      {"encryption", "404 ServerSideEncryptionConfigurationNotFoundError"},
      {"intelligent-tiering", "200"},
      {"inventory", "200"},
      {"lifecycle", "404 NoSuchLifecycleConfiguration"},
      {"logging", "200"},
      {"metrics", "200"},
      {"metrics&id=a", "404 NoSuchConfiguration"},
      {"notification", "200"},
      {"object-lock", "404 ObjectLockConfigurationNotFoundError"},
      {"ownershipControls", "200"},
      {"policy", "404 NoSuchBucketPolicy"},
      {"publicAccessBlock", "404 NoSuchPublicAccessBlockConfiguration"},
      {"replication", "404 ReplicationConfigurationNotFoundError"},
      {"requestPayment", "200"},
      {"tagging", "404 NoSuchTagSet"},
      {"versioning", "200"},
      {"website", "404 NoSuchWebsiteConfiguration"},
  };
  for (const auto& [parameter, expected] : cases) {
    EXPECT_EQ(outcome("GET", std::string("/fleet.data?") + parameter), expected) << parameter;
    EXPECT_EQ(outcome("GET", std::string("/none.data?") + parameter), "404 NoSuchBucket") << parameter;
  }
  EXPECT_THAT(send("GET", "/fleet.data?lifecycle").body, HasSubstr("<BucketName>fleet.data</BucketName>"));
  EXPECT_THAT(send("GET", "/fleet.data?metrics").body, HasSubstr("<IsTruncated>false</IsTruncated>"));
  EXPECT_THAT(send("GET", "/fleet.data?requestPayment").body, HasSubstr("<Payer>BucketOwner</Payer>"));
  for (const char* gone :
       {"cors", "encryption", "lifecycle", "publicAccessBlock", "replication", "website"}) {
    EXPECT_EQ(outcome("DELETE", std::string("/fleet.data?") + gone), "204") << gone;
  }
  EXPECT_EQ(outcome("DELETE", "/fleet.data?metrics&id=a"), "404 NoSuchConfiguration");
}

// A configuration can be set to what is so anyhow, and to nothing else.
TEST_F(S3ServiceTest, ConfigurationsThatAreFixed) {
  const auto ownership = [](const std::string& value) {
    return "<OwnershipControls><Rule><ObjectOwnership>" + value +
           "</ObjectOwnership></Rule></OwnershipControls>";
  };
  EXPECT_EQ(outcome("PUT", "/fleet.data?ownershipControls", ownership("BucketOwnerEnforced")), "200");
  EXPECT_EQ(outcome("PUT", "/fleet.data?ownershipControls", ownership("ObjectWriter")), "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data?ownershipControls", ownership("x")), "400 MalformedXML");
  EXPECT_EQ(outcome("DELETE", "/fleet.data?ownershipControls"), "501 NotImplemented");
  const auto payer = [](const std::string& value) {
    return "<RequestPaymentConfiguration><Payer>" + value + "</Payer></RequestPaymentConfiguration>";
  };
  EXPECT_EQ(outcome("PUT", "/fleet.data?requestPayment", payer("BucketOwner")), "200");
  EXPECT_EQ(outcome("PUT", "/fleet.data?requestPayment", payer("Requester")), "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data?logging", "<BucketLoggingStatus/>"), "200");
  EXPECT_EQ(
      outcome("PUT", "/fleet.data?logging", "<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>"),
      "501 NotImplemented");
  EXPECT_EQ(
      outcome("PUT", "/fleet.data?notification", "<NotificationConfiguration> </NotificationConfiguration>"),
      "200");
  EXPECT_EQ(outcome("PUT", "/fleet.data?notification",
                    "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"),
            "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data?publicAccessBlock", "<PublicAccessBlockConfiguration/>"),
            "501 NotImplemented");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x"), "200");
  EXPECT_EQ(outcome("GET", "/fleet.data/k?retention"), "400 InvalidRequest");
  EXPECT_EQ(outcome("GET", "/fleet.data/none?legal-hold"), "404 NoSuchKey");
}

TEST_F(S3ServiceTest, BucketsHaveARegion) {
  const std::string here =
      "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
      "</CreateBucketConfiguration>";
  EXPECT_EQ(outcome("PUT", "/123456789012.dd.metric.export", here), "200");
  EXPECT_EQ(outcome("PUT", "/123456789012.dd.metric.export", here), "409 BucketAlreadyOwnedByYou");
  EXPECT_EQ(outcome("PUT", "/other-bucket",
                    "<CreateBucketConfiguration><LocationConstraint>ap-south-1"
                    "</LocationConstraint></CreateBucketConfiguration>"),
            "400 IllegalLocationConstraintException");
  EXPECT_THAT(send("GET", "/fleet.data?location").body, HasSubstr(">eu-west-1</LocationConstraint>"));
  EXPECT_EQ(send("HEAD", "/fleet.data").headers.get("x-amz-bucket-region"), "eu-west-1");
  EXPECT_EQ(outcome("HEAD", "/nothing-here"), "404");
  EXPECT_THAT(send("GET", "/").body, HasSubstr("<Name>fleet.data</Name>"));
  EXPECT_EQ(outcome("DELETE", "/123456789012.dd.metric.export"), "204");
}

TEST_F(S3ServiceTest, ListingsAndVirtualHosts) {
  for (const char* key : {"a", "d/1", "d/2", "e%20f"}) send("PUT", std::string("/fleet.data/") + key, "x");
  const auto page = send("GET", "/?list-type=2&delimiter=/&max-keys=2", "", {}).body;
  EXPECT_THAT(page, HasSubstr("ListAllMyBuckets"));  // no bucket was named
  std::string body = send("GET", "/fleet.data?list-type=2&delimiter=%2F&max-keys=2").body;
  EXPECT_THAT(body, HasSubstr("<Key>a</Key>"));
  EXPECT_THAT(body, HasSubstr("<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"));
  EXPECT_THAT(body, HasSubstr("<IsTruncated>true</IsTruncated>"));
  const size_t at = body.find("<NextContinuationToken>") + 23;
  const std::string token = body.substr(at, body.find('<', at) - at);
  body = send("GET", "/fleet.data?list-type=2&delimiter=%2F&encoding-type=url&continuation-token=" +
                         percent_encode(token))
             .body;
  EXPECT_THAT(body, HasSubstr("<Key>e%20f</Key>"));
  EXPECT_THAT(body, Not(HasSubstr("d/")));
  EXPECT_EQ(outcome("GET", "/fleet.data?max-keys=-1"), "400 InvalidArgument");
  EXPECT_EQ(outcome("GET", "/fleet.data?list-type=2&continuation-token=%21"), "400 InvalidArgument");
  EXPECT_EQ(outcome("GET", "/fleet.data?encoding-type=base64"), "400 InvalidArgument");
}

TEST_F(S3ServiceTest, Multipart) {
  std::string body = send("POST", "/fleet.data/k?uploads", "", {{"Content-Type", "text/csv"}}).body;
  const size_t at = body.find("<UploadId>") + 10;
  const std::string id = body.substr(at, body.find('<', at) - at);
  const std::string target = "/fleet.data/k?uploadId=" + id;
  const auto part = send("PUT", target + "&partNumber=1", std::string(30, 'p'));
  EXPECT_EQ(send("PUT", "/fleet.data/source", "0123456789").status, 200);
  body = send("PUT", target + "&partNumber=2", "",
              {{"x-amz-copy-source", "fleet.data/source"}, {"x-amz-copy-source-range", "bytes=2-4"}})
             .body;
  EXPECT_THAT(body, HasSubstr("<CopyPartResult"));
  EXPECT_EQ(outcome("PUT", target + "&partNumber=0", "x"), "400 InvalidArgument");
  EXPECT_THAT(send("GET", target).body, HasSubstr("<PartNumber>2</PartNumber>"));
  EXPECT_THAT(send("GET", "/fleet.data?uploads").body, HasSubstr(id));
  const std::string document = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                               std::string(part.headers.get("etag")) +
                               "</ETag></Part><Part><PartNumber>2</PartNumber><ETag>" +
                               to_hex(lake::md5("234")) + "</ETag></Part></CompleteMultipartUpload>";
  body = send("POST", target, document).body;
  EXPECT_THAT(body, HasSubstr("<Location>http://localhost:4566/fleet.data/k</Location>"));
  EXPECT_EQ(send("GET", "/fleet.data/k").body, std::string(30, 'p') + "234");
  EXPECT_EQ(send("GET", "/fleet.data/k?partNumber=2").body, "234");
  EXPECT_EQ(outcome("GET", "/fleet.data/k?partNumber=3"), "416 InvalidPartNumber");
  EXPECT_EQ(outcome("DELETE", target), "404 NoSuchUpload");
}

TEST_F(S3ServiceTest, CopiesKeepOrReplaceMetadata) {
  send("PUT", "/fleet.data/k", "x", {{"x-amz-meta-a", "1"}, {"x-amz-tagging", "t=1"}});
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "", {{"x-amz-copy-source", "/fleet.data/k"}}),
            "400 InvalidRequest");
  EXPECT_EQ(outcome("PUT", "/fleet.data/c", "", {{"x-amz-copy-source", "/fleet.data/k"}}), "200");
  auto copy = send("HEAD", "/fleet.data/c");
  EXPECT_EQ(copy.headers.get("x-amz-meta-a"), "1");
  EXPECT_EQ(copy.headers.get("x-amz-tagging-count"), "1");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "",
                    {{"x-amz-copy-source", "/fleet.data/k"},
                     {"x-amz-metadata-directive", "REPLACE"},
                     {"x-amz-meta-b", "2"}}),
            "200");
  copy = send("GET", "/fleet.data/k");
  EXPECT_EQ(copy.body, "x");
  EXPECT_FALSE(copy.headers.has("x-amz-meta-a"));
  EXPECT_EQ(copy.headers.get("x-amz-meta-b"), "2");
  EXPECT_EQ(outcome("PUT", "/fleet.data/z", "", {{"x-amz-copy-source", "/fleet.data/none"}}),
            "404 NoSuchKey");
  EXPECT_EQ(outcome("PUT", "/fleet.data/z", "",
                    {{"x-amz-copy-source", "/fleet.data/k"}, {"x-amz-copy-source-if-match", "no"}}),
            "412 PreconditionFailed");
}

TEST_F(S3ServiceTest, ManyAreDeletedAtOnce) {
  for (const char* key : {"a", "b"}) send("PUT", std::string("/fleet.data/") + key, "x");
  const std::string document =
      "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>";
  EXPECT_EQ(outcome("POST", "/fleet.data?delete", document), "400 InvalidRequest");
  const auto done =
      send("POST", "/fleet.data?delete", document, {{"Content-MD5", to_base64(lake::md5(document))}});
  EXPECT_THAT(done.body, HasSubstr("<Deleted><Key>a</Key></Deleted><Deleted><Key>none</Key></Deleted>"));
  EXPECT_EQ(outcome("GET", "/fleet.data/a"), "404 NoSuchKey");
  EXPECT_EQ(outcome("GET", "/fleet.data/b"), "200");
}

TEST_F(S3ServiceTest, IdentityAndBucketPolicyDecideTogether) {
  send("PUT", "/fleet.data/k", "x");
  const std::string policy =
      R"({"Version":"2012-10-17","Statement":[)"
      R"({"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::fleet.data/*"},)"
      R"({"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"s3:PutObject",)"
      R"("Resource":"arn:aws:s3:::fleet.data/*"},)"
      R"({"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::fleet.data/*"}]})";
  EXPECT_EQ(outcome("PUT", "/fleet.data?policy", "{}"), "400 MalformedPolicy");
  EXPECT_EQ(outcome("PUT", "/fleet.data?policy", policy), "204");
  EXPECT_EQ(send("GET", "/fleet.data?policy").body, policy);
  EXPECT_EQ(outcome("DELETE", "/fleet.data/k"), "403 AccessDenied");  // root as well

  caller = {};  // anonymous
  EXPECT_EQ(outcome("GET", "/fleet.data/k"), "200");
  EXPECT_EQ(outcome("GET", "/fleet.data/none"), "403 AccessDenied");  // may not list, so is not told
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "y"), "403 AccessDenied");
  EXPECT_EQ(outcome("GET", "/fleet.data/k?response-content-type=a"), "400 InvalidRequest");

  caller = {Caller::Kind::kUser, "arn:aws:iam::123456789012:user/eve", "", "123456789012", "eve", ""};
  // The account as a whole is allowed, which its own identity policies must still confirm.
  const auto denied = send("PUT", "/fleet.data/k", "y");
  EXPECT_EQ(denied.status, 403);
  EXPECT_THAT(
      denied.body,
      HasSubstr("User: arn:aws:iam::123456789012:user/eve is not authorized to perform: s3:PutObject on "
                "resource: &quot;arn:aws:s3:::fleet.data/k&quot; because no identity-based policy allows "
                "the s3:PutObject action"));
  allowed_action = "s3:PutObject";
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "y"), "200");
  allowed_action = "s3:DeleteObject";
  EXPECT_EQ(outcome("DELETE", "/fleet.data/k"), "403 AccessDenied");
}

TEST_F(S3ServiceTest, PoliciesSpeakOfTags) {
  EXPECT_EQ(outcome("PUT", "/fleet.data/open", "x", {{"x-amz-tagging", "class=public"}}), "200");
  EXPECT_EQ(outcome("PUT", "/fleet.data/closed", "x", {{"x-amz-tagging", "class=secret"}}), "200");
  const std::string policy =
      R"({"Version":"2012-10-17","Statement":[)"
      R"({"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::fleet.data/*",)"
      R"("Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"secret"}}},)"
      R"({"Effect":"Deny","Principal":"*","Action":["s3:PutObject","s3:PutObjectTagging"],)"
      R"("Resource":"arn:aws:s3:::fleet.data/*","Condition":{"StringEquals":{"s3:RequestObjectTag/class":"top"}}},)"
      R"({"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::fleet.data/*",)"
      R"("Condition":{"StringNotEquals":{"s3:ResourceAccount":"123456789012"}}}]})";
  EXPECT_EQ(outcome("PUT", "/fleet.data?policy", policy), "204");
  EXPECT_EQ(outcome("GET", "/fleet.data/open"), "200");
  EXPECT_EQ(outcome("GET", "/fleet.data/closed"), "403 AccessDenied");
  EXPECT_EQ(outcome("GET", "/fleet.data/none"), "404 NoSuchKey");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x", {{"x-amz-tagging", "class=top"}}), "403 AccessDenied");
  EXPECT_EQ(outcome("PUT", "/fleet.data/k", "x", {{"x-amz-tagging", "class=low"}}), "200");
  const auto tagging = [](const std::string& value) {
    return "<Tagging><TagSet><Tag><Key>class</Key><Value>" + value + "</Value></Tag></TagSet></Tagging>";
  };
  EXPECT_EQ(outcome("PUT", "/fleet.data/open?tagging", tagging("top")), "403 AccessDenied");
  EXPECT_EQ(outcome("PUT", "/fleet.data/open?tagging", tagging("secret")), "200");
  EXPECT_EQ(outcome("GET", "/fleet.data/open"), "403 AccessDenied");
}

// An upload that is taken as it arrives asks and refuses before its bytes come.
TEST_F(S3ServiceTest, UploadsBeginBeforeTheirBody) {
  const auto request = [&](const std::string& target) {
    http::S3Request out;
    out.method = "PUT";
    EXPECT_TRUE(http::parse_target(target, out));
    out.headers.add("Host", "localhost:4566");
    out.caller = caller;
    out.request_id = "id";
    out.context = std::make_shared<identity::MapContext>();
    return out;
  };
  http::S3Request put = request("/fleet.data/k");
  EXPECT_TRUE(service->is_upload(put));
  EXPECT_EQ(service->operation(put), "PutObject");
  {
    auto given_up = service->begin_upload(put);
    ASSERT_TRUE(given_up);
    ASSERT_TRUE((*given_up)->append("never"));
  }
  EXPECT_EQ(outcome("GET", "/fleet.data/k"), "404 NoSuchKey");
  auto upload = service->begin_upload(put);
  ASSERT_TRUE(upload);
  ASSERT_TRUE((*upload)->append("he"));
  ASSERT_TRUE((*upload)->append("llo"));
  const auto stored = (*upload)->finish({});
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->headers.get("x-amz-request-id"), "id");
  EXPECT_EQ(send("GET", "/fleet.data/k").body, "hello");

  http::S3Request part = request("/fleet.data/k?uploadId=none&partNumber=1");
  EXPECT_TRUE(service->is_upload(part));
  EXPECT_EQ(service->begin_upload(part).error().name, "NoSuchUpload");
  EXPECT_FALSE(service->is_upload(request("/fleet.data/k?tagging")));
  EXPECT_FALSE(service->is_upload(request("/fleet.data")));
  put.caller = {Caller::Kind::kUser, "arn:aws:iam::123456789012:user/eve", "", "123456789012", "eve", ""};
  EXPECT_EQ(service->begin_upload(put).error().name, "AccessDenied");
}

}  // namespace
}  // namespace fleetward::api::s3
