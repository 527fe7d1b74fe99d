#include "app/client/aws_client.h"

#include <curl/curl.h>

#include "core/encoding.h"

namespace fleetward::app {
namespace {

constexpr size_t kAnswerBytesMax = 64 << 20;

struct Answer {
  std::string body;
  bool too_large = false;
};

size_t receive(const char* data, size_t size, size_t count, void* target) {
  auto& answer = *static_cast<Answer*>(target);
  if (answer.body.size() + size * count > kAnswerBytesMax) {
    answer.too_large = true;
    return 0;
  }
  answer.body.append(data, size * count);
  return size * count;
}

ErrorCode code_of(long status) {
  switch (status) {
    case 404:
      return ErrorCode::kNotFound;
    case 409:
      return ErrorCode::kAlreadyExists;
    case 401:
    case 403:
      return ErrorCode::kPermissionDenied;
    default:
      return status >= 500 ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument;
  }
}

// The text between <tag> and </tag>, for the two tags of AWS's XML errors.
std::string element(std::string_view xml, const std::string& tag) {
  const size_t open = xml.find("<" + tag + ">");
  if (open == std::string_view::npos) return {};
  const size_t begin = open + tag.size() + 2;
  return std::string(xml.substr(begin, xml.find("</" + tag + ">", begin) - begin));
}

Error service_error(long status, const std::string& body) {
  std::string name;
  std::string message;
  if (const auto parsed = json::parse(body); parsed && parsed->is_object()) {
    const json::object& o = parsed->get_object();
    name = json::string_or(o, "__type", json::string_or(o, "code"));
    message = json::string_or(o, "message", json::string_or(o, "Message"));
  } else {
    name = element(body, "Code");
    message = element(body, "Message");
  }
  if (name.empty()) name = "HTTP " + std::to_string(status);
  return {code_of(status), name + ": " + message};
}

Result<json::object> as_object(const Result<std::string>& answer) {
  if (!answer) return fail(answer.error());
  if (answer->empty()) return json::object{};
  auto parsed = json::parse(*answer, {.bytes_max = kAnswerBytesMax});
  if (!parsed || !parsed->is_object()) return fail(ErrorCode::kMalformed, "the answer is not a JSON object");
  return std::move(parsed->get_object());
}

}  // namespace

struct AwsClient::Handle {
  CURL* curl = curl_easy_init();
  ~Handle() { curl_easy_cleanup(curl); }
};

AwsClient::AwsClient(AwsClientOptions options)
    : options_(std::move(options)), handle_(std::make_unique<Handle>()) {
  host_ = options_.endpoint_url.substr(options_.endpoint_url.find("://") + 3);
}

AwsClient::~AwsClient() = default;

Result<std::string> AwsClient::send(const Call& call) {
  identity::sigv4::Outgoing request;
  request.method = call.method;
  request.raw_path = call.path;
  request.query = call.query;
  request.headers = call.headers;
  request.headers.emplace_back("Host", host_);
  if (!call.content_type.empty()) request.headers.emplace_back("Content-Type", call.content_type);
  request.payload_hash = sha256_hex(call.body);
  identity::sigv4::sign(request, {options_.access_key_id, options_.secret_access_key, {}}, options_.region,
                        call.service, SystemClock().now());

  const std::lock_guard lock(mutex_);
  CURL* curl = handle_->curl;
  curl_easy_reset(curl);
  std::string url = options_.endpoint_url + call.path;
  if (!call.query.empty()) url += "?" + identity::sigv4::encode_query(call.query);
  curl_slist* headers = nullptr;
  for (const auto& [name, value] : request.headers)
    headers = curl_slist_append(headers, (name + ": " + value).c_str());
  headers = curl_slist_append(headers, "Expect:");
  Answer answer;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.data());
  }
  if (call.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  if (!options_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  const CURLcode outcome = curl_easy_perform(curl);
  curl_slist_free_all(headers);
  if (answer.too_large) return fail(ErrorCode::kLimitExceeded, "the answer is larger than 64 MiB");
  if (outcome != CURLE_OK) return fail(ErrorCode::kUnavailable, url + ": " + curl_easy_strerror(outcome));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 != 2) return fail(service_error(status, answer.body));
  return std::move(answer.body);
}

Result<json::object> AwsClient::rest(std::string_view service, const std::string& method,
                                     const std::string& path, const json::object& body,
                                     const Parameters& headers, const Parameters& query) {
  Call call{method, path, std::string(service), {}, {}, headers, query};
  if (!body.empty()) {
    call.body = json::serialize(body);
    call.content_type = "application/json";
  }
  return as_object(send(call));
}

Result<json::object> AwsClient::json11(std::string_view service, const std::string& target,
                                       const json::object& body) {
  return as_object(send({"POST",
                         "/",
                         std::string(service),
                         "application/x-amz-json-1.1",
                         json::serialize(body),
                         {{"X-Amz-Target", target}},
                         {}}));
}

Result<std::string> AwsClient::query(std::string_view service, const std::string& action,
                                     const std::string& version, const Parameters& parameters) {
  Parameters all{{"Action", action}, {"Version", version}};
  all.insert(all.end(), parameters.begin(), parameters.end());
  return send({"POST",
               "/",
               std::string(service),
               "application/x-www-form-urlencoded; charset=utf-8",
               identity::sigv4::encode_query(all),
               {},
               {}});
}

Result<std::string> AwsClient::s3(const std::string& method, const std::string& path, const Parameters& query,
                                  const std::string& body) {
  return send({method, path, "s3", {}, body, {}, query});
}

}  // namespace fleetward::app
