#include "pipeline/ingest.h"

#include "rules/index.h"

namespace fleetward::pipeline {

std::optional<ReportTopic> parse_report_topic(std::string_view topic) {
  constexpr std::string_view kPrefix = "$aws/things/";
  constexpr std::string_view kMetrics = "/defender/metrics/";
  if (!topic.starts_with(kPrefix)) return std::nullopt;
  topic.remove_prefix(kPrefix.size());
  const size_t slash = topic.find('/');
  if (slash == 0 || slash == std::string_view::npos) return std::nullopt;
  ReportTopic out;
  out.thing = topic.substr(0, slash);
  const std::string_view rest = topic.substr(slash);
  if (!rest.starts_with(kMetrics)) return std::nullopt;
  const std::string_view format = rest.substr(kMetrics.size());
  if (format != "json" && format != "cbor") return std::nullopt;
  out.format = format == "json" ? detect::ReportFormat::kJson : detect::ReportFormat::kCbor;
  return out;
}

Ingest::Ingest(const RuleServices& services, ReportIntake& reports)
    : services_(services),
      reports_(reports),
      runners_([this] { return std::make_unique<RuleRunner>(services_); }) {}

broker::PublishHook::Verdict Ingest::on_publish(const broker::Publisher& publisher, std::string_view topic,
                                                std::string_view payload, const broker::Message& properties,
                                                Timestamp now, log::Batch& batch) {
  Verdict verdict;
  std::optional<rules::BasicIngestTopic> basic;
  if (topic.starts_with("$aws/")) {
    if (const auto report = parse_report_topic(topic)) {
      verdict.route_to_subscribers = false;
      reports_.on_report(report->thing, report->format, payload, now, batch, verdict.replies);
      return verdict;
    }
    basic = rules::parse_basic_ingest(topic);
  }
  rules::Event event;
  event.topic = basic ? basic->rest : topic;
  event.payload = payload;
  event.client_id = publisher.client_id;
  event.principal = publisher.principal;
  event.source_address = publisher.source_address;
  event.now = now;
  event.content_type = properties.content_type;
  event.response_topic = properties.response_topic;
  event.correlation_data = properties.correlation_data;
  event.payload_is_utf8 = properties.payload_is_utf8;
  if (!properties.user_properties.empty()) event.user_properties = &properties.user_properties;
  const Chain chain{properties.hops, properties.offspring_max};
  RuleRunner& runner = runners_.get();
  if (basic) {
    verdict.route_to_subscribers = false;
    verdict.deferred = runner.run_basic_ingest(basic->rule, event, chain, batch, verdict.replies);
  } else {
    verdict.deferred = runner.run(event, chain, batch, verdict.replies);
  }
  return verdict;
}

}  // namespace fleetward::pipeline
