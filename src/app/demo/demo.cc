#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include "app/client/aws_client.h"
#include "app/commands.h"
#include "app/demo/child_server.h"
#include "app/demo/ledger.h"
#include "app/demo/story.h"
#include "app/demo/watcher.h"
#include "app/simulate/fleet.h"
#include "app/simulate/provision.h"
#include "core/files.h"
#include "core/json.h"

namespace fleetward::app {
namespace demo {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

// Seconds instead of minutes, so that the story fits into two minutes.
constexpr char kConfiguration[] =
    "# Made by `fleetward demo`.\n[detect]\ntick = \"5s\"\nexport_interval = \"5s\"\n";

struct Options {
  std::string directory = "build/demo";
  size_t devices = 20;
  int seconds = 30;
  bool leave = false;
};

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::fflush(stdout);
}

// Set by the thread that receives SIGINT and SIGTERM.
class StopFlag {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  // True if the stop came within the time.
  bool wait(Clock::duration time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return stopped_; });
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
};

// What the watcher has seen.
struct Seen {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t batches = 0, datapoints = 0;
  std::vector<json::object> alerts;

  void batch(const std::string& payload) {
    const auto parsed = json::parse(payload);
    if (!parsed || !parsed->is_object()) return;
    const json::array* points = json::find_array(parsed->get_object(), "metrics");
    const std::lock_guard lock(mutex);
    ++batches;
    datapoints += points == nullptr ? 0 : points->size();
  }
  void alert(const std::string& payload) {
    const auto notification = json::parse(payload);
    if (!notification || !notification->is_object()) return;
    auto event = json::parse(json::string_or(notification->get_object(), "Message"));
    if (!event || !event->is_object()) return;
    const std::lock_guard lock(mutex);
    alerts.push_back(std::move(event->get_object()));
    changed.notify_all();
  }
};

class Demo {
 public:
  Demo(Options options, StopFlag& stop) : options_(std::move(options)), stop_(stop) {}

  // Plays the story. kUnavailable "stopped" if Ctrl-C came in between.
  Status play() {
    if (auto ok = start_server(); !ok) return ok;
    if (auto ok = create_resources(); !ok) return ok;
    if (auto ok = start_fleet(); !ok) return ok;
    if (auto ok = watch_reports(); !ok) return ok;
    if (auto ok = misbehave(); !ok) return ok;
    return settle();
  }
  void show_around() const;
  int end() {
    watcher_.reset();
    fleet_.reset();
    return server_ ? server_->stop() : 0;
  }

 private:
  Status start_server();
  Status create_resources();
  Status start_fleet();
  Status watch_reports();
  Status misbehave();
  Status settle();
  Status wait_for_alert(const std::string& thing, const std::string& event, json::object& alert);
  void progress(const char* phase, Clock::time_point since);
  void show_object(const std::map<std::string, std::string>& objects) const;
  Status stopped() const { return fail(ErrorCode::kUnavailable, "stopped"); }

  Options options_;
  StopFlag& stop_;
  std::optional<ChildServer> server_;
  std::unique_ptr<AwsClient> aws_;
  std::unique_ptr<Story> story_;
  std::vector<simulate::DeviceCredentials> devices_;
  std::unique_ptr<simulate::Fleet> fleet_;
  Seen seen_;
  std::unique_ptr<Watcher> watcher_;
};

Status Demo::start_server() {
  std::error_code ec;
  std::filesystem::remove_all(options_.directory, ec);
  if (auto ok = make_directory(options_.directory, 0700); !ok) return ok;
  const std::string config = options_.directory + "/fleetward.toml";
  if (auto ok = write_file(config, kConfiguration, 0644); !ok) return ok;
  say("Starting the server on %s/data (log: %s/server.log)\n", options_.directory.c_str(),
      options_.directory.c_str());
  auto server = ChildServer::start(options_.directory + "/data", config, options_.directory + "/server.log");
  if (!server) return fail(server.error());
  server_.emplace(std::move(*server));
  const Endpoints& e = server_->endpoints();
  say("  API %s, MQTT over mutual TLS on %s\n\n", e.api_url().c_str(), e.mqtts.c_str());
  aws_ = std::make_unique<AwsClient>(AwsClientOptions{
      e.api_url(), e.region, server_->root_key().access_key_id, server_->root_key().secret_access_key, e.ca});
  story_ = std::make_unique<Story>(*aws_, e.account, e.region);
  return {};
}

Status Demo::create_resources() {
  const Names& n = story_->names();
  say("1. Resources, through the public API\n");
  struct Step {
    std::string what;
    Status (Story::*run)();
  };
  const Step steps[] = {
      {"thing group " + n.group, &Story::create_group},
      {"custom metric " + n.metric + " (number), shown as \"" + n.metric_display + "\"",
       &Story::create_metric},
      {"bucket " + n.bucket, &Story::create_bucket},
      {"delivery stream " + n.stream + " and its role", &Story::create_stream},
      {"topic rule " + n.rule + ": SELECT * FROM 'ddmetric/#', to the stream and, as a copy, to " +
           n.watch_topic,
       &Story::create_rule},
      {"SNS topic " + n.alert_topic + ", delivered over MQTT", &Story::create_alert_topic},
      {"security profile " + n.profile +
           " on the group: a signal above -100 dBm is normal; exports Message Size, "
           "Messages Received and " +
           n.metric_display + " to " + n.export_topic,
       &Story::create_profile},
  };
  for (const Step& step : steps) {
    if (auto ok = (story_.get()->*step.run)(); !ok)
      return fail(ok.error().code, step.what + ": " + ok.error().message);
    say("  - %s\n", step.what.c_str());
  }
  simulate::ProvisionOptions provision;
  provision.name_prefix = "soundbox-";
  provision.count = options_.devices;
  provision.group = n.group;
  provision.directory = options_.directory + "/devices";
  auto devices = simulate::provision(*aws_, provision);
  if (!devices) return fail(devices.error());
  devices_ = std::move(*devices);
  say("  - %zu things with certificates and a policy\n\n", devices_.size());
  return {};
}

Status Demo::start_fleet() {
  const Endpoints& e = server_->endpoints();
  const auto port = static_cast<uint16_t>(std::stoi(e.mqtts.substr(e.mqtts.rfind(':') + 1)));
  say("2. The fleet connects over mutual TLS and reports every two seconds\n");
  const std::string watcher_policy = "demo-watcher";
  simulate::ProvisionOptions provision;
  provision.name_prefix = "watcher-";
  provision.count = 1;
  provision.policy = watcher_policy;
  provision.directory = options_.directory + "/watcher";
  const json::object policy{
      {"Version", "2012-10-17"},
      {"Statement",
       json::array{json::object{{"Effect", "Allow"},
                                {"Action", json::array{"iot:Connect", "iot:Subscribe", "iot:Receive"}},
                                {"Resource", "*"}}}}};
  const auto created =
      aws_->rest("iot", "POST", "/policies/" + watcher_policy, {{"policyDocument", json::serialize(policy)}});
  if (!created) return fail(created.error());
  auto credentials = simulate::provision(*aws_, provision);
  if (!credentials) return fail(credentials.error());
  const std::string alerts = story_->names().alert_topic;
  auto watcher =
      Watcher::start("localhost", port, e.ca, credentials->front(), {story_->names().watch_topic, alerts},
                     [this, alerts](const std::string& topic, const std::string& payload) {
                       topic == alerts ? seen_.alert(payload) : seen_.batch(payload);
                     });
  if (!watcher) return fail(watcher.error());
  watcher_ = std::move(*watcher);
  simulate::FleetOptions fleet;
  fleet.port = port;
  fleet.ca_file = e.ca;
  fleet.devices = devices_;
  fleet.report_interval = Duration{2000};
  auto started = simulate::Fleet::start(fleet);
  if (!started) return fail(started.error());
  fleet_ = std::move(*started);
  if (!fleet_->wait_connected(devices_.size(), Duration{30'000})) {
    return fail(ErrorCode::kUnavailable, "not every device could connect: " + fleet_->totals().last_error);
  }
  return {};
}

void Demo::progress(const char* phase, Clock::time_point since) {
  const simulate::DeviceCounters totals = fleet_->totals();
  const std::lock_guard lock(seen_.mutex);
  const auto elapsed = std::chrono::duration_cast<seconds>(Clock::now() - since).count();
  say("  %s %3llds  reports %llu sent, %llu accepted | exported batches %llu, datapoints %llu\n", phase,
      static_cast<long long>(elapsed), static_cast<unsigned long long>(totals.reports_sent),
      static_cast<unsigned long long>(totals.reports_accepted),
      static_cast<unsigned long long>(seen_.batches), static_cast<unsigned long long>(seen_.datapoints));
}

Status Demo::watch_reports() {
  const auto begin = Clock::now();
  const auto end = begin + seconds(options_.seconds);
  while (Clock::now() < end) {
    if (stop_.wait(seconds(5))) return stopped();
    progress("·", begin);
  }
  const auto objects = story_->objects();
  if (!objects) return fail(objects.error());
  say("  %zu objects are in the bucket already\n\n", objects->size());
  return {};
}

Status Demo::wait_for_alert(const std::string& thing, const std::string& event, json::object& alert) {
  const auto deadline = Clock::now() + seconds(30);
  while (Clock::now() < deadline) {
    {
      std::unique_lock lock(seen_.mutex);
      for (const json::object& candidate : seen_.alerts) {
        if (json::string_or(candidate, "thingName") == thing &&
            json::string_or(candidate, "violationEventType") == event) {
          alert = candidate;
          return {};
        }
      }
      seen_.changed.wait_for(lock, std::chrono::milliseconds(200));
    }
    if (stop_.wait(Clock::duration::zero())) return stopped();
  }
  return fail(ErrorCode::kUnavailable, "no " + event + " alert for " + thing + " within 30 seconds");
}

Status Demo::misbehave() {
  const std::string thing = devices_[devices_.size() / 2].thing_name;
  say("3. %s falls below -100 dBm\n", thing.c_str());
  const auto begin = Clock::now();
  const auto since = [](Clock::time_point from) {
    return static_cast<long long>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - from).count());
  };
  if (auto ok = fleet_->misbehave(thing, simulate::Attack::kWeakSignal); !ok) return ok;
  json::object alert;
  if (auto ok = wait_for_alert(thing, "in-alarm", alert); !ok) return ok;
  const json::object* value = json::find_object(alert, "metricValue");
  say("  alarm after %lld ms: %s, behaviour %s, value %s\n", since(begin), thing.c_str(),
      story_->names().behavior.c_str(), value == nullptr ? "?" : json::serialize(*value).c_str());
  const auto active = story_->active_violations(thing);
  if (!active) return fail(active.error());
  say("  ListActiveViolations shows %zu for it\n", active->size());
  const auto healed = Clock::now();
  if (auto ok = fleet_->misbehave(thing, simulate::Attack::kNone); !ok) return ok;
  if (auto ok = wait_for_alert(thing, "alarm-cleared", alert); !ok) return ok;
  say("  its signal returns: cleared after %lld ms\n\n", since(healed));
  return {};
}

Status Demo::settle() {
  say("4. The fleet stops; everything it sent must be in the bucket, once\n");
  fleet_->stop();
  const auto sent = fleet_->sent();
  const auto totals = fleet_->totals();
  const auto begin = Clock::now();
  while (true) {
    const auto objects = story_->objects();
    if (!objects) return fail(objects.error());
    const auto ledger = compare(sent, totals, *objects, story_->names().metric);
    if (!ledger) return fail(ledger.error());
    if (ledger->equal() || Clock::now() - begin > seconds(60)) {
      const auto n = [](uint64_t v) { return static_cast<unsigned long long>(v); };
      say("  reports sent            %8llu   their values delivered        %8llu\n", n(ledger->reports_sent),
          n(ledger->values_delivered));
      say("  messages received       %8llu   as exported (sum)             %8llu\n",
          n(ledger->messages_received), n(ledger->messages_received_delivered));
      say("  payload bytes sent      %8llu   as exported (total)           %8llu\n",
          n(ledger->payload_bytes_sent), n(ledger->payload_bytes_delivered));
      say("  datapoints exported     %8llu   in batches                    %8llu\n", n(ledger->datapoints),
          n(ledger->batches));
      say("  objects                 %8llu   bytes                         %8llu\n", n(ledger->objects),
          n(ledger->object_bytes));
      if (!ledger->equal()) {
        return fail(ErrorCode::kInternal, "sent and delivered differ: " + std::to_string(ledger->missing) +
                                              " values missing, " + std::to_string(ledger->surplus) +
                                              " too many");
      }
      say("  Sent and delivered are equal: nothing lost, nothing twice.\n\n");
      show_object(*objects);
      return {};
    }
    if (stop_.wait(seconds(1))) return stopped();
  }
}

void Demo::show_object(const std::map<std::string, std::string>& objects) const {
  if (objects.empty()) return;
  const auto& [key, bytes] = *objects.rbegin();
  constexpr size_t kShown = 600;
  say("One object: s3://%s/%s (%zu bytes)\n  %s%s\n\n", story_->names().bucket.c_str(), key.c_str(),
      bytes.size(), bytes.substr(0, kShown).c_str(), bytes.size() > kShown ? " ..." : "");
}

void Demo::show_around() const {
  say("The server keeps running. In another shell:\n"
      "  eval \"$(build/release/fleetward env --data-dir %s/data)\"\n"
      "  aws s3 ls --recursive s3://%s\n"
      "  aws iot list-things\n"
      "  aws iot describe-security-profile --security-profile-name %s\n"
      "  aws iot list-violation-events --start-time $(date -d '10 minutes ago' +%%s) --end-time $(date "
      "+%%s)\n"
      "  aws firehose describe-delivery-stream --delivery-stream-name %s\n"
      "Ctrl-C ends it.\n",
      options_.directory.c_str(), story_->names().bucket.c_str(), story_->names().profile.c_str(),
      story_->names().stream.c_str());
}

int run(const Options& options) {
  block_stop_signals();
  StopFlag stop;
  // The one thread that takes the signals; it lives until the process ends.
  std::thread([&stop] {
    wait_for_stop();
    stop.set();
  }).detach();
  Demo demo(options, stop);
  const Status played = demo.play();
  int status = 0;
  if (!played) {
    if (played.error().message == "stopped") {
      say("\nStopped.\n");
    } else {
      std::fprintf(stderr, "fleetward: %s\n", played.error().message.c_str());
      status = 1;
    }
  } else if (!options.leave) {
    demo.show_around();
    stop.wait();
    say("\nStopping.\n");
  }
  const int server_status = demo.end();
  if (server_status != 0) {
    std::fprintf(stderr, "fleetward: the server ended with status %d\n", server_status);
    status = 1;
  }
  std::fflush(stdout);
  std::_Exit(status);  // the signal thread still refers to `stop`
}

}  // namespace
}  // namespace demo

void add_demo_command(CLI::App& app, int& status) {
  auto options = std::make_shared<demo::Options>();
  CLI::App* command = app.add_subcommand("demo",
                                         "Start a server and play the whole story on a simulated fleet: from "
                                         "a device's report to an object in the "
                                         "lake, an alarm and its clear");
  command
      ->add_option("--directory", options->directory, "Where the demo keeps everything; emptied at its start")
      ->capture_default_str();
  command->add_option("--devices", options->devices, "How many devices")
      ->capture_default_str()
      ->check(CLI::Range(2, 1000));
  command->add_option("--seconds", options->seconds, "How long the fleet just reports")
      ->capture_default_str()
      ->check(CLI::Range(5, 3600));
  command->add_flag("--leave", options->leave, "End after the summary instead of leaving the server running");
  command->callback([options, &status] { status = demo::run(*options); });
}

}  // namespace fleetward::app
