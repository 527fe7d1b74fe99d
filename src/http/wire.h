#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/time.h"
#include "http/message.h"

namespace fleetward::http {

std::string_view reason_phrase(int status);

// The head of an answer, empty line included. Control characters in header values are dropped, so that no
// value can end the head. `length` is announced unless the status has no body.
std::string response_head(const Response& response, uint64_t length, bool keep_alive, Timestamp now);

// 204, 304 and 1xx have no body.
bool status_has_body(int status);

}  // namespace fleetward::http
