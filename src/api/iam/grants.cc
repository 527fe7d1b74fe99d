#include <algorithm>

#include "api/iam/iam.h"
#include "core/encoding.h"

// Inline and attached policies. Users and roles have the same operations under two names, so they are written
// once.
namespace fleetward::api::iam {
namespace {

constexpr size_t kAttachedMax = 10;

template <typename T>
struct Kind {
  Dependencies d;
  state::Table<T> table;
  std::string noun;    // "Role"
  std::string member;  // "RoleName"

  http::ApiResult<json::object> edit(
      const std::string& name, const std::function<http::ApiResult<void>(identity::Grants&)>& change) const {
    auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
      const T* found = txn.get(table).find(identity::name_key(name));
      if (found == nullptr) return tl::unexpected(no_such(noun, name));
      T entity = *found;
      if (auto changed = change(entity.grants); !changed) return changed;
      txn.put(table, identity::name_key(name), std::move(entity));
      return {};
    });
    if (!ok) return tl::unexpected(ok.error());
    return json::object{};
  }

  http::ApiResult<json::object> put_inline(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const std::string policy = in.string("PolicyName", kPolicyName);
    const std::string text = in.string("PolicyDocument", {.min = 1, .max = 131072});
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    auto document = parse_document(text, identity::kInlineRules);
    if (!document) return tl::unexpected(document.error());
    return edit(name, [&](identity::Grants& grants) -> http::ApiResult<void> {
      grants.inline_policies[policy] = *document;
      size_t total = 0;
      for (const auto& [key, value] : grants.inline_policies) total += value->text().size();
      if (total > identity::kInlineRules.characters_max) {
        return http::api_fail(409, "LimitExceeded",
                              "Maximum policy size of 10240 bytes exceeded for " + name);
      }
      return {};
    });
  }

  http::ApiResult<json::object> get_inline(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const std::string policy = in.string("PolicyName", kPolicyName);
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    const auto snapshot = d.store.snapshot();
    const T* entity = snapshot->get(table).find(identity::name_key(name));
    if (entity == nullptr) return tl::unexpected(no_such(noun, name));
    const auto it = entity->grants.inline_policies.find(policy);
    if (it == entity->grants.inline_policies.end()) return tl::unexpected(no_such(noun + " policy", policy));
    return json::object{{member, entity->name},
                        {"PolicyName", policy},
                        {"PolicyDocument", percent_encode(it->second->text())}};
  }

  http::ApiResult<json::object> delete_inline(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const std::string policy = in.string("PolicyName", kPolicyName);
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    return edit(name, [&](identity::Grants& grants) -> http::ApiResult<void> {
      if (grants.inline_policies.erase(policy) == 0) return tl::unexpected(no_such(noun + " policy", policy));
      return {};
    });
  }

  http::ApiResult<json::object> list_inline(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const Page page = read_page(in, "List" + noun + "Policies");
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    const auto snapshot = d.store.snapshot();
    const T* entity = snapshot->get(table).find(identity::name_key(name));
    if (entity == nullptr) return tl::unexpected(no_such(noun, name));
    json::array names;
    std::string next;
    for (auto it = entity->grants.inline_policies.upper_bound(page.after);
         it != entity->grants.inline_policies.end(); ++it) {
      if (names.size() == page.limit) {
        next = encode_page_token(page.operation, std::prev(it)->first);
        break;
      }
      names.emplace_back(it->first);
    }
    json::object out{{"PolicyNames", std::move(names)}};
    put_page(out, next);
    return out;
  }

  http::ApiResult<json::object> attach(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const std::string arn = in.string("PolicyArn", kArn);
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    const auto snapshot = d.store.snapshot();
    const identity::ManagedPolicy* own =
        snapshot->get(d.tables.policies).find(identity::name_key(arn.substr(arn.rfind('/') + 1)));
    const bool exists = identity::find_aws_managed_policy(arn) != nullptr ||
                        (own != nullptr && identity::policy_arn(d.authorizer.scope(), *own) == arn);
    if (!exists)
      return http::api_fail(404, "NoSuchEntity", "Policy " + arn + " does not exist or is not attachable.");
    return edit(name, [&](identity::Grants& grants) -> http::ApiResult<void> {
      if (std::find(grants.attached.begin(), grants.attached.end(), arn) != grants.attached.end()) return {};
      if (grants.attached.size() >= kAttachedMax) {
        return http::api_fail(409, "LimitExceeded", "Cannot exceed quota for PoliciesPer" + noun + ": 10");
      }
      grants.attached.push_back(arn);
      return {};
    });
  }

  http::ApiResult<json::object> detach(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    const std::string arn = in.string("PolicyArn", kArn);
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    return edit(name, [&](identity::Grants& grants) -> http::ApiResult<void> {
      const auto it = std::find(grants.attached.begin(), grants.attached.end(), arn);
      if (it == grants.attached.end())
        return http::api_fail(404, "NoSuchEntity", "Policy " + arn + " was not found.");
      grants.attached.erase(it);
      return {};
    });
  }

  http::ApiResult<json::object> list_attached(const json::object& arguments) const {
    Input in(arguments, kIamStyle);
    const std::string name = in.string(member, kEntityName);
    in.unsupported("PathPrefix");
    read_page(in, "ListAttached" + noun + "Policies");  // at most 10: always one page
    if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
    const auto snapshot = d.store.snapshot();
    const T* entity = snapshot->get(table).find(identity::name_key(name));
    if (entity == nullptr) return tl::unexpected(no_such(noun, name));
    json::array attached;
    for (const std::string& arn : entity->grants.attached) {
      attached.push_back(json::object{{"PolicyName", arn.substr(arn.rfind('/') + 1)}, {"PolicyArn", arn}});
    }
    json::object out{{"AttachedPolicies", std::move(attached)}};
    put_page(out, "");
    return out;
  }

  void add_to(std::vector<http::Operation>& out) const {
    const auto add = [&](const std::string& name, auto method) {
      out.push_back({.name = name,
                     .resource =
                         [self = *this](const json::object& a) {
                           return self.noun == "Role" ? role_resource(self.d, a) : user_resource(self.d, a);
                         },
                     .run = [self = *this, method](const http::Call&,
                                                   const json::object& a) { return (self.*method)(a); }});
    };
    add("Put" + noun + "Policy", &Kind::put_inline);
    add("Get" + noun + "Policy", &Kind::get_inline);
    add("Delete" + noun + "Policy", &Kind::delete_inline);
    add("List" + noun + "Policies", &Kind::list_inline);
    add("Attach" + noun + "Policy", &Kind::attach);
    add("Detach" + noun + "Policy", &Kind::detach);
    add("ListAttached" + noun + "Policies", &Kind::list_attached);
  }
};

}  // namespace

std::vector<http::Operation> grant_operations(const Dependencies& d) {
  std::vector<http::Operation> out;
  Kind<identity::Role>{d, d.tables.roles, "Role", "RoleName"}.add_to(out);
  Kind<identity::User>{d, d.tables.users, "User", "UserName"}.add_to(out);
  return out;
}

}  // namespace fleetward::api::iam
