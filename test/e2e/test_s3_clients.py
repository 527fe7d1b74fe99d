"""S3 as its clients use it: the aws CLI, boto3 and pyarrow."""
import datetime
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

import lake

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(server):
    return server.boto("s3")


@pytest.fixture
def bucket(server):
    return lake.bucket(server)


def code(error):
    return error.value.response["Error"]["Code"]


def test_cli_copies_lists_syncs_and_removes(aws, s3, tmp_path):
    bucket = f"{uuid.uuid4().hex[:12]}.dd.metric.export"  # dots, as the story's
    aws("s3", "mb", f"s3://{bucket}")
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(22 * MIB))
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/a.txt").write_text("alpha")
    (tmp_path / "tree/sub/b c+é.txt").write_text("beta")

    aws("s3", "cp", large, f"s3://{bucket}/x/large.bin")
    aws("s3", "cp", f"s3://{bucket}/x/large.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == large.read_bytes()
    head = s3.head_object(Bucket=bucket, Key="x/large.bin")
    assert head["ContentLength"] == 22 * MIB
    assert head["ETag"].strip('"').endswith("-3")

    assert aws("s3", "sync", tmp_path / "tree", f"s3://{bucket}/tree").count("upload:") == 2
    assert aws("s3", "sync", tmp_path / "tree", f"s3://{bucket}/tree") == ""
    assert aws("s3", "cp", f"s3://{bucket}/tree/sub/b c+é.txt", "-") == "beta"
    listing = aws("s3", "ls", f"s3://{bucket}/", "--recursive", "--summarize")
    assert "tree/sub/b c+é.txt" in listing and "Total Objects: 3" in listing
    aws("s3", "mv", f"s3://{bucket}/tree/a.txt", f"s3://{bucket}/moved.txt")
    aws("s3", "rm", f"s3://{bucket}/tree", "--recursive")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["moved.txt", "x/large.bin"]
    aws("s3", "rb", f"s3://{bucket}", "--force")
    assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_upload_file_and_download_file(server, s3, bucket, tmp_path):
    data = os.urandom(21 * MIB + 17)
    (tmp_path / "in").write_bytes(data)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_file(str(tmp_path / "in"), bucket, "k", Config=config, ExtraArgs={"Metadata": {"unit": "dBm"}})
    s3.download_file(bucket, "k", str(tmp_path / "out"), Config=config)
    assert (tmp_path / "out").read_bytes() == data
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"unit": "dBm"}


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("secure", [False, True], ids=["header", "trailer"])
def test_checksums(server, bucket, algorithm, secure):
    """Over TLS the SDK sends the checksum in the trailer of an aws-chunked body, else in a header."""
    if algorithm in ("CRC32C", "CRC64NVME"):
        pytest.importorskip("awscrt")
    s3 = server.boto("s3", **({"endpoint_url": server.tls_url, "verify": server.ca} if secure else {}))
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100_000, ChecksumAlgorithm=algorithm)
    field = f"Checksum{algorithm}"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"x" * 100_000
    assert got[field] == put[field]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", **{field: put[field]})
    assert code(error) == "BadDigest"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 100_000


def test_default_checksum_is_crc64nvme_for_those_who_send_none(server, bucket):
    quiet = server.boto("s3", config=Config(request_checksum_calculation="when_required"))
    quiet.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    answer = quiet.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert answer["Checksum"]["ChecksumCRC64NVME"] == "rosUhgp5mIg="
    assert answer["ObjectSize"] == 9
    assert answer["ETag"] == hashlib.md5(b"123456789").hexdigest()


def test_presigned_urls(server, bucket):
    s3 = server.boto("s3", config=Config(signature_version="s3v4"))  # boto3's default here is version 2
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    request = urllib.request.Request(put, data=b"hello", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b",
                                                          "ResponseContentType": "text/x"}, ExpiresIn=60)
    answer = urllib.request.urlopen(get)
    assert answer.read() == b"hello" and answer.headers["Content-Type"] == "text/x"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(get.replace("a%20b", "other"))
    assert refused.value.code == 403 and b"SignatureDoesNotMatch" in refused.value.read()


def test_virtual_host_style(server, bucket):
    """Not every resolver knows *.localhost, so the URL's name is only sent as the Host."""
    port = server.api_url.rsplit(":", 1)[1]
    s3 = server.boto("s3", endpoint_url=f"http://localhost:{port}",
                     config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    for operation, method, body in [("put_object", "PUT", b"v"), ("get_object", "GET", None)]:
        url = urllib.parse.urlsplit(s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "a b"}))
        assert url.netloc == f"{bucket}.localhost:{port}"
        connection.request(method, f"{url.path}?{url.query}", body=body, headers={"Host": url.netloc})
        answer = connection.getresponse()
        read = answer.read()
        assert answer.status == 200, read
    assert read == b"v"


def test_ranges_and_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    get = lambda **more: s3.get_object(Bucket=bucket, Key="k", **more)
    for text, want in [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=5-99", b"56789")]:
        assert get(Range=text)["Body"].read() == want
    assert get(Range="bytes=2-4")["ContentRange"] == "bytes 2-4/10"
    for more, want in [({"Range": "bytes=10-"}, "InvalidRange"), ({"IfMatch": '"x"'}, "PreconditionFailed"),
                       ({"IfNoneMatch": etag}, "304"),
                       ({"IfModifiedSince": datetime.datetime(2100, 1, 1)}, None),
                       ({"IfUnmodifiedSince": datetime.datetime(2000, 1, 1)}, "PreconditionFailed")]:
        try:
            assert want is None or get(**more) is None, f"{more} was not refused"
        except ClientError as error:
            assert error.response["Error"]["Code"] == want
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"", IfNoneMatch="*")
    assert code(error) == "PreconditionFailed"
    s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=etag)
    assert get()["Body"].read() == b"new"


def test_listing_pages_in_byte_order(s3, bucket):
    keys = ["Z", "a", "a b", "a/1", "a/2", "b//c", "é", "日"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
        assert [o["Key"] for page in pages for o in page["Contents"]] == sorted(keys, key=str.encode)
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", StartAfter="a")
    assert [o["Key"] for o in page["Contents"]] == ["a b", "é", "日"]
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "b/"]
    assert page["KeyCount"] == 5


def test_deletes_copies_tags_and_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="t=1", Metadata={"m": "1"}, CacheControl="no-cache")
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    copy = s3.get_object(Bucket=bucket, Key="b")
    assert (copy["Metadata"], copy["CacheControl"], copy["TagCount"]) == ({"m": "1"}, "no-cache", 1)
    s3.put_object_tagging(Bucket=bucket, Key="b", Tagging={"TagSet": [{"Key": "t", "Value": "2"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="b")["TagSet"] == [{"Key": "t", "Value": "2"}]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "none"}]})
    assert len(gone["Deleted"]) == 3 and "Errors" not in gone
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_multipart_by_hand(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number, data in [(1, b"a" * 5 * MIB), (2, b"b" * 100)]:
        answer = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data,
                                ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    assert [p["Size"] for p in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]] == [5 * MIB, 100]
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == upload
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"') and done["ChecksumSHA256"].endswith("-2")
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=2)["Body"].read() == b"b" * 100
    again = s3.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=again)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_readers_see_whole_objects_while_they_are_overwritten(s3, bucket):
    versions = [bytes([letter]) * 300_000 for letter in b"ab"]
    s3.put_object(Bucket=bucket, Key="k", Body=versions[0])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for version in versions:
                s3.put_object(Bucket=bucket, Key="k", Body=version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() in versions
    finally:
        stop.set()
        writer.join()


def test_what_is_missing_is_refused_by_name(s3, bucket):
    for call in (lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
                 lambda: s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": []}),
                 lambda: s3.delete_object(Bucket=bucket, Key="k", IfMatchSize=3),
                 lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "Size": 3}]}),
                 lambda: s3.put_object(Bucket=bucket, Key="k", ServerSideEncryption="AES256")):
        with pytest.raises(ClientError) as error:
            call()
        assert code(error) == "NotImplemented"
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"


# What Terraform reads of a bucket (aws_s3_bucket and the resources beside it), and what S3 answers if nothing was set.
UNSET = {
    "get_bucket_location": None, "get_bucket_policy": "NoSuchBucketPolicy", "get_bucket_acl": None,
    "get_bucket_cors": "NoSuchCORSConfiguration", "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_versioning": None, "get_bucket_accelerate_configuration": None, "get_bucket_request_payment": None,
    "get_bucket_logging": None, "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError", "get_bucket_tagging": "NoSuchTagSet",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration", "get_bucket_ownership_controls": None,
    "get_bucket_notification_configuration": None, "list_bucket_metrics_configurations": None,
    "list_bucket_analytics_configurations": None, "list_bucket_inventory_configurations": None,
    "list_bucket_intelligent_tiering_configurations": None,
}


def test_configurations_that_were_never_set(s3, bucket):
    s3.head_bucket(Bucket=bucket)
    for operation, refusal in UNSET.items():
        if refusal is None:
            getattr(s3, operation)(Bucket=bucket)
            continue
        with pytest.raises(ClientError) as error:
            getattr(s3, operation)(Bucket=bucket)
        assert code(error) == refusal
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == owned
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=owned)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for operation in ("delete_bucket_cors", "delete_bucket_lifecycle", "delete_bucket_website",
                      "delete_bucket_encryption", "delete_public_access_block", "delete_bucket_replication"):
        getattr(s3, operation)(Bucket=bucket)


def test_pyarrow(server, s3, bucket):
    fs = pytest.importorskip("pyarrow.fs")
    import pyarrow
    import pyarrow.dataset
    import pyarrow.parquet
    key, secret = server.credentials
    lake_fs = fs.S3FileSystem(access_key=key, secret_key=secret, region=server.region, scheme="http",
                              endpoint_override=server.api_url.removeprefix("http://"))
    table = pyarrow.table({"thing": ["a", "b"] * 50_000, "value": list(range(100_000))})
    pyarrow.parquet.write_table(table, f"{bucket}/day=1/part.parquet", filesystem=lake_fs)
    read = pyarrow.dataset.dataset(f"{bucket}/day=1", filesystem=lake_fs, format="parquet")
    assert read.to_table(filter=pyarrow.dataset.field("thing") == "a").num_rows == 50_000
    assert [i.base_name for i in lake_fs.get_file_info(fs.FileSelector(f"{bucket}/day=1"))] == ["part.parquet"]
