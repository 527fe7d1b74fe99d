#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace fleetward {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// One fact of a log line. Numbers are given as text (std::to_string).
struct LogField {
  std::string_view name;
  std::string_view value;
};

// Writes one logfmt line per call: time, level, event, fields; values are quoted and control characters
// escaped, so a client cannot forge a line. Thread safe. Wraps spdlog, whose headers stay out of ours.
class Logger {
 public:
  // To standard error. Lines below `level` are dropped.
  explicit Logger(LogLevel level = LogLevel::kInfo);
  // Writes nothing; for tests.
  static Logger none();
  ~Logger();
  Logger(Logger&&) noexcept;

  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::kDebug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::kInfo, event, fields);
  }
  void warn(std::string_view event, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::kWarn, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::kError, event, fields);
  }

 private:
  explicit Logger(std::shared_ptr<spdlog::logger> sink);
  std::shared_ptr<spdlog::logger> sink_;
};

}  // namespace fleetward
