#include "api/s3/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/s3/address.h"
#include "api/s3/documents.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

using testing::ElementsAre;

std::string range(std::string_view text, uint64_t size) {
  const auto parsed = parse_range(text, size);
  if (!parsed) return parsed.error().name;
  if (!*parsed) return "whole";
  return std::to_string((*parsed)->offset) + "+" + std::to_string((*parsed)->size);
}

TEST(S3Fields, Range) {
  const struct {
    const char* text;
    uint64_t size;
    const char* want;
  } kCases[] = {
      {"bytes=0-4", 10, "0+5"},
      {"bytes=4-", 10, "4+6"},
      {"bytes=-3", 10, "7+3"},
      {"bytes=-30", 10, "0+10"},
      {"bytes=5-100", 10, "5+5"},
      {"bytes=9-9", 10, "9+1"},
      {"bytes=10-", 10, "InvalidRange"},
      {"bytes=-0", 10, "InvalidRange"},
      {"bytes=0-0", 0, "InvalidRange"},
      {"bytes=-1", 0, "InvalidRange"},
      {"bytes=4-2", 10, "whole"},
      {"bytes=1-2,4-5", 10, "whole"},
      {"items=0-1", 10, "whole"},
      {"bytes=a-b", 10, "whole"},
      {"bytes=", 10, "whole"},
      {"bytes=-", 10, "whole"},
      {"", 10, "whole"},
      {"bytes=99999999999999999999-", 10, "whole"},
  };
  for (const auto& c : kCases) EXPECT_EQ(range(c.text, c.size), c.want) << c.text << " of " << c.size;
}

TEST(S3Fields, CopyRange) {
  EXPECT_EQ(parse_copy_range("bytes=2-5", 10)->size, 4u);
  for (const char* bad : {"bytes=2-", "bytes=-5", "2-5", "bytes=5-2", "bytes=0-10", ""}) {
    EXPECT_FALSE(parse_copy_range(bad, 10)) << bad;
  }
}

TEST(S3Fields, CopySource) {
  const auto source = parse_copy_source("/b.c/k%20y/%C3%A9+?versionId=null");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->bucket, "b.c");
  EXPECT_EQ(source->key, "k y/\xc3\xa9+");
  EXPECT_EQ(source->version_id, "null");
  EXPECT_EQ(parse_copy_source("b/k%3FversionId=1")->key, "k?versionId=1");
  for (const char* bad : {"", "/", "b", "b/", "/b/", "//k", "b/%zz"})
    EXPECT_FALSE(parse_copy_source(bad)) << bad;
}

TEST(S3Fields, DatesEtagsTagsAndCodings) {
  EXPECT_EQ(parse_http_date("Tue, 24 Nov 2026 07:00:00 GMT")->ms, 1795503600000);
  EXPECT_EQ(parse_http_date("Tuesday, 24-Nov-26 07:00:00 GMT")->ms, 1795503600000);
  EXPECT_EQ(parse_http_date("Tue Nov 24 07:00:00 2026")->ms, 1795503600000);
  EXPECT_EQ(parse_http_date("yesterday"), std::nullopt);
  EXPECT_THAT(parse_etags("\"a\", W/\"b\",c , *"), ElementsAre("a", "b", "c", "*"));
  const auto tags = parse_tagging_header("a=1&b%3D=%26+x&c");
  ASSERT_TRUE(tags);
  EXPECT_THAT(*tags, ElementsAre(lake::Tag{"a", "1"}, lake::Tag{"b=", "& x"}, lake::Tag{"c", ""}));
  EXPECT_EQ(stored_content_encoding("aws-chunked"), "");
  EXPECT_EQ(stored_content_encoding("aws-chunked,gzip"), "gzip");
  EXPECT_EQ(stored_content_encoding("gzip, br"), "gzip, br");
  EXPECT_EQ(stored_content_encoding("gzip, aws-chunked, br"), "gzip,br");
}

TEST(S3Address, PathAndVirtualHost) {
  const std::vector<std::string> suffixes = {"localhost", "s3.localhost", "fleet.example.com"};
  const struct {
    const char *host, *path, *want;
  } kCases[] = {
      {"localhost:4566", "/", "|"},
      {"localhost:4566", "/b/k/x", "b|k/x"},
      {"localhost", "/b", "b|"},
      {"localhost", "/b/", "b|"},
      {"localhost", "/b//k", "b|/k"},
      {"b.localhost:4566", "/k/x", "b|k/x"},
      {"B.LOCALHOST", "/", "b|"},
      {"a.b.s3.localhost", "/k", "a.b|k"},
      {"s3.localhost", "/b/k", "b|k"},
      {"fleet.example.com", "/b/k", "b|k"},
      {"b.fleet.example.com", "/k", "b|k"},
      {"127.0.0.1:4566", "/b/k", "b|k"},
      {"[::1]:4566", "/b/k", "b|k"},
      {"xlocalhost", "/b/k", "b|k"},
      {"", "/b/k", "b|k"},
  };
  for (const auto& c : kCases) {
    const Address address = parse_address(c.host, c.path, suffixes);
    EXPECT_EQ(address.bucket + "|" + address.key, c.want) << c.host << c.path;
  }
}

TEST(S3Documents, Delete) {
  const auto document = parse_delete_document(
      "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a &amp; b</Key></Object>"
      "<Object><Key> </Key><VersionId>null</VersionId></Object><Quiet>true</Quiet></Delete>");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->entries.size(), 2u);
  EXPECT_EQ(document->entries[0].key, "a & b");
  EXPECT_EQ(document->entries[1].key, " ");
  EXPECT_TRUE(document->quiet);
  std::string many = "<Delete>";
  for (int i = 0; i < 1001; ++i) many += "<Object><Key>k</Key></Object>";
  for (const std::string& bad :
       {std::string(), std::string("<Delete/>"), std::string("<Delete><Object/></Delete>"),
        std::string("<Delete><Object><Key>k</Key>"), std::string("<Other/>"),
        std::string("<Delete><Object><Key>k</Key></Object><Force/></Delete>"),
        std::string("<Delete><Object><Key>k</Key><Bypass>1</Bypass></Object></Delete>"),
        many + "</Delete>"}) {
    const auto refused = parse_delete_document(bad);
    ASSERT_FALSE(refused) << bad.substr(0, 50);
    EXPECT_EQ(refused.error().name, "MalformedXML");
  }
}

TEST(S3Documents, Complete) {
  const auto parts = parse_complete_document(
      "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>&quot;e&quot;</ETag>"
      "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>",
      10);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->at(0).number, 2);
  EXPECT_EQ(parts->at(0).etag, "e");
  EXPECT_EQ(parts->at(0).checksum.algorithm, lake::ChecksumAlgorithm::kCrc32);
  for (const char* number : {"0", "11", "x", ""}) {
    EXPECT_FALSE(parse_complete_document("<CompleteMultipartUpload><Part><PartNumber>" + std::string(number) +
                                             "</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
                                         10))
        << number;
  }
}

TEST(S3Documents, TheOthers) {
  EXPECT_EQ(parse_create_bucket_document("")->location, "");
  EXPECT_EQ(parse_create_bucket_document("<CreateBucketConfiguration><LocationConstraint>ap-south-1"
                                         "</LocationConstraint></CreateBucketConfiguration>")
                ->location,
            "ap-south-1");
  EXPECT_EQ(
      parse_tagging_document("<Tagging><TagSet><Tag><Key>k</Key><Value/></Tag></TagSet></Tagging>")->size(),
      1u);
  EXPECT_FALSE(parse_tagging_document("<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>"));
  EXPECT_FALSE(parse_tagging_document("<Tagging/>"));
  EXPECT_EQ(*parse_versioning_document("<VersioningConfiguration><Status>Enabled</Status>"
                                       "</VersioningConfiguration>"),
            "Enabled");
  EXPECT_FALSE(
      parse_versioning_document("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
                                "<VersioningConfiguration><Status>&e;</Status></VersioningConfiguration>"));
}

TEST(S3Xml, Escapes) {
  XmlWriter xml("R", false);
  xml.text("K", "a<b>&\"\x01\r\xc3\xa9");
  EXPECT_EQ(
      xml.finish(),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R><K>a&lt;b&gt;&amp;&quot;&#1;&#13;\xc3\xa9</K></R>");
}

}  // namespace
}  // namespace fleetward::api::s3
