#pragma once

#include <memory>

#include "http/message.h"
#include "http/s3_handler.h"
#include "http/sigv4.h"

namespace fleetward::http {

// The reader over a body that has arrived whole. `body` is taken over.
// InvalidRequest if the form needs X-Amz-Decoded-Content-Length and it is missing.
ApiResult<std::unique_ptr<S3BodyReader>> make_s3_body(std::unique_ptr<Body> body, const RequestHead& head,
                                                      const Verified& verified);

}  // namespace fleetward::http
