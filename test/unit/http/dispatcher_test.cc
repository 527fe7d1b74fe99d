#include "http/dispatcher.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "http/answers.h"

namespace fleetward::http {
namespace {

// Requests and answers as text: dispatcher/cases.txt. "> " lines are the request line and headers, then the
// body; "< " is status, content type and the error name of the header; then the body ("ID" stands for the
// request id), not compared if the case has none.
struct Case {
  std::string name, sign, certificate, method, target, body, expect, expect_body;
  std::vector<std::pair<std::string, std::string>> headers;
};

std::vector<Case> read_cases() {
  std::ifstream in(std::string(FLEETWARD_TEST_DATA) + "/dispatcher/cases.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("=== ")) {
      cases.emplace_back();
      cases.back().name = line.substr(4);
      continue;
    }
    Case& c = cases.back();
    if (line.starts_with("sign: ")) {
      c.sign = line.substr(6);
    } else if (line.starts_with("certificate: ")) {
      c.certificate = line.substr(13);
    } else if (line.starts_with("> ") && c.method.empty()) {
      c.method = line.substr(2, line.find(' ', 2) - 2);
      c.target = line.substr(line.find(' ', 2) + 1);
    } else if (line.starts_with("> ")) {
      const size_t colon = line.find(": ");
      c.headers.emplace_back(line.substr(2, colon - 2), line.substr(colon + 2));
    } else if (line.starts_with("< ")) {
      c.expect = line.substr(2);
    } else {
      (c.expect.empty() ? c.body : c.expect_body) += line;
    }
  }
  return cases;
}

class TextBody final : public Body {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  uint64_t size() const override { return text_.size(); }
  Result<std::string> text() const override { return text_; }
  Result<std::string> read(uint64_t position, size_t count) const override {
    return text_.substr(position, std::min<size_t>(count, 3));  // small pieces on purpose
  }

 private:
  std::string text_;
};

class FakeKeys final : public CredentialLookup {
 public:
  std::optional<identity::Credentials> find(std::string_view id) const override {
    if (id != "AKIDALICE") return std::nullopt;
    identity::Caller alice{identity::Caller::Kind::kUser,
                           "arn:aws:iam::123456789012:user/alice",
                           "AIDA",
                           "123456789012",
                           "alice",
                           "AKIDALICE"};
    return identity::Credentials{"secret", "", {}, alice};
  }
};

class FakeUpload final : public S3Upload {
 public:
  explicit FakeUpload(const S3Request& request) : request_(request) {}
  ApiStatus append(std::string_view bytes) override {
    body_ += bytes;
    return {};
  }
  ApiResult<Response> finish(const Headers& trailers) override {
    Response out;
    out.body = "taken from " + request_.caller.arn + ": " + body_ +
               std::string(trailers.get("x-amz-checksum-crc32"));
    return out;
  }

 private:
  const S3Request& request_;
  std::string body_;
};

class FakeS3 final : public S3Handler {
 public:
  uint64_t body_bytes_max(const RequestHead&) const override { return 100; }
  std::string_view operation(const RequestHead&) const override { return "PutObject"; }
  ApiResult<Response> handle(S3Request& request) override {
    std::string body;
    for (;;) {
      auto piece = request.body->next();
      if (!piece) return tl::unexpected<ApiError>(piece.error());
      if (piece->empty()) break;
      body += *piece;
    }
    Response out;
    out.headers.add("Content-Type", "text/plain");
    out.body = request.method + " " + request.path + " by " +
               (request.caller.arn.empty() ? "nobody" : request.caller.arn) + ": " + body;
    EXPECT_FALSE(request.context->find("aws:SourceIp").empty());
    return out;
  }
  bool is_upload(const RequestHead& head) const override { return head.method == "PUT"; }
  ApiResult<std::unique_ptr<S3Upload>> begin_upload(S3Request& request) override {
    if (request.path == "/b/denied") return api_fail(403, "AccessDenied", "");
    return std::make_unique<FakeUpload>(request);
  }
  Response refuse(const RequestHead&, const ApiError& error, const std::string&) const override {
    Response out;
    out.status = error.status;
    out.headers.add("Content-Type", "text/plain");
    out.body = error.name;
    return out;
  }
};

ApiResult<json::object> echo(const Call&, const json::object& arguments) {
  return arguments;
}

// Knows the member "known" and what is under "list"; anything else is named and nothing done.
ApiResult<json::object> picky(const Call&, const json::object& arguments) {
  ApiError error{400, "InvalidRequestException", "unknown", {}};
  for (const auto& member : arguments) {
    if (member.key() != "known" && member.key() != "list" && member.key() != "thingName") {
      error.unknown_members.push_back("/" + std::string(member.key()));
    }
  }
  // As if it read the list in a second step.
  const json::array* list = error.unknown_members.empty() ? json::find_array(arguments, "list") : nullptr;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    if ((*list)[i].get_object().contains("a/~b")) {
      error.unknown_members.push_back("/list/" + std::to_string(i) + "/a~1~0b");
    }
  }
  if (!error.unknown_members.empty()) return tl::unexpected<ApiError>(error);
  return arguments;
}

Service iot_service() {
  using From = Binding::From;
  using Type = Binding::Type;
  Service iot{.signing_name = "iot", .protocol = Protocol::kRestJson};
  iot.operations.push_back({.name = "Kind",
                            .method = "POST",
                            .uri = "/things/{thing}/kind",
                            .bindings = {{From::kPath, "thing", "thingName"},
                                         {From::kQuery, "maxResults", "maxResults", Type::kInteger},
                                         {From::kQuery, "flag", "flag", Type::kBoolean},
                                         {From::kQuery, "names", "names", Type::kStringList},
                                         {From::kHeader, "x-amzn-principal", "principal"}},
                            .run = echo});
  iot.operations.push_back({.name = "Label", .method = "GET", .uri = "/things/{thingName}", .run = echo});
  iot.operations.push_back({.name = "Literal",
                            .method = "GET",
                            .uri = "/things/special",
                            .run = [](const Call&, const json::object&) -> ApiResult<json::object> {
                              return json::object{{"literal", true}};
                            }});
  iot.operations.push_back({.name = "Publish",
                            .method = "POST",
                            .uri = "/topics/{topic+}",
                            .raw_payload = true,
                            .run = [](const Call& call, const json::object& a) -> ApiResult<json::object> {
                              json::object out = a;
                              out["payload"] = boost::json::string(call.payload.data(), call.payload.size());
                              return out;
                            }});
  iot.operations.push_back(
      {.name = "ListAuditTasks", .method = "GET", .uri = "/audit/tasks", .implemented = false});
  iot.operations.push_back({.name = "DeleteThing",
                            .method = "DELETE",
                            .uri = "/things/{thingName}",
                            .run = [](const Call&, const json::object&) -> ApiResult<json::object> {
                              return api_fail(409, "ResourceAlreadyExistsException", "taken",
                                              {{"resourceArn", "arn:x"}});
                            }});
  iot.operations.push_back({.name = "Picky", .method = "POST", .uri = "/picky/{thingName}", .run = picky});
  iot.operations.push_back({.name = "GetSecret",
                            .method = "GET",
                            .uri = "/secret",
                            .resource = [](const json::object&) { return "arn:secret"; },
                            .run = echo});
  return iot;
}

Service sns_service() {
  Service sns{.signing_name = "sns",
              .protocol = Protocol::kQuery,
              .xml_namespace = "http://sns.amazonaws.com/doc/2010-03-31/"};
  sns.operations.push_back({.name = "Echo", .run = echo});
  sns.operations.push_back({.name = "ConfirmSubscription", .run = echo, .allow_unsigned = true});
  sns.operations.push_back(
      {.name = "Attributes", .run = [](const Call&, const json::object&) -> ApiResult<json::object> {
         return json::object{{"Attributes", {{"$map", {{"Owner", "<me>"}}}}}};
       }});
  return sns;
}

class DispatcherTest : public testing::Test {
 protected:
  explicit DispatcherTest(bool ignore_unknown_members = false)
      : dispatcher(
            {.account = {AccountId::trusted("123456789012"), "eu-west-1"},
             .ignore_unknown_members = ignore_unknown_members},
            keys,
            [](const identity::Caller& caller, std::string_view action, std::string_view resource,
               const identity::RequestContext&) -> Status {
              if (action != "iot:GetSecret") return {};
              return fail(ErrorCode::kPermissionDenied,
                          "User: " + caller.arn + " is not authorized to perform: " + std::string(action) +
                              " on resource: " + std::string(resource));
            },
            clock, random, logger, metrics) {
    dispatcher.add_service(iot_service());
    Service firehose{
        .signing_name = "firehose", .protocol = Protocol::kJson11, .target_prefix = "Firehose_20150804"};
    firehose.operations.push_back({.name = "Echo", .run = echo});
    dispatcher.add_service(firehose);
    firehose.operations = missing_operations({"StartDeliveryStreamEncryption"});
    dispatcher.add_service(firehose);
    dispatcher.add_service(sns_service());
    dispatcher.set_s3(s3);
    dispatcher.add_public("/health", [](const RequestHead&) {
      Response out;
      out.headers.add("Content-Type", "text/plain");
      out.body = "fine";
      return out;
    });
    dispatcher.set_certificate_publish(
        [](const RequestHead& head, std::string_view topic, std::string payload) {
          Response out;
          out.headers.add("Content-Type", "text/plain");
          out.body = head.client_certificate_id + " publishes " + payload + " to " + std::string(topic);
          return out;
        });
  }

  Request request_of(const Case& c) const {
    Request request;
    request.method = c.method;
    EXPECT_TRUE(parse_target(c.target, request));
    request.peer_address = "192.0.2.7";
    request.client_certificate_id = c.certificate;
    for (const auto& [name, value] : c.headers) request.headers.add(name, value);
    request.headers.add("Host", "localhost");
    request.body = std::make_unique<TextBody>(c.body);
    request.content_length = c.body.size();
    if (c.sign.empty()) return request;
    const std::string service = c.sign.substr(0, c.sign.find(' '));
    identity::sigv4::Outgoing out{c.method, request.raw_path, {}, request.headers.all(), sha256_hex(c.body)};
    for (const auto& parameter : request.query) out.query.emplace_back(parameter.name, parameter.value);
    const bool wrong = c.sign.ends_with(" wrong"), unknown = c.sign.ends_with(" unknown");
    identity::sigv4::sign(out, {unknown ? "AKIDX" : "AKIDALICE", wrong ? "other" : "secret", ""}, "eu-west-1",
                          service, clock.now());
    request.headers = Headers();
    for (const auto& [name, value] : out.headers) request.headers.add(name, value);
    return request;
  }

  Response answer(Request request) {
    uint64_t bound = 1 << 20;
    if (auto refused = dispatcher.before_body(request, bound)) return std::move(*refused);
    return dispatcher.handle(std::move(request));
  }

  FakeKeys keys;
  FakeS3 s3;
  ManualClock clock;
  SeededRandom random{1};
  Logger logger = Logger::none();
  Metrics metrics;
  Dispatcher dispatcher;
};

TEST_F(DispatcherTest, Cases) {
  for (const Case& c : read_cases()) {
    const Response response = answer(request_of(c));
    std::string got =
        std::to_string(response.status) + " " + std::string(response.headers.get("content-type"));
    if (response.headers.has("x-amzn-errortype")) {
      got += " " + std::string(response.headers.get("x-amzn-errortype"));
    }
    EXPECT_EQ(got, c.expect) << c.name << "\n" << response.body;
    std::string body = response.body;
    if (const size_t at = body.find("<RequestId>"); at != std::string::npos) {
      EXPECT_EQ(body.substr(at + 11, 36), response.headers.get("x-amzn-requestid")) << c.name;
      body.replace(at + 11, 36, "ID");
    }
    if (!c.expect_body.empty()) {
      EXPECT_EQ(body, c.expect_body) << c.name;
    }
  }
}

constexpr std::string_view kWithUnknown = R"({"known":1,"x":2,"list":[{"b":3},{"a/~b":4,"c":5}]})";

Case picky_case(std::string_view query = "") {
  Case c;
  c.sign = "iot";
  c.method = "POST";
  c.target = "/picky/pump" + std::string(query);
  c.body = kWithUnknown;
  return c;
}

TEST_F(DispatcherTest, UnknownMembersAreRefused) {
  const Response response = answer(request_of(picky_case()));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, R"({"message":"unknown"})");
  EXPECT_EQ(metrics.scrape().find("unknown_members_total{service=\"iot\"} 1"), std::string::npos);
}

class ForgivingDispatcherTest : public DispatcherTest {
 protected:
  ForgivingDispatcherTest() : DispatcherTest(true) {}
};

TEST_F(ForgivingDispatcherTest, UnknownMembersAreLeftOut) {
  const Response response = answer(request_of(picky_case("?y=1&z=2")));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"known":1,"thingName":"pump","list":[{"b":3},{"c":5}]})");
  const std::string shown = metrics.scrape();
  EXPECT_NE(shown.find("fleetward_api_unknown_members_total{service=\"iot\"} 4"), std::string::npos) << shown;
  EXPECT_NE(shown.find("fleetward_api_unknown_members_total{service=\"sns\"} 0"), std::string::npos) << shown;
}

TEST_F(DispatcherTest, BoundsOfBodies) {
  Case c{.sign = "s3", .method = "PUT", .target = "/b/k", .body = "x"};
  uint64_t bound = 0;
  EXPECT_FALSE(dispatcher.before_body(request_of(c), bound));
  EXPECT_EQ(bound, 100u);
  c.sign = "s3 wrong";
  EXPECT_TRUE(dispatcher.before_body(request_of(c), bound));
  c.sign = "iot";
  EXPECT_FALSE(dispatcher.before_body(request_of(c), bound));
  EXPECT_EQ(bound, 1u << 20);
}

TEST_F(DispatcherTest, WrongBodyHashOfS3) {
  Request request = request_of({.sign = "s3", .method = "PUT", .target = "/b/k", .body = "hello"});
  request.body = std::make_unique<TextBody>("other");
  EXPECT_EQ(answer(std::move(request)).body, "XAmzContentSHA256Mismatch");
}

TEST_F(DispatcherTest, UploadsAreTakenAsTheyArrive) {
  const Request request = request_of({.sign = "s3", .method = "PUT", .target = "/b/k", .body = "hello"});
  const auto taker = dispatcher.taker(request);
  ASSERT_TRUE(taker);
  EXPECT_FALSE(taker->take(""));
  EXPECT_FALSE(taker->take("hel"));
  EXPECT_FALSE(taker->take("lo"));
  EXPECT_EQ(taker->finish().body, "taken from arn:aws:iam::123456789012:user/alice: hello");
  const auto wrong = dispatcher.taker(request);
  EXPECT_FALSE(wrong->take("other"));
  EXPECT_EQ(wrong->finish().body, "XAmzContentSHA256Mismatch");
}

TEST_F(DispatcherTest, UploadsAreRefusedBeforeTheirBody) {
  const auto denied =
      dispatcher.taker(request_of({.sign = "s3", .method = "PUT", .target = "/b/denied", .body = "x"}));
  EXPECT_EQ(denied->take("")->body, "AccessDenied");
  const auto wrong =
      dispatcher.taker(request_of({.sign = "s3 wrong", .method = "PUT", .target = "/b/k", .body = "x"}));
  EXPECT_EQ(wrong->take("")->body, "SignatureDoesNotMatch");
  EXPECT_FALSE(dispatcher.taker(request_of({.sign = "s3", .method = "GET", .target = "/b/k"})));
  EXPECT_FALSE(dispatcher.taker(request_of({.sign = "iot", .method = "GET", .target = "/things/special"})));
}

TEST_F(DispatcherTest, CountsAndServesMetrics) {
  answer(request_of({.sign = "iot", .method = "GET", .target = "/things/special"}));
  answer(request_of({.sign = "iot", .method = "GET", .target = "/secret"}));
  const std::string text = answer(request_of({.method = "GET", .target = "/metrics"})).body;
  EXPECT_NE(text.find("fleetward_api_requests_total{result=\"ok\",service=\"iot\"} 1"), std::string::npos);
  EXPECT_NE(text.find("fleetward_api_requests_total{result=\"refused\",service=\"iot\"} 1"),
            std::string::npos);
  Request over_tls = request_of({.method = "GET", .target = "/metrics"});
  over_tls.tls = true;
  EXPECT_EQ(answer(std::move(over_tls)).status, 403);
}

TEST_F(DispatcherTest, Refusals) {
  const Request s3_request = request_of({.sign = "s3", .method = "PUT", .target = "/b/k"});
  EXPECT_EQ(dispatcher.refusal(s3_request, Refusal::kOverloaded).body, "SlowDown");
  const Request api_request = request_of({.sign = "iot", .method = "GET", .target = "/things/special"});
  const Response busy = dispatcher.refusal(api_request, Refusal::kOverloaded);
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.headers.get("x-amzn-errortype"), "ServiceUnavailableException");
}

TEST_F(DispatcherTest, Reference) {
  const std::string text = operations_reference(dispatcher.services());
  EXPECT_NE(text.find("| Kind | `POST /things/{thing}/kind` |"), std::string::npos);
  EXPECT_NE(text.find("refused by name: StartDeliveryStreamEncryption."), std::string::npos);
}

}  // namespace
}  // namespace fleetward::http
