#include "alerts/http_sender.h"

#include <map>
#include <mutex>
#include <sys/socket.h>

#include <curl/curl.h>

#include "alerts/endpoint_address.h"

namespace fleetward::alerts {
namespace {

struct Transfer {
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  std::string body;
  size_t answer_left = 0;
  bool private_allowed = true;
  std::string refused;  // why the last address was
  char error[CURL_ERROR_SIZE] = {};
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

// The answer's body means nothing to us; an endless one is cut.
size_t discard(char*, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  if (bytes > transfer.answer_left) return 0;
  transfer.answer_left -= bytes;
  return bytes;
}

// After the name was resolved, before anything is sent.
curl_socket_t open_socket(void* user, curlsocktype purpose, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
  if (auto ok = check_endpoint_address(address->addr, transfer.private_allowed); !ok) {
    transfer.refused = ok.error().message;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

class CurlSender final : public HttpSender {
 public:
  explicit CurlSender(HttpSenderOptions options) : options_(std::move(options)) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi_ = curl_multi_init();
  }
  ~CurlSender() override {
    for (auto& [id, transfer] : transfers_) curl_multi_remove_handle(multi_, transfer->easy);
    transfers_.clear();
    curl_multi_cleanup(multi_);
  }

  void start(uint64_t id, HttpPost post) override {
    auto transfer = std::make_unique<Transfer>();
    transfer->easy = curl_easy_init();
    transfer->body = std::move(post.body);
    transfer->answer_left = options_.answer_bytes_max;
    transfer->private_allowed = options_.private_allowed || post.private_allowed;
    for (const std::string& header : post.headers) {
      transfer->headers = curl_slist_append(transfer->headers, header.c_str());
    }
    // No "Expect: 100-continue": endpoints are simple web servers.
    transfer->headers = curl_slist_append(transfer->headers, "Expect:");
    CURL* easy = transfer->easy;
    const Duration timeout = post.timeout.count() != 0 ? post.timeout : options_.timeout;
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_URL, post.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer.get());
    if (!transfer->private_allowed) curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PRIVATE, reinterpret_cast<void*>(id));
    // Credentials in the URL: whatever of Basic and Digest the endpoint asks for.
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC | CURLAUTH_DIGEST));
    if (!post.authorities_pem.empty()) {
      curl_easy_setopt(easy, CURLOPT_CAINFO, post.authorities_pem.c_str());
      curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    } else if (!options_.extra_authorities_pem.empty()) {
      // Replaces the system's bundle; the system's directory (CURLOPT_CAPATH) stays.
      curl_easy_setopt(easy, CURLOPT_CAINFO, options_.extra_authorities_pem.c_str());
    }
    curl_multi_add_handle(multi_, easy);
    transfers_[id] = std::move(transfer);
  }

  std::vector<std::pair<uint64_t, AttemptResult>> wait(Duration longest) override {
    int running = 0;
    curl_multi_perform(multi_, &running);
    auto ended = collect();
    if (!ended.empty()) return ended;
    curl_multi_poll(multi_, nullptr, 0, static_cast<int>(longest.count()), nullptr);
    curl_multi_perform(multi_, &running);
    return collect();
  }

  void wake() override { curl_multi_wakeup(multi_); }

 private:
  std::vector<std::pair<uint64_t, AttemptResult>> collect() {
    std::vector<std::pair<uint64_t, AttemptResult>> out;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      CURL* easy = message->easy_handle;
      void* id = nullptr;
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &id);
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      AttemptResult result;
      // A cut answer (CURLE_WRITE_ERROR) still had its status.
      if (code == CURLE_OK || code == CURLE_WRITE_ERROR) {
        result.status = static_cast<int>(status);
      } else {
        const char* detail = transfers_.at(reinterpret_cast<uint64_t>(id))->error;
        result.error = *detail != '\0' ? detail : curl_easy_strerror(code);
      }
      const auto transfer = transfers_.find(reinterpret_cast<uint64_t>(id));
      // Another address of the same name may have been fine, and only away.
      if (code == CURLE_COULDNT_CONNECT && !transfer->second->refused.empty()) {
        result.error = std::move(transfer->second->refused);
        result.is_final = true;
      }
      curl_multi_remove_handle(multi_, easy);
      transfers_.erase(transfer);
      out.emplace_back(reinterpret_cast<uint64_t>(id), std::move(result));
    }
    return out;
  }

  HttpSenderOptions options_;
  CURLM* multi_ = nullptr;
  std::map<uint64_t, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace

std::unique_ptr<HttpSender> make_http_sender(HttpSenderOptions options) {
  return std::make_unique<CurlSender>(std::move(options));
}

}  // namespace fleetward::alerts
