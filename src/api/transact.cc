#include "api/transact.h"

#include <optional>

namespace fleetward::api {

http::ApiResult<void> transact(state::Store& store, const ServiceStyle& style,
                               const std::function<http::ApiResult<void>(state::Transaction&)>& change) {
  std::optional<http::ApiError> refused;
  const Status status = store.transact([&](state::Transaction& transaction) -> Status {
    if (auto ok = change(transaction); !ok) {
      refused = ok.error();
      return fail(ErrorCode::kInvalidArgument, ok.error().message);
    }
    return {};
  });
  if (refused) return tl::unexpected(*refused);
  if (!status) return refuse(style, status.error());
  return {};
}

}  // namespace fleetward::api
