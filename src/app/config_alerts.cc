#include "app/config_key_list.h"

namespace fleetward::app {
namespace {

using alerts::Target;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

#define MEMBER(path) [](Target& t) -> auto& { return t.path; }

void add_common(KeyList<Target>& s) {
  s.choice<Target::Kind>(
      "type", MEMBER(kind),
      {{"mqtt", Target::Kind::kMqtt}, {"webhook", Target::Kind::kWebhook}, {"syslog", Target::Kind::kSyslog}},
      "What it is. Required.");
  s.text(
      "name", MEMBER(name),
      "1 to 64 of `[a-zA-Z0-9_-]`, in log lines and the label `target` of metrics. What waits for a target "
      "belongs to its name: once no target has it, that is dropped at the start. Required.");
  s.texts("profiles", MEMBER(profiles),
          "Names of the security profiles whose alarms it gets; `*` stands for any characters, `?` for one.");
  s.texts("events", MEMBER(events), "Which events.");
  s.number("queue_max", MEMBER(queue_max), 1, 100'000,
           "Deliveries that wait for it. Beyond it the newest are dropped and counted.");
  s.duration("retry_first", MEMBER(retry_first), Duration{100}, hours(1),
             "The pause after the first failed attempt. It doubles with each further one.");
  s.duration("retry_max", MEMBER(retry_max), Duration{100}, hours(24), "The longest pause.");
  s.duration("give_up_after", MEMBER(give_up_after), seconds(1), hours(24 * 30),
             "No attempt is made later than this after the alarm; then it is given up, counted and logged.");
}

void add_mqtt(KeyList<Target>& s) {
  s.only("mqtt");
  s.text("topic", MEMBER(topic),
         "The topic, in which `${thing}` and `${profile}` are replaced; `$aws/rules/<rule>/...` gives the "
         "event to that rule. Required.");
  s.number("qos", MEMBER(qos), 0, 1, "Quality of service.");
}

void add_webhook(KeyList<Target>& s) {
  s.only("webhook");
  s.text("url", MEMBER(url), "Where to post: `https://...`. Required.");
  s.flag("allow_http", MEMBER(allow_http),
         "Lets `url` be `http://` to another machine. Without it only this machine may be addressed so.");
  s.text("secret", MEMBER(secret),
         "What posts are signed with: `whsec_` and the base64 form of 24 to 64 random bytes. Either this or "
         "`secret_file`. Let only the server's user read the configuration file then.");
  s.text("secret_file", MEMBER(secret_file),
         "A file with the secret. It may have up to 4, one a line: posts are signed with each, so that a "
         "receiver can change to a new one at any moment.");
}

void add_syslog(KeyList<Target>& s) {
  s.only("syslog");
  s.text("address", MEMBER(address), "`host:port` of the syslog server. Required.");
  s.choice<Target::Transport>(
      "transport", MEMBER(transport),
      {{"tls", Target::Transport::kTls}, {"tcp", Target::Transport::kTcp}, {"udp", Target::Transport::kUdp}},
      "RFC 5425, RFC 6587 or RFC 5426.");
  s.choice<bool>("framing", MEMBER(octet_counting), {{"octet-counting", true}, {"newline", false}},
                 "How messages are kept apart over `tcp`; `tls` is always octet-counting.");
  s.text("facility", MEMBER(facility),
         "`kern`, `user`, `mail`, `daemon`, `auth`, `syslog`, `lpr`, `news`, `uucp`, `cron`, `authpriv`, "
         "`ftp`, `ntp`, `audit`, `alert`, `clock`, `local0` to `local7`.");
  s.text("severity", MEMBER(severity),
         "Of `in-alarm`: `emergency`, `alert`, `critical`, `error`, `warning`, `notice`, `informational` or "
         "`debug`. The end of an alarm is a `notice`.");
  s.text("hostname", MEMBER(hostname), "HOSTNAME of the messages. Empty: the machine's.");
  s.text("app_name", MEMBER(app_name), "APP-NAME of the messages.");
  s.text(
      "structured_data_id", MEMBER(structured_data_id),
      "SD-ID of the element with the event's fields: a name, `@` and your organisation's private enterprise "
      "number (32473 is IANA's for examples).");
  s.text("certificate_file", MEMBER(certificate_file), "The client's certificate chain for `tls` (PEM).");
  s.text("key_file", MEMBER(key_file), "Its key (PEM).");
}

void add_webhook_and_syslog(KeyList<Target>& s) {
  s.only("webhook, syslog");
  s.text("ca_file", MEMBER(ca_file),
         "The only certificate authorities to trust (PEM). Empty: the system's; for `webhook` also this "
         "server's own.");
  s.duration("timeout", MEMBER(timeout), Duration{100}, minutes(2), "How long one attempt may take.");
}

#undef MEMBER

}  // namespace

const std::vector<TargetKey>& target_keys() {
  static const std::vector<TargetKey> kKeys = [] {
    std::vector<TargetKey> out;
    KeyList<Target> list(out, kTargetSection);
    add_common(list);
    add_mqtt(list);
    add_webhook(list);
    add_syslog(list);
    add_webhook_and_syslog(list);
    return out;
  }();
  return kKeys;
}

}  // namespace fleetward::app
