#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "identity/caller.h"
#include "identity/identities.h"
#include "registry/tables.h"
#include "state/store.h"

// What the broker asks about a connection: is this certificate known and active, which thing is it, and what
// may it do. Everything is a pure function of a snapshot.
namespace fleetward::registry {

enum class DeviceStatus { kActive, kUnknown, kNotActive };

enum class DeviceAction { kConnect, kPublish, kRetainPublish, kSubscribe, kReceive };

// Who is connecting, as far as policies may ask.
struct DeviceConnection {
  std::string certificate_id;  // of a verified mutual-TLS peer; else empty
  // Who signed the request for a WebSocket: the policies of that user or role stand for a certificate's.
  std::shared_ptr<const identity::Caller> caller;
  std::string named_policy;    // plain listener: the IoT policy that stands for a certificate's; else empty
  std::string client_id;       // empty for HTTPS publish: ${iot:ClientId} and thing variables do not resolve
  std::string source_address;  // "192.0.2.7"
  std::string server_name;     // SNI, or empty (iot:DomainName)
  bool persistent = false;     // iot:ConnectAttributes PersistentConnect: a session that outlives it
  bool last_will = false;      // iot:ConnectAttributes LastWill
  Timestamp now;               // aws:CurrentTime, aws:EpochTime: of the decision, so set it anew

  // Of lifecycle events and principal(): the certificate's id, or the caller's; empty for nobody.
  const std::string& principal() const { return caller ? caller->id : certificate_id; }
};

// What one connection may do under one state of the registry: the default versions of the policies on its
// certificate, and on every group, with its ancestors, of its thing. Immutable, thread safe; keep it in the
// connection and renew it with DeviceAuthorizer::renew() when the snapshot's version moves.
class ConnectionPolicy {
 public:
  // `name` is the client id (kConnect), the topic (kPublish, kRetainPublish, kReceive) or the filter as the
  // client sent it (kSubscribe; '+' and '#' are plain characters of the resource). An explicit Deny wins.
  // Variables and conditions were decided when it was compiled; does not allocate for ARNs up to 1 KiB.
  bool allows(DeviceAction action, std::string_view name) const {
    return decide(action, name) == identity::Decision::kAllow;
  }
  // The same, telling an explicit Deny from the absence of an Allow.
  identity::Decision decide(DeviceAction action, std::string_view name) const;
  // On a whole ARN: decide_arn("iot:Publish", "arn:aws:iot:...:topic/a").
  identity::Decision decide_arn(std::string_view action, std::string_view resource) const;

  // The registered thing this connection is tied to, or empty. With a certificate: the thing it is attached
  // to exclusively, else the attached one whose name is the client id. Without: the thing whose name is the
  // client id. Never for HTTPS publish.
  const std::string& thing() const { return thing_; }
  bool thing_is_attached() const { return attached_; }
  bool thing_is_exclusive() const { return exclusive_; }
  // A condition or variable names the time: decisions hold for a second, then renew() with the new
  // DeviceConnection::now makes another one.
  bool depends_on_time() const { return timed_; }
  // Rises by itself with each renew() that changed something: what was cached from an equal value still
  // holds.
  uint64_t generation() const { return generation_; }

  // The policies it was made from, in the order they were found.
  const std::vector<std::shared_ptr<const identity::PolicyDocument>>& documents() const { return sources_; }

 private:
  friend class DeviceAuthorizer;
  using Documents = std::vector<std::shared_ptr<const identity::PolicyDocument>>;
  ConnectionPolicy() = default;

  std::string arn_prefix_;  // "arn:aws:iot:<region>:<account>:"
  Documents bound_;         // of `sources_`, with this connection's variables put in
  Documents boundary_;      // of `boundary_sources_` likewise: unless empty, they must allow too
  bool everything_ = false;
  std::string thing_;
  bool attached_ = false, exclusive_ = false;
  bool timed_ = false;
  Timestamp bound_at_;
  uint64_t generation_ = 1;
  // What it was made from, to tell cheaply whether a newer snapshot differs.
  Documents sources_, boundary_sources_;
  std::shared_ptr<const Certificate> certificate_;
  std::shared_ptr<const Thing> thing_value_;
};
using ConnectionPolicyPtr = std::shared_ptr<const ConnectionPolicy>;

class DeviceAuthorizer {
 public:
  // Without `identities` no DeviceConnection::caller is allowed anything.
  DeviceAuthorizer(Tables tables, AccountScope account,
                   std::optional<identity::Tables> identities = std::nullopt);

  // kActive only for status ACTIVE. A certificate whose validity is over is the TLS layer's to refuse.
  DeviceStatus find_device(const state::Snapshot& snapshot, std::string_view certificate_id) const;

  // No certificate differs between the two, or no access key: cheap, for those who hold connections.
  bool same_certificates(const state::Snapshot& a, const state::Snapshot& b) const;
  bool same_keys(const state::Snapshot& a, const state::Snapshot& b) const;

  // Is the certificate active still; is the caller's access key good, and its session not over? Without
  // either: yes.
  bool may_stay(const state::Snapshot& snapshot, const DeviceConnection& connection) const;
  // When the caller's temporary credentials end; {0}: never, or no caller.
  Timestamp credentials_end(const state::Snapshot& snapshot, const DeviceConnection& connection) const;

  // Never null; with an inactive or unknown certificate it allows nothing.
  ConnectionPolicyPtr compile(const state::Snapshot& snapshot, const DeviceConnection& connection) const;

  // `held` itself if nothing it was made from has changed (the time included, if it depends on it), else a
  // newer one. Null if it may not stay: close the connection. Costs a few map look-ups.
  ConnectionPolicyPtr renew(const state::Snapshot& snapshot, const DeviceConnection& connection,
                            const ConnectionPolicyPtr& held) const;

  // For TestAuthorization: the same, under these documents instead of the attached ones.
  ConnectionPolicyPtr compile_with(
      const state::Snapshot& snapshot, const DeviceConnection& connection,
      std::vector<std::shared_ptr<const identity::PolicyDocument>> documents) const;

  const Tables& tables() const { return tables_; }

 private:
  // Everything but bound_ and generation_.
  ConnectionPolicy gather(const state::Snapshot& snapshot, const DeviceConnection& connection) const;
  static void bind(const DeviceConnection& connection, ConnectionPolicy& policy);

  Tables tables_;
  AccountScope account_;
  std::optional<identity::Tables> identities_;
};

}  // namespace fleetward::registry
