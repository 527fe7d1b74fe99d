#include "http/query_protocol.h"

#include <algorithm>
#include <map>

#include "core/text.h"

namespace fleetward::http {
namespace {

constexpr size_t kDepthMax = 10;
constexpr size_t kNameShown = 256;  // a name can be as long as a body

// Names in the order of appearance would do for members, but lists and maps are numbered: keep both cheap by
// sorting numbers as numbers.
struct NumberFirst {
  using is_transparent = void;
  static int number(std::string_view text) { return parse_number<int>(text).value_or(-1); }
  bool operator()(std::string_view a, std::string_view b) const {
    const int x = number(a), y = number(b);
    return x != y ? x < y : a < b;
  }
};

struct Node {
  bool has_text = false;
  std::string text;
  std::map<std::string, Node, NumberFirst> children;
};

json::value convert(const Node& node);

bool all_numbered(const Node& node) {
  return std::all_of(node.children.begin(), node.children.end(),
                     [](const auto& child) { return NumberFirst::number(child.first) > 0; });
}

const Node* child_of(const Node& node, std::string_view a, std::string_view b) {
  auto found = node.children.find(a);
  if (found == node.children.end()) found = node.children.find(b);
  return found == node.children.end() ? nullptr : &found->second;
}

json::value convert(const Node& node) {
  if (node.children.empty()) return json::value(boost::json::string(node.text));
  if (node.children.size() == 1) {
    const auto& [name, only] = *node.children.begin();
    if (name == "member" && all_numbered(only)) {
      json::array list;
      for (const auto& [index, item] : only.children) list.push_back(convert(item));
      return list;
    }
    if (name == "entry" && all_numbered(only)) {
      json::object map;
      for (const auto& [index, entry] : only.children) {
        const Node* key = child_of(entry, "key", "Name");
        const Node* value = child_of(entry, "value", "Value");
        map[key == nullptr ? std::string() : key->text] =
            value == nullptr ? json::value("") : convert(*value);
      }
      return map;
    }
  }
  json::object out;
  for (const auto& [name, child] : node.children) out[name] = convert(child);
  return out;
}

void open_to(std::string_view name, std::string& out) {
  out += '<';
  out += name;
  out += '>';
}

void close_to(std::string_view name, std::string& out) {
  out += "</";
  out += name;
  out += '>';
}

void write_value(std::string_view name, const json::value& value, std::string& out);

void write_members(const json::object& object, std::string& out) {
  for (const auto& member : object) {
    write_value({member.key().data(), member.key().size()}, member.value(), out);
  }
}

void write_map(const json::object& map, std::string& out) {
  for (const auto& entry : map) {
    out += "<entry>";
    write_value("key", json::value(entry.key()), out);
    write_value("value", entry.value(), out);
    out += "</entry>";
  }
}

void write_value(std::string_view name, const json::value& value, std::string& out) {
  if (value.is_null()) return;
  open_to(name, out);
  if (value.is_object()) {
    const json::object* map = json::find_object(value.get_object(), "$map");
    if (map != nullptr) {
      write_map(*map, out);
    } else {
      write_members(value.get_object(), out);
    }
  } else if (value.is_array()) {
    for (const json::value& item : value.get_array()) write_value("member", item, out);
  } else if (value.is_string()) {
    xml_escape_to({value.get_string().data(), value.get_string().size()}, out);
  } else {
    json::serialize_to(value, out);
  }
  close_to(name, out);
}

}  // namespace

void xml_escape_to(std::string_view text, std::string& out) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\r':
        out += "&#xD;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') {
          out += "\xEF\xBF\xBD";
        } else {
          out += c;
        }
    }
  }
}

ApiResult<json::object> query_arguments(const std::vector<QueryParameter>& parameters) {
  Node root;
  for (const QueryParameter& parameter : parameters) {
    const std::string_view name = parameter.name;
    if (name == "Action" || name == "Version" || name.starts_with("X-Amz-")) continue;
    Node* node = &root;
    size_t depth = 0;
    for (size_t at = 0; at <= name.size(); ++depth) {
      const size_t end = std::min(name.find('.', at), name.size());
      if (end == at || depth == kDepthMax || node->has_text) {
        return api_fail(400, "MalformedQueryString",
                        "The parameter '" + parameter.name.substr(0, kNameShown) + "' is malformed.");
      }
      node = &node->children[std::string(name.substr(at, end - at))];
      at = end + 1;
    }
    if (node->has_text || !node->children.empty()) {
      return api_fail(
          400, "MalformedQueryString",
          "The parameter '" + parameter.name.substr(0, kNameShown) + "' contradicts another one.");
    }
    node->has_text = true;
    node->text = parameter.value;
  }
  json::object out;
  for (const auto& [name, child] : root.children) out[name] = convert(child);
  return out;
}

std::string query_result_xml(std::string_view operation, std::string_view xml_namespace,
                             const json::object& result, std::string_view request_id) {
  std::string out = "<" + std::string(operation) + "Response xmlns=\"" + std::string(xml_namespace) + "\">";
  // SDKs expect the result element even of an answer without members.
  const std::string element = std::string(operation) + "Result";
  open_to(element, out);
  write_members(result, out);
  close_to(element, out);
  out += "<ResponseMetadata><RequestId>" + std::string(request_id) + "</RequestId></ResponseMetadata>";
  close_to(std::string(operation) + "Response", out);
  return out;
}

std::string query_error_xml(std::string_view xml_namespace, const ApiError& error,
                            std::string_view request_id) {
  std::string out = "<ErrorResponse xmlns=\"" + std::string(xml_namespace) + "\"><Error><Type>";
  out += error.status < 500 ? "Sender" : "Receiver";
  out += "</Type><Code>";
  xml_escape_to(error.name, out);
  out += "</Code><Message>";
  xml_escape_to(error.message, out);
  out += "</Message>";
  write_members(error.extra, out);
  out += "</Error><RequestId>" + std::string(request_id) + "</RequestId></ErrorResponse>";
  return out;
}

}  // namespace fleetward::http
