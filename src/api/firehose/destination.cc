#include "api/firehose/destination.h"

#include <algorithm>
#include <array>

#include "delivery/object_name.h"

namespace fleetward::api::firehose {
namespace {

using delivery::Compression;
using delivery::Destination;

constexpr std::string_view kBucketArn = "arn:aws:s3:::";
constexpr std::array<std::string_view, 3> kOtherCompressions = {"ZIP", "Snappy", "HADOOP_SNAPPY"};
constexpr std::array<std::string_view, 5> kOtherProcessors = {
    "RecordDeAggregation", "Decompression", "CloudWatchLogProcessing", "Lambda", "MetadataExtraction"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string not_implemented(std::string_view value) {
  return std::string(value) + " is not implemented in this release";
}

void read_bucket(Input& in, bool update, Destination& out) {
  const StringRule rule{.min = 1, .max = 2048};
  if (update && !in.has("BucketARN")) return;
  const std::string arn = in.string("BucketARN", rule);
  if (!in.ok()) return;
  if (!arn.starts_with(kBucketArn) || arn.size() == kBucketArn.size() || arn.find('/') != arn.npos) {
    in.fail("BucketARN", "must be the ARN of a bucket, arn:aws:s3:::name");
    return;
  }
  out.bucket = arn.substr(kBucketArn.size());
}

void read_buffering(Input& in, Destination& out) {
  auto hints = in.object_opt("BufferingHints");
  if (!hints) return;
  const auto size = hints->integer_opt("SizeInMBs", 1, 128);
  const auto interval = hints->integer_opt("IntervalInSeconds", 0, 900);
  if (size.has_value() != interval.has_value()) {
    in.fail("BufferingHints", "SizeInMBs and IntervalInSeconds must be given together");
  }
  if (size) out.buffer_mib = static_cast<uint32_t>(*size);
  if (interval) out.buffer_seconds = static_cast<uint32_t>(*interval);
}

void read_compression(Input& in, Destination& out) {
  const auto format = in.string_opt("CompressionFormat");
  if (!format) return;
  if (*format == "UNCOMPRESSED") {
    out.compression = Compression::kNone;
  } else if (*format == "GZIP") {
    out.compression = Compression::kGzip;
  } else if (contains(kOtherCompressions, *format)) {
    in.fail("CompressionFormat", not_implemented(*format) + "; UNCOMPRESSED and GZIP are");
  } else {
    in.one_of("CompressionFormat", {"UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"});
  }
}

void read_encryption(Input& in) {
  auto encryption = in.object_opt("EncryptionConfiguration");
  if (!encryption) return;
  encryption->one_of_opt("NoEncryptionConfig", {"NoEncryption"});
  encryption->unsupported("KMSEncryptionConfig");
}

void read_logging(Input& in, Destination& out) {
  auto logging = in.object_opt("CloudWatchLoggingOptions");
  if (!logging) return;
  out.cloudwatch.present = true;
  out.cloudwatch.enabled = logging->boolean_or("Enabled", false);
  out.cloudwatch.log_group = logging->string_or("LogGroupName", "", {.max = 512});
  out.cloudwatch.log_stream = logging->string_or("LogStreamName", "", {.max = 512});
}

void read_delimiter(Input& processor, Destination& out) {
  for (Input& parameter : processor.objects_opt("Parameters", 10)) {
    const std::string name = parameter.string("ParameterName");
    const std::string value = parameter.string("ParameterValue", {.min = 1, .max = 5120});
    if (!parameter.ok()) return;
    if (name != "Delimiter") {
      parameter.fail("ParameterName", "AppendDelimiterToRecord takes only Delimiter");
    } else if (value != "\\n" && value != "\n") {
      parameter.fail("ParameterValue", "the delimiter must be \\n");
    }
  }
  out.processing.append_newline = true;
}

void read_processing(Input& in, Destination& out) {
  auto processing = in.object_opt("ProcessingConfiguration");
  if (!processing) return;
  out.processing = {};
  out.processing.present = true;
  out.processing.enabled = processing->boolean_or("Enabled", false);
  for (Input& processor : processing->objects_opt("Processors", 10)) {
    const std::string type = processor.string("Type");
    if (contains(kOtherProcessors, type)) {
      processor.fail("Type", not_implemented("the processor " + type));
    } else if (type == "AppendDelimiterToRecord") {
      read_delimiter(processor, out);
    } else {
      processor.one_of("Type", {"RecordDeAggregation", "Decompression", "CloudWatchLogProcessing", "Lambda",
                                "MetadataExtraction", "AppendDelimiterToRecord"});
    }
  }
}

// A feature that may be named as switched off.
void read_switched_off(Input& in, std::string_view member) {
  auto configuration = in.object_opt(member);
  if (!configuration) return;
  const bool enabled = configuration->boolean_or("Enabled", true);
  if (enabled) {
    in.fail(member, not_implemented(member));
    return;
  }
  for (const char* rest :
       {"RetryOptions", "SchemaConfiguration", "InputFormatConfiguration", "OutputFormatConfiguration"}) {
    configuration->accept_unused(rest);
  }
}

void read_extended(Input& in, bool update, Destination& out) {
  read_processing(in, out);
  if (in.one_of_opt("S3BackupMode", {"Disabled", "Enabled"}) == "Enabled") {
    in.fail("S3BackupMode", not_implemented("Enabled"));
  }
  in.unsupported(update ? "S3BackupUpdate" : "S3BackupConfiguration");
  read_switched_off(in, "DataFormatConversionConfiguration");
  read_switched_off(in, "DynamicPartitioningConfiguration");
  out.file_extension = in.string_or("FileExtension", out.file_extension, {.max = 128});
  out.time_zone = in.string_or("CustomTimeZone", out.time_zone, {.max = 50});
}

}  // namespace

void read_destination(Input in, DestinationForm form, bool update, Destination& out) {
  const StringRule role{.min = 1, .max = 512};
  const StringRule prefix{.max = delivery::kPrefixBytesMax};
  out.role_arn = update ? in.string_or("RoleARN", out.role_arn, role) : in.string("RoleARN", role);
  read_bucket(in, update, out);
  out.prefix = in.string_or("Prefix", out.prefix, prefix);
  out.error_prefix = in.string_or("ErrorOutputPrefix", out.error_prefix, prefix);
  read_buffering(in, out);
  read_compression(in, out);
  read_encryption(in);
  read_logging(in, out);
  if (form == DestinationForm::kExtendedS3) {
    out.extended = true;
    read_extended(in, update, out);
  }
  if (!in.ok()) return;
  if (auto checked = delivery::check_names(out); !checked) {
    const std::string& message = checked.error().message;
    const size_t member = std::min(message.find_first_of(" :"), message.size());
    in.fail(message.substr(0, member),
            message.substr(std::min(message.find_first_not_of(" :", member), member + 2)));
  }
}

json::object destination_description(const Destination& d) {
  json::object s3{{"RoleARN", d.role_arn}, {"BucketARN", std::string(kBucketArn) + d.bucket}};
  if (!d.prefix.empty()) s3["Prefix"] = d.prefix;
  if (!d.error_prefix.empty()) s3["ErrorOutputPrefix"] = d.error_prefix;
  s3["BufferingHints"] = json::object{{"SizeInMBs", d.buffer_mib}, {"IntervalInSeconds", d.buffer_seconds}};
  s3["CompressionFormat"] = d.compression == Compression::kGzip ? "GZIP" : "UNCOMPRESSED";
  s3["EncryptionConfiguration"] = json::object{{"NoEncryptionConfig", "NoEncryption"}};
  json::object logging{{"Enabled", d.cloudwatch.enabled}};
  if (!d.cloudwatch.log_group.empty()) logging["LogGroupName"] = d.cloudwatch.log_group;
  if (!d.cloudwatch.log_stream.empty()) logging["LogStreamName"] = d.cloudwatch.log_stream;
  s3["CloudWatchLoggingOptions"] = std::move(logging);

  json::object out{{"DestinationId", kDestinationId}, {"S3DestinationDescription", s3}};
  if (!d.extended) return out;
  if (d.processing.present) {
    json::array processors;
    if (d.processing.append_newline) {
      processors.push_back(json::object{
          {"Type", "AppendDelimiterToRecord"},
          {"Parameters",
           json::array{json::object{{"ParameterName", "Delimiter"}, {"ParameterValue", "\\n"}}}}});
    }
    s3["ProcessingConfiguration"] =
        json::object{{"Enabled", d.processing.enabled}, {"Processors", std::move(processors)}};
  }
  s3["S3BackupMode"] = "Disabled";
  if (!d.file_extension.empty()) s3["FileExtension"] = d.file_extension;
  s3["CustomTimeZone"] = d.time_zone.empty() ? "UTC" : d.time_zone;
  out["ExtendedS3DestinationDescription"] = std::move(s3);
  return out;
}

}  // namespace fleetward::api::firehose
