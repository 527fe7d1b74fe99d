#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

void escape_to(std::string_view value, std::string& out) {
  for (const char c : value) {
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
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          out += "&#" + std::to_string(static_cast<int>(c)) + ";";
        } else {
          out += c;
        }
    }
  }
}

}  // namespace

XmlWriter::XmlWriter(std::string_view root, bool with_namespace) : root_(root) {
  out_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<";
  out_ += root;
  if (with_namespace) out_.append(" xmlns=\"").append(kXmlNamespace).append("\"");
  out_ += '>';
}

void XmlWriter::open(std::string_view element) {
  out_.append("<").append(element).append(">");
}

void XmlWriter::close(std::string_view element) {
  out_.append("</").append(element).append(">");
}

void XmlWriter::text(std::string_view element, std::string_view value) {
  open(element);
  escape_to(value, out_);
  close(element);
}

void XmlWriter::number(std::string_view element, uint64_t value) {
  text(element, std::to_string(value));
}

void XmlWriter::boolean(std::string_view element, bool value) {
  text(element, value ? "true" : "false");
}

void XmlWriter::text_if(std::string_view element, std::string_view value) {
  if (!value.empty()) text(element, value);
}

std::string XmlWriter::finish() {
  close(root_);
  return std::move(out_);
}

}  // namespace fleetward::api::s3
