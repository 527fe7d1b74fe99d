#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/operation.h"

// The Query protocol of IAM, STS and SNS: form parameters to JSON, JSON to XML.
namespace fleetward::http {

// "A.member.1.B=x" -> {"A":[{"B":"x"}]}, "M.entry.1.key=k&M.entry.1.value=v" -> {"M":{"k":"v"}} (also Name
// and Value). Action, Version and X-Amz-* are left out. Every scalar is a string; an empty list arrives as
// "". MalformedQueryString for parameters that contradict each other or nest too deep.
ApiResult<json::object> query_arguments(const std::vector<QueryParameter>& parameters);

// The answer of an operation: <XResponse><XResult>...
std::string query_result_xml(std::string_view operation, std::string_view xml_namespace,
                             const json::object& result, std::string_view request_id);
std::string query_error_xml(std::string_view xml_namespace, const ApiError& error,
                            std::string_view request_id);

// Escapes text for XML content; characters XML 1.0 cannot carry become U+FFFD.
void xml_escape_to(std::string_view text, std::string& out);

}  // namespace fleetward::http
