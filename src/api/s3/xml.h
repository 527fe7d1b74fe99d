#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fleetward::api::s3 {

inline constexpr std::string_view kXmlNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// Writes one XML document, element by element. Text is escaped; control characters that XML 1.0 cannot carry
// are written as S3 does, as numeric references.
class XmlWriter {
 public:
  // Starts the document with its root element in S3's name space.
  explicit XmlWriter(std::string_view root, bool with_namespace = true);
  void open(std::string_view element);
  void close(std::string_view element);
  void text(std::string_view element, std::string_view value);
  void number(std::string_view element, uint64_t value);
  void boolean(std::string_view element, bool value);
  // Nothing if the value is empty.
  void text_if(std::string_view element, std::string_view value);
  // Ends the root element; the document.
  std::string finish();

 private:
  std::string out_;
  std::string root_;
};

}  // namespace fleetward::api::s3
