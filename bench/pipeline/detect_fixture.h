#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/detect/full_report.h"
#include "core/json.h"
#include "log/embedded_log.h"
#include "pipeline/detect_stage.h"
#include "pipeline/report_intake.h"

// Report intake, the log on disk and the detect stage with the full profile on all things, as the program
// wires them, without a broker. Ends the program if something fails.
namespace fleetward::bench {

[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

struct DetectFixture {
  explicit DetectFixture(const std::string& directory, pipeline::DetectStageOptions options = {}) {
    auto opened = log::open_embedded_log({.directory = directory}, logger, metrics);
    if (!opened) give_up(opened.error().message);
    log = std::move(*opened);
    if (!store.open(":memory:")) give_up("no control state");
    const auto ready = store.transact([&](state::Transaction& t) -> Status {
      auto profile = detect::profile_from_json(json::parse(full_profile(false))->get_object());
      if (!profile) return fail(profile.error());
      t.put(tables.profiles, profile->name, *profile);
      t.put(tables.target_profiles, state::key(scope.arn("iot", "all/things"), profile->name),
            pipeline::ProfileTarget{});
      t.put(tables.custom_metrics, kCustomNumber,
            pipeline::CustomMetric{kCustomNumber, detect::ValueKind::kNumber, {}, {}, {}, {}});
      t.put(tables.custom_metrics, kCustomStrings,
            pipeline::CustomMetric{kCustomStrings, detect::ValueKind::kStrings, {}, {}, {}, {}});
      return {};
    });
    if (!ready) give_up(ready.error().message);
    stage = std::make_unique<pipeline::DetectStage>(options, *log, store, tables, registry, scope, clock,
                                                    logger, metrics);
    if (auto ok = stage->load(); !ok) give_up(ok.error().message);
  }

  // Parses and checks a report; what is to be written joins the batch.
  void take_report(const std::string& thing, std::string_view body, log::Batch& batch) {
    replies.clear();
    const size_t before = batch.appends.size();
    intake->on_report(thing, detect::ReportFormat::kJson, body, clock.now(), batch, replies);
    if (batch.appends.size() == before) give_up("a report was refused: " + std::string(replies[0]->payload));
  }

  Logger logger{LogLevel::kError};
  Metrics metrics;
  ManualClock clock{{1'767'225'600'000}};  // a midnight (UTC)
  AccountScope scope{AccountId::trusted("123456789012"), "us-east-1"};
  state::Store store;
  registry::Tables registry = registry::Tables::add_to(store);
  pipeline::DetectTables tables = pipeline::DetectTables::add_to(store);
  std::unique_ptr<pipeline::ReportIntake> intake =
      pipeline::make_report_intake(pipeline::ReportIntakeOptions{}, metrics);
  std::vector<broker::MessagePtr> replies;
  std::unique_ptr<log::Log> log;
  std::unique_ptr<pipeline::DetectStage> stage;
};

}  // namespace fleetward::bench
