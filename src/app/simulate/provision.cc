#include "app/simulate/provision.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/encoding.h"
#include "core/files.h"
#include "core/json.h"

namespace fleetward::app::simulate {
namespace {

std::string path_of(const std::string& directory, const std::string& thing, const char* suffix) {
  return directory + "/" + thing + suffix;
}

std::string thing_name(const ProvisionOptions& options, size_t number) {
  char digits[24];
  std::snprintf(digits, sizeof(digits), "%04zu", number);
  return options.name_prefix + digits;
}

bool harmless(const Error& error) {
  return error.code == ErrorCode::kAlreadyExists || error.code == ErrorCode::kConflict;
}

Status ensure(Result<json::object> answer) {
  if (!answer && !harmless(answer.error())) return fail(answer.error());
  return {};
}

Status create_shared(AwsClient& client, const ProvisionOptions& options) {
  const json::object policy{{"policyDocument", device_policy_document()}};
  if (auto ok = ensure(client.rest("iot", "POST", "/policies/" + percent_encode(options.policy), policy));
      !ok)
    return ok;
  if (options.group.empty()) return {};
  return ensure(client.rest("iot", "POST", "/thing-groups/" + percent_encode(options.group)));
}

// Thing, keys and certificate, policy, principal, group; then the files.
Result<DeviceCredentials> create_device(AwsClient& client, const ProvisionOptions& options,
                                        const std::string& thing) {
  const std::string thing_path = "/things/" + percent_encode(thing);
  if (auto ok = ensure(client.rest("iot", "POST", thing_path)); !ok) return fail(ok.error());
  const auto certificate =
      client.rest("iot", "POST", "/keys-and-certificate", {}, {}, {{"setAsActive", "true"}});
  if (!certificate) return fail(certificate.error());
  const std::string arn(json::string_or(*certificate, "certificateArn"));
  const json::object* keys = json::find_object(*certificate, "keyPair");
  if (arn.empty() || keys == nullptr)
    return fail(ErrorCode::kInternal, "CreateKeysAndCertificate answered without keys");
  if (auto ok =
          client.rest("iot", "PUT", "/target-policies/" + percent_encode(options.policy), {{"target", arn}});
      !ok) {
    return fail(ok.error());
  }
  if (auto ok = client.rest("iot", "PUT", thing_path + "/principals", {}, {{"x-amzn-principal", arn}}); !ok) {
    return fail(ok.error());
  }
  if (!options.group.empty()) {
    const json::object member{{"thingName", thing}, {"thingGroupName", options.group}};
    if (auto ok = client.rest("iot", "PUT", "/thing-groups/addThingToThingGroup", member); !ok)
      return fail(ok.error());
  }
  DeviceCredentials device{thing, path_of(options.directory, thing, ".pem"),
                           path_of(options.directory, thing, ".key")};
  // The certificate last: its presence says that the device is complete.
  if (auto ok = write_file(device.key_file, json::string_or(*keys, "PrivateKey"), 0600); !ok)
    return fail(ok.error());
  if (auto ok = write_file(device.certificate_file, json::string_or(*certificate, "certificatePem"), 0644);
      !ok) {
    return fail(ok.error());
  }
  return device;
}

}  // namespace

std::string device_policy_document() {
  const std::string thing = "${iot:Connection.Thing.ThingName}";
  const auto statement = [](std::string_view action, json::array resources) {
    return json::object{{"Effect", "Allow"}, {"Action", action}, {"Resource", std::move(resources)}};
  };
  const std::string topics = "arn:aws:iot:*:*:topic/";
  const std::string filters = "arn:aws:iot:*:*:topicfilter/";
  const std::string reports = "$aws/things/" + thing + "/defender/metrics/*";
  const std::string own = "fleet/" + thing + "/*";
  return json::serialize(json::object{
      {"Version", "2012-10-17"},
      {"Statement", json::array{statement("iot:Connect", {"arn:aws:iot:*:*:client/" + thing}),
                                statement("iot:Publish", {topics + reports, topics + own}),
                                statement("iot:Receive", {topics + reports, topics + own}),
                                statement("iot:Subscribe", {filters + reports, filters + own})}}});
}

Result<std::vector<DeviceCredentials>> provision(AwsClient& client, const ProvisionOptions& options) {
  if (auto ok = make_directory(options.directory, 0700); !ok) return fail(ok.error());
  if (auto ok = create_shared(client, options); !ok) return fail(ok.error());
  std::vector<DeviceCredentials> devices;
  for (size_t i = 1; i <= options.count; ++i) {
    const std::string thing = thing_name(options, i);
    DeviceCredentials existing{thing, path_of(options.directory, thing, ".pem"),
                               path_of(options.directory, thing, ".key")};
    // Files of another server's devices are of no use: the thing must be there too.
    if (std::filesystem::exists(existing.certificate_file) &&
        client.rest("iot", "GET", "/things/" + percent_encode(thing))) {
      devices.push_back(std::move(existing));
    } else {
      auto device = create_device(client, options, thing);
      if (!device) return fail(device.error().code, thing + ": " + device.error().message);
      devices.push_back(std::move(*device));
    }
    if (options.progress) options.progress(i);
  }
  return devices;
}

Result<std::vector<DeviceCredentials>> credentials_in(const std::string& directory, size_t count) {
  std::error_code error;
  std::vector<DeviceCredentials> devices;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto& file = entry.path();
    if (file.extension() != ".pem") continue;
    auto key = file;
    key.replace_extension(".key");
    if (std::filesystem::exists(key)) devices.push_back({file.stem(), file, key});
  }
  if (error) return fail(ErrorCode::kNotFound, directory + ": " + error.message());
  if (devices.empty())
    return fail(ErrorCode::kNotFound, directory + " holds no <thing>.pem with its <thing>.key");
  std::sort(devices.begin(), devices.end(),
            [](const auto& a, const auto& b) { return a.thing_name < b.thing_name; });
  if (count > 0 && devices.size() > count) devices.resize(count);
  return devices;
}

}  // namespace fleetward::app::simulate
