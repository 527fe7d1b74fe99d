#include "detect/population.h"

#include <cmath>
#include <map>

#include "detect/bytes.h"

namespace fleetward::detect {
namespace {

constexpr uint8_t kRecordVersion = 1;

}  // namespace

void encode_populations(PopulationsRecord& record, std::string& out) {
  out.push_back(static_cast<char>(kRecordVersion));
  bytes::put_varint(out, static_cast<uint64_t>(record.tick.ms));
  bytes::put_varint(out, record.partition);
  bytes::put_varint(out, record.populations.size());
  for (Population& population : record.populations) {
    bytes::put_u64(out, population.behavior_key);
    bytes::put_string(out, population.profile);
    bytes::put_string(out, population.behavior);
    bytes::put_double(out, population.percent);
    population.values.encode(out);
  }
}

Result<PopulationsRecord> decode_populations(std::string_view bytes) {
  const auto corrupt = [] { return fail(ErrorCode::kCorrupt, "stored populations do not parse"); };
  bytes::Reader in{bytes};
  if (in.u8() != kRecordVersion) return corrupt();
  PopulationsRecord out;
  out.tick.ms = static_cast<int64_t>(in.varint());
  out.partition = static_cast<uint32_t>(in.varint());
  for (size_t left = in.count(19); in.ok && left > 0; --left) {
    Population population;
    population.behavior_key = in.u64();
    population.profile = in.string();
    population.behavior = in.string();
    population.percent = in.f64();
    if (!in.ok || !(population.percent >= 0 && population.percent <= 100)) return corrupt();
    auto values = Quantiles::decode(in.rest);
    if (!values) return fail(values.error());
    if (values->size() == 0) return corrupt();
    population.values = std::move(*values);
    out.populations.push_back(std::move(population));
  }
  if (!in.ok || !in.rest.empty()) return corrupt();
  return out;
}

std::vector<Threshold> make_thresholds(
    std::vector<Population> populations, uint64_t population_min,
    const std::function<void(const Population&, std::string_view why)>& skipped) {
  std::map<uint64_t, Population> merged;
  for (Population& part : populations) {
    const auto [it, fresh] = merged.try_emplace(part.behavior_key, std::move(part));
    if (!fresh) it->second.values.merge(std::move(part.values));
  }
  std::vector<Threshold> out;
  for (auto& [key, population] : merged) {
    if (population.values.size() < population_min) {
      skipped(population, "fewer devices than a percentile is made of");
    } else if (population.values.min() < 0) {
      skipped(population, "a negative value: percentiles are of metrics without any");
    } else {
      out.push_back({key, population.values.percentile(population.percent), population.values.size()});
    }
  }
  return out;
}

}  // namespace fleetward::detect
