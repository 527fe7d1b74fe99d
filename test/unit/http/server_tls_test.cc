#include <arpa/inet.h>
#include <cstdio>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/encoding.h"
#include "http/server.h"

namespace fleetward::http {
namespace {

class WhoHandler final : public Handler {
 public:
  std::unique_ptr<Response> before_body(const RequestHead&, uint64_t&) override { return nullptr; }
  Response handle(Request request) override {
    Response out;
    out.body = (request.tls ? "tls " : "plain ") + request.client_certificate_id;
    return out;
  }
};

std::string id_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509(certificate, &der);
  std::string hex = sha256_hex({reinterpret_cast<char*>(der), static_cast<size_t>(length)});
  OPENSSL_free(der);
  return hex;
}

struct Identity {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  explicit Identity(long valid_from, long valid_until) {
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), valid_from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), valid_until);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_sign(certificate, key, EVP_sha256());
  }
  ~Identity() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Identity(const Identity&) = delete;
  std::string id() const { return id_of(certificate); }
  TlsFiles save(const std::string& prefix) const {
    TlsFiles files{prefix + ".crt", prefix + ".key"};
    std::FILE* file = std::fopen(files.certificate_chain_pem.c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(files.private_key_pem.c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    return files;
  }
};

// One request over TLS; empty if the connection was refused. `served`: the id of the server's certificate.
std::string ask(const std::string& address, const Identity* identity, std::string* served = nullptr) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (identity != nullptr) {
    SSL_CTX_use_certificate(context, identity->certificate);
    SSL_CTX_use_PrivateKey(context, identity->key);
  }
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, socket);
  std::string out;
  if (SSL_connect(ssl) == 1) {
    const std::string request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    SSL_write(ssl, request.data(), static_cast<int>(request.size()));
    char buffer[4096];
    for (int n = 0; (n = SSL_read(ssl, buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    if (!out.empty()) out = out.substr(out.find("\r\n\r\n") + 4);
    if (served != nullptr) {
      X509* certificate = SSL_get1_peer_certificate(ssl);
      *served = id_of(certificate);
      X509_free(certificate);
    }
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  ::close(socket);
  return out;
}

TEST(ServerTls, ReportsTheClientsCertificate) {
  Logger logger = Logger::none();
  Metrics metrics;
  Server server({}, std::make_shared<WhoHandler>(), logger, metrics);
  const Identity self(-60, 3600);
  const TlsFiles files = self.save(testing::TempDir() + "fleetward-http-tls");
  const auto address = server.listen("127.0.0.1:0", &files);
  ASSERT_TRUE(address) << address.error().message;
  EXPECT_EQ(ask(*address, nullptr), "tls ");
  const Identity device(-60, 3600), expired(-7200, -3600), early(3600, 7200);
  EXPECT_EQ(ask(*address, &device), "tls " + device.id());
  EXPECT_EQ(ask(*address, &expired), "");
  EXPECT_EQ(ask(*address, &early), "");

  const TlsFiles nothing{"/nonexistent", "/nonexistent"};
  EXPECT_FALSE(server.listen("127.0.0.1:0", &nothing));
}

TEST(ServerTls, ShowsANewCertificateWhenTold) {
  Logger logger = Logger::none();
  Metrics metrics;
  Server server({}, std::make_shared<WhoHandler>(), logger, metrics);
  const std::string prefix = testing::TempDir() + "fleetward-http-renewed";
  const Identity old(-60, 3600), renewed(-60, 7200);
  const TlsFiles files = old.save(prefix);
  const auto address = server.listen("127.0.0.1:0", &files);
  ASSERT_TRUE(address) << address.error().message;
  const auto served = [&] {
    std::string id;
    EXPECT_EQ(ask(*address, nullptr, &id), "tls ");
    return id;
  };
  EXPECT_EQ(served(), old.id());
  renewed.save(prefix);
  EXPECT_EQ(served(), old.id());
  ASSERT_TRUE(server.reload_certificates());
  EXPECT_EQ(served(), renewed.id());
  std::remove(files.private_key_pem.c_str());
  EXPECT_FALSE(server.reload_certificates());
  EXPECT_EQ(served(), renewed.id());
}

}  // namespace
}  // namespace fleetward::http
