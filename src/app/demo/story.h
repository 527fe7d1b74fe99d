#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/client/aws_client.h"
#include "core/json.h"
#include "core/result.h"

namespace fleetward::app::demo {

// The names of the walk-through.
struct Names {
  std::string group = "dd-metric-export-group";
  std::string metric = "mobilerssi";
  std::string metric_display = "Cellular Network Strength";
  std::string profile = "Monitor_RSSI";
  std::string behavior = "signal_is_strong";
  std::string rule = "dd_export_firehose";
  std::string stream = "dd-metric-export-stream";
  std::string bucket;  // "<account>.dd.metric.export"
  std::string export_topic = "$aws/rules/dd_export_firehose/ddmetric/cellular";
  std::string watch_topic = "watch/cellular";  // the rule's second action: a copy for whoever subscribes
  std::string alert_topic = "fleet-alerts";    // SNS, and the MQTT topic it is delivered to
  double signal_min = -100;                    // dBm: above it is normal
};

// Creates and reads the story's resources through the public API, as the console steps of the walk-through
// do.
class Story {
 public:
  Story(AwsClient& aws, std::string account, std::string region);

  const Names& names() const { return names_; }

  // Each is one step of the story.
  Status create_group();
  Status create_metric();
  Status create_bucket();
  Status create_stream();  // waits until it is ACTIVE
  Status create_rule();
  Status create_alert_topic();
  Status create_profile();  // and attaches it to the group

  struct Violation {
    std::string id, thing, event;  // event: "in-alarm", ...
    double value = 0;
  };
  Result<std::vector<Violation>> active_violations(const std::string& thing);

  // Every object of the bucket.
  Result<std::map<std::string, std::string>> objects();

 private:
  Result<std::string> create_role(const std::string& name, const std::string& service,
                                  const json::array& actions, const std::string& resource);
  std::string arn(const std::string& service, const std::string& resource) const;

  AwsClient& aws_;
  std::string account_, region_;
  Names names_;
};

// The JSON values of an object's bytes, one after another with or without separators.
Result<std::vector<json::value>> split_records(std::string_view bytes);

}  // namespace fleetward::app::demo
