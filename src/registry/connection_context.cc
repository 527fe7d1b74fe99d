#include "registry/connection_context.h"

#include "core/text.h"
#include "core/time.h"
#include "identity/authorizer.h"

namespace fleetward::registry {
namespace {

constexpr size_t kFieldValuesMax = 5;         // of one certificate field
constexpr size_t kFieldCharactersMax = 1024;  // longer values are not substituted
constexpr std::string_view kAttributes = "iot:connection.thing.attributes[";

// Such a value could turn a resource into a wider one when it becomes part of a topic filter.
bool substitutable(const std::string& value) {
  return value.size() <= kFieldCharactersMax && value.find_first_of("*$+?#") == std::string::npos;
}

bool starts_with_ignore_case(std::string_view text, std::string_view lower_prefix) {
  return equal_ignoring_case(text.substr(0, lower_prefix.size()), lower_prefix);
}

}  // namespace

ConnectionContext::ConnectionContext(const DeviceConnection& connection, const Certificate* certificate,
                                     const Thing* thing, bool attached)
    : thing_(thing) {
  if (!connection.client_id.empty()) {
    values_.set("iot:ClientId", connection.client_id);
    values_.set("iot:Connection.Thing.IsAttached", attached ? "true" : "false");
  }
  if (!connection.source_address.empty()) values_.set("aws:SourceIp", connection.source_address);
  if (connection.caller) identity::add_caller(values_, *connection.caller);
  if (!connection.server_name.empty()) values_.set("iot:DomainName", connection.server_name);
  if (connection.now.ms != 0) {
    values_.set("aws:CurrentTime", to_iso8601(connection.now));
    values_.set("aws:EpochTime", std::to_string(connection.now.ms / 1000));
  }
  std::vector<std::string> attributes;
  if (connection.persistent) attributes.emplace_back("PersistentConnect");
  if (connection.last_will) attributes.emplace_back("LastWill");
  if (!attributes.empty()) values_.set_list("iot:ConnectAttributes", std::move(attributes));
  if (thing != nullptr) {
    values_.set("iot:Connection.Thing.ThingName", thing->name);
    if (!thing->type.empty()) values_.set("iot:Connection.Thing.ThingTypeName", thing->type);
  }
  if (certificate != nullptr) add_certificate(*certificate);
}

void ConnectionContext::add_certificate(const Certificate& certificate) {
  values_.set("iot:CertificateId", certificate.facts.id.str());
  values_.set("iot:Certificate.SerialNumber", certificate.facts.serial_number);
  std::vector<std::string> available;
  add_fields("Subject.", certificate.facts.subject, available);
  add_fields("Issuer.", certificate.facts.issuer, available);
  available.emplace_back("SerialNumber");
  values_.set_list("iot:Certificate.AvailableKeys", std::move(available));
}

void ConnectionContext::add_fields(const std::string& prefix, const CertificateFields& fields,
                                   std::vector<std::string>& available) {
  for (const auto& [name, values] : fields) {
    const std::string key = "iot:Certificate." + prefix + name;
    std::vector<std::string> list;
    for (size_t i = 0; i < values.size() && i < kFieldValuesMax; ++i) {
      if (!substitutable(values[i])) continue;
      // The plain name is the first value, ".1" the second, and so on.
      values_.set(i == 0 ? key : key + "." + std::to_string(i), values[i]);
      list.push_back(values[i]);
    }
    if (list.empty()) continue;
    values_.set_list(key + ".List", std::move(list));
    available.push_back(prefix + name);
  }
}

std::span<const std::string> ConnectionContext::find(std::string_view key) const {
  if (!starts_with_ignore_case(key, kAttributes)) return values_.find(key);
  // Names of attributes, unlike keys, differ by case.
  if (thing_ == nullptr || key.back() != ']') return {};
  const auto it = thing_->attributes.find(
      std::string(key.substr(kAttributes.size(), key.size() - kAttributes.size() - 1)));
  if (it == thing_->attributes.end()) return {};
  return {&it->second, 1};
}

}  // namespace fleetward::registry
