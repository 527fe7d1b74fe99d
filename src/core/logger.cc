#include "core/logger.h"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "core/json.h"

namespace fleetward {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

bool is_bare(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

Logger::Logger(LogLevel level)
    : sink_(
          std::make_shared<spdlog::logger>("fleetward", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  sink_->set_level(to_spdlog(level));
  sink_->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  sink_->flush_on(spdlog::level::info);
}

Logger::Logger(std::shared_ptr<spdlog::logger> sink) : sink_(std::move(sink)) {}
Logger::Logger(Logger&&) noexcept = default;
Logger::~Logger() = default;

Logger Logger::none() {
  auto sink = std::make_shared<spdlog::logger>("none", std::make_shared<spdlog::sinks::null_sink_mt>());
  sink->set_level(spdlog::level::off);
  return Logger(std::move(sink));
}

void Logger::log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const auto native = to_spdlog(level);
  if (!sink_->should_log(native)) return;
  std::string line(event);
  for (const LogField& field : fields) {
    line += ' ';
    line.append(field.name);
    line += '=';
    if (is_bare(field.value)) {
      line.append(field.value);
    } else {
      json::quote_to(field.value, line);
    }
  }
  sink_->log(native, line);
}

}  // namespace fleetward
