#include "lake/remote_store.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include <curl/curl.h>

#include "core/encoding.h"
#include "identity/sigv4.h"
#include "lake/remote_answer.h"

namespace fleetward::lake {
namespace {

// Of an answer's body, only the beginning is kept: it is an error document.
constexpr size_t kAnswerBytesMax = 16 * 1024;

using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;
using HeaderList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

size_t keep_answer(char* bytes, size_t size, size_t count, void* to) {
  auto& answer = *static_cast<std::string*>(to);
  answer.append(bytes, std::min(size * count, kAnswerBytesMax - std::min(kAnswerBytesMax, answer.size())));
  return size * count;
}

HeaderList to_list(const identity::sigv4::Pairs& headers) {
  curl_slist* list = nullptr;
  for (const auto& [name, value] : headers) list = curl_slist_append(list, (name + ": " + value).c_str());
  list = curl_slist_append(list, "Expect:");  // no waiting for "100 Continue"
  return {list, curl_slist_free_all};
}

}  // namespace

struct RemoteStore::Impl {
  Impl(RemoteStoreOptions options_in, Metrics& metrics)
      : options(std::move(options_in)),
        puts(metrics.counter("fleetward_lake_remote_puts_total", "Objects put into the outside S3")),
        retries(metrics.counter("fleetward_lake_remote_retries_total",
                                "Attempts at the outside S3 that were made again")),
        failures(metrics.counter("fleetward_lake_remote_failures_total",
                                 "Puts into the outside S3 that were given up")) {}

  Handle borrow() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return {curl_easy_init(), curl_easy_cleanup};
    Handle handle = std::move(idle.back());
    idle.pop_back();
    return handle;
  }
  void give_back(Handle handle) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }

  identity::sigv4::Outgoing signed_request(const char* method, const RemoteTarget& target,
                                           const Object* object);
  void configure(CURL* handle, const RemoteTarget& target);
  Status attempt(const char* method, const std::string& bucket, const std::string& key, const Object* object);
  Status send(const char* method, const std::string& bucket, const std::string& key, const Object* object);

  const RemoteStoreOptions options;
  const SystemClock clock;
  prometheus::Counter& puts;
  prometheus::Counter& retries;
  prometheus::Counter& failures;
  std::mutex mutex;
  std::vector<Handle> idle;  // as many as threads put at the same time
};

identity::sigv4::Outgoing RemoteStore::Impl::signed_request(const char* method, const RemoteTarget& target,
                                                            const Object* object) {
  identity::sigv4::Outgoing request;
  request.method = method;
  request.raw_path = target.raw_path;
  request.headers = {{"Host", target.host}};
  request.payload_hash = std::string(identity::sigv4::kEmptySha256);
  if (object != nullptr) {
    request.payload_hash = sha256_hex(object->bytes);
    request.headers.emplace_back(
        "Content-Type", object->content_type.empty() ? "application/octet-stream" : object->content_type);
    if (!object->content_encoding.empty()) {
      request.headers.emplace_back("Content-Encoding", object->content_encoding);
    }
  }
  identity::sigv4::sign(request, {options.access_key_id, options.secret_access_key, options.session_token},
                        options.region, "s3", clock.now());
  return request;
}

void RemoteStore::Impl::configure(CURL* handle, const RemoteTarget& target) {
  curl_easy_reset(handle);  // keeps connections
  curl_easy_setopt(handle, CURLOPT_URL, target.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "fleetward");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(options.request_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.bytes_per_second_min));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                   std::max(1L, static_cast<long>(options.request_timeout.count() / 4000)));
  if (!options.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
}

Status RemoteStore::Impl::attempt(const char* method, const std::string& bucket, const std::string& key,
                                  const Object* object) {
  const RemoteTarget target = remote_target(options.endpoint, options.path_style, bucket, key);
  const std::string what = std::string(method) + " " + target.url;
  Handle handle = borrow();
  if (!handle) return fail(ErrorCode::kInternal, "libcurl gives no handle");
  configure(handle.get(), target);
  const auto request = signed_request(method, target, object);
  const HeaderList headers = to_list(request.headers);
  std::string answer;
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, keep_answer);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &answer);
  if (object == nullptr) {
    curl_easy_setopt(handle.get(), CURLOPT_NOBODY, 1L);
  } else {
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(object->bytes.size()));
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, object->bytes.empty() ? "" : object->bytes.data());
    curl_easy_setopt(handle.get(), CURLOPT_CUSTOMREQUEST, method);
  }
  const CURLcode result = curl_easy_perform(handle.get());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, nullptr);
  give_back(std::move(handle));
  if (result != CURLE_OK) {
    return fail(ErrorCode::kUnavailable,
                what + ": " + (*reason != '\0' ? reason : curl_easy_strerror(result)));
  }
  if (status / 100 == 2) return {};
  return fail(classify_answer(what, status, answer));
}

Status RemoteStore::Impl::send(const char* method, const std::string& bucket, const std::string& key,
                               const Object* object) {
  Duration pause = options.first_backoff;
  for (int attempts = 1;; ++attempts) {
    Status status = attempt(method, bucket, key, object);
    if (status || attempts >= options.attempts_max || !may_pass(status.error().code)) return status;
    retries.Increment();
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

RemoteStore::RemoteStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RemoteStore::~RemoteStore() = default;

Result<std::unique_ptr<RemoteStore>> RemoteStore::create(RemoteStoreOptions options, Metrics& metrics) {
  if (auto ok = check_endpoint(options.endpoint); !ok) return fail(ok.error());
  if (options.access_key_id.empty() || options.secret_access_key.empty() || options.region.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "the outside S3 needs a region, an access key id and a secret access key");
  }
  if (options.attempts_max < 1 || options.connect_timeout.count() <= 0 ||
      options.request_timeout.count() <= 0) {
    return fail(ErrorCode::kInvalidArgument,
                "the outside S3 needs at least one attempt and positive timeouts");
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);  // counted by libcurl
  return std::unique_ptr<RemoteStore>(new RemoteStore(std::make_unique<Impl>(std::move(options), metrics)));
}

Status RemoteStore::put(const Object& object) {
  if (object.bytes.size() > impl_->options.object_bytes_max) {
    return fail(ErrorCode::kLimitExceeded, "the object " + object.key + " is larger than " +
                                               std::to_string(impl_->options.object_bytes_max) + " bytes");
  }
  Status status = impl_->send("PUT", object.bucket, object.key, &object);
  (status ? impl_->puts : impl_->failures).Increment();
  return status;
}

Status RemoteStore::check_bucket(const std::string& bucket) {
  return impl_->send("HEAD", bucket, "", nullptr);
}

}  // namespace fleetward::lake
