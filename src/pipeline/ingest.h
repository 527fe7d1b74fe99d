#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "broker/hooks.h"
#include "pipeline/per_thread.h"
#include "pipeline/report_intake.h"
#include "pipeline/rule_runner.h"

namespace fleetward::pipeline {

// What happens to every message on its way in:
//   $aws/things/<thing>/defender/metrics/{json,cbor}  the report intake; ends here
//   $aws/rules/<rule>[/<topic>]                       that rule; ends here (no subscriber, no other rule)
//   everything else                                   rules, then subscribers
// Thread safe: shards share it; each thread has its own RuleRunner.
class Ingest final : public broker::PublishHook {
 public:
  Ingest(const RuleServices& services, ReportIntake& reports);

  Verdict on_publish(const broker::Publisher& publisher, std::string_view topic, std::string_view payload,
                     const broker::Message& properties, Timestamp now, log::Batch& batch) override;

 private:
  RuleServices services_;
  ReportIntake& reports_;
  PerThread<RuleRunner> runners_;
};

// "$aws/things/<thing>/defender/metrics/<format>" exactly; nullopt otherwise (answers on .../accepted are no
// reports).
struct ReportTopic {
  std::string_view thing;
  detect::ReportFormat format = detect::ReportFormat::kJson;
};
std::optional<ReportTopic> parse_report_topic(std::string_view topic);

}  // namespace fleetward::pipeline
