#include <chrono>

#include "http/answers.h"
#include "http/dispatcher_impl.h"
#include "http/s3_body.h"

// S3 requests: with a body that has arrived, or as it arrives.
namespace fleetward::http {

ApiResult<Verified> Dispatcher::Impl::verify_s3(const RequestHead& head, const Place& where,
                                                Timestamp now) const {
  if (where.claim) {
    auto verified = verify(head, *where.claim, {}, verify_options(), keys, now);
    if (!verified) return tl::unexpected<ApiError>(auth_s3_error(verified.error(), options.account.region));
    return std::move(*verified);
  }
  const auto form = payload_form_of(head, false);
  if (!form || *form == PayloadForm::kStreamingSigned || *form == PayloadForm::kStreamingSignedTrailer) {
    return api_fail(400, "InvalidRequest", "An anonymous request cannot have this x-amz-content-sha256.");
  }
  Verified verified;
  verified.payload = *form;
  if (*form == PayloadForm::kHashed) verified.payload_sha256 = head.headers.get("x-amz-content-sha256");
  return verified;
}

S3Request Dispatcher::Impl::s3_request(RequestHead head, const Verified& verified,
                                       const std::string& request_id, Timestamp now) const {
  S3Request call;
  call.context = request_context(head, verified.caller, options.account.region, now);
  static_cast<RequestHead&>(call) = std::move(head);
  call.caller = verified.caller;
  call.request_id = request_id;
  call.presigned = verified.presigned;
  return call;
}

void Dispatcher::Impl::refuse_s3(Outcome& outcome, const RequestHead& head, const ApiError& error,
                                 const std::string& request_id) const {
  outcome.error = error.name;
  outcome.message = error.message;
  outcome.response = s3->refuse(head, error, request_id);
}

Outcome Dispatcher::Impl::run_s3(Request& request, const Place& where, const std::string& request_id) {
  Outcome outcome{.service = "s3", .operation = std::string(s3->operation(request))};
  if (where.claim) outcome.caller = where.claim->access_key_id;
  const Timestamp now = clock.now();
  const auto verified = verify_s3(request, where, now);
  if (!verified) {
    refuse_s3(outcome, request, verified.error(), request_id);
    return outcome;
  }
  outcome.caller = verified->caller.arn;
  auto decoding = make_s3_decoder(request, *verified);
  if (!decoding) {
    refuse_s3(outcome, request, decoding.error(), request_id);
    return outcome;
  }
  auto body = make_s3_reader(std::move(request.body), std::move(*decoding));
  S3Request call = s3_request(std::move(request), *verified, request_id, now);
  call.body_size = body->size();
  call.body = std::move(body);
  auto answered = s3->handle(call);
  if (answered) {
    outcome.response = std::move(*answered);
  } else {
    refuse_s3(outcome, call, answered.error(), request_id);
  }
  return outcome;
}

// An object or a part on its way from the socket into the store.
class Dispatcher::S3Taker final : public BodyTaker {
 public:
  S3Taker(Impl& impl, const RequestHead& head) : impl_(impl), head_(head), request_id_(impl.random.uuid()) {
    outcome_.service = "s3";
    outcome_.operation = impl.s3->operation(head);
  }

  std::unique_ptr<Response> take(std::string_view bytes) override {
    if (!upload_) {
      if (auto ok = begin(); !ok) return refused(ok.error());
    }
    decoded_.clear();
    if (auto ok = decoding_.decoder->feed(bytes, decoded_); !ok) return refused(ok.error());
    if (auto ok = upload_->append(decoded_); !ok) return refused(ok.error());
    return nullptr;
  }

  Response finish() override {
    if (auto ok = decoding_.decoder->finish(); !ok) return std::move(*refused(ok.error()));
    auto answered = upload_->finish(decoding_.decoder->trailers());
    if (!answered) return std::move(*refused(answered.error()));
    outcome_.response = std::move(*answered);
    return std::move(*concluded());
  }

 private:
  ApiStatus begin() {
    const Impl::Place where = impl_.place(head_);
    const Timestamp now = impl_.clock.now();
    const auto verified = impl_.verify_s3(head_, where, now);
    if (!verified) return tl::unexpected<ApiError>(verified.error());
    outcome_.caller = verified->caller.arn;
    auto decoding = make_s3_decoder(head_, *verified);
    if (!decoding) return tl::unexpected<ApiError>(decoding.error());
    decoding_ = std::move(*decoding);
    call_ = impl_.s3_request(head_, *verified, request_id_, now);
    call_.body_size = decoding_.length;
    auto upload = impl_.s3->begin_upload(call_);
    if (!upload) return tl::unexpected<ApiError>(upload.error());
    upload_ = std::move(*upload);
    return {};
  }
  std::unique_ptr<Response> refused(const ApiError& error) {
    upload_.reset();
    impl_.refuse_s3(outcome_, head_, error, request_id_);
    return concluded();
  }
  std::unique_ptr<Response> concluded() {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
    impl_.account_for(head_, outcome_, request_id_, took.count());
    return std::make_unique<Response>(std::move(outcome_.response));
  }

  Impl& impl_;
  const RequestHead head_;
  const std::string request_id_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Outcome outcome_;
  S3Decoding decoding_;
  S3Request call_;
  std::unique_ptr<S3Upload> upload_;
  std::string decoded_;
};

std::unique_ptr<BodyTaker> Dispatcher::taker(const RequestHead& head) {
  if (impl_->place(head).kind != Impl::Place::Kind::kS3 || !impl_->s3->is_upload(head)) return nullptr;
  return std::make_unique<S3Taker>(*impl_, head);
}

}  // namespace fleetward::http
