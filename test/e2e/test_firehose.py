"""Delivery streams as boto3 sees them: life cycle, names and bytes of the objects, batches, a full disk, kill -9."""
import ctypes
import gzip
import os
import pathlib
import re

import botocore.exceptions
import pytest
from devices import unique, wait_for
import fleetward
import lake

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def put_all(server, stream, values, size=500):
    firehose = server.boto("firehose")
    for start in range(0, len(values), size):
        answer = firehose.put_record_batch(DeliveryStreamName=stream,
                                           Records=[{"Data": v.encode()} for v in values[start:start + size]])
        assert answer["FailedPutCount"] == 0


def lines(server, bucket):
    """The lines of all objects in the order of their names, which is the order of their records."""
    found = lake.objects(server, bucket)
    return [line for key in sorted(found)
            for line in (gzip.decompress(found[key]) if key.endswith(".gz") else found[key]).decode().splitlines()]


def test_life_of_a_stream(server, name):
    firehose = server.boto("firehose")
    bucket = lake.bucket(server)
    lake.stream(server, name, bucket)
    firehose.tag_delivery_stream(DeliveryStreamName=name, Tags=[{"Key": "team", "Value": "fleet"}])
    assert firehose.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"] == [{"Key": "team", "Value": "fleet"}]
    description = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert description["VersionId"] == "1"
    firehose.update_destination(
        DeliveryStreamName=name, CurrentDeliveryStreamVersionId="1",
        DestinationId=description["Destinations"][0]["DestinationId"],
        ExtendedS3DestinationUpdate={"Prefix": "raw/", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}})
    with pytest.raises(firehose.exceptions.ConcurrentModificationException):
        firehose.update_destination(DeliveryStreamName=name, CurrentDeliveryStreamVersionId="1",
                                    DestinationId="destinationId-000000000001", ExtendedS3DestinationUpdate={})
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    wait_for(lambda: lake.objects(server, bucket), what="the object")
    (key, data), = lake.objects(server, bucket).items()
    assert re.fullmatch(rf"raw/\d{{4}}/\d\d/\d\d/\d\d/{re.escape(name)}-2-\d{{4}}(-\d\d){{5}}-{UUID}", key)
    assert data == b"x"
    assert name in firehose.list_delivery_streams(Limit=10000)["DeliveryStreamNames"]
    firehose.delete_delivery_stream(DeliveryStreamName=name)

    def gone():
        try:
            firehose.describe_delivery_stream(DeliveryStreamName=name)
        except firehose.exceptions.ResourceNotFoundException:
            return True
    wait_for(gone, what="the stream to be gone")
    # A stream created again under the name starts afresh.
    lake.stream(server, name, bucket, role_arn=f"arn:aws:iam::{server.account}:role/{name}-s3")
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"y"})
    wait_for(lambda: len(lake.objects(server, bucket)) == 2, what="the second object")


def test_gzip_expressions_and_delimiter(server, name):
    bucket = lake.bucket(server)
    lake.stream(server, name, bucket, CompressionFormat="GZIP", ProcessingConfiguration=lake.NEWLINE,
                Prefix="year=!{timestamp:yyyy}/zone=!{timestamp:XXX}/", CustomTimeZone="Asia/Kolkata",
                ErrorOutputPrefix="bad/!{firehose:error-output-type}/")
    sent = [f'{{"n":{i}}}' for i in range(1200)]
    put_all(server, name, sent)
    wait_for(lambda: len(lines(server, bucket)) >= len(sent), what="all records")
    assert sorted(lines(server, bucket)) == sorted(sent)
    for key in lake.objects(server, bucket):
        assert re.match(r"year=\d{4}/zone=\+05:30/", key) and key.endswith(".gz"), key


def test_objects_close_by_size(server, name):
    bucket = lake.bucket(server)
    lake.stream(server, name, bucket, seconds=900)
    firehose = server.boto("firehose")
    for i in range(5):
        firehose.put_record(DeliveryStreamName=name, Record={"Data": bytes([97 + i]) * 300_000})
    wait_for(lambda: lake.objects(server, bucket), what="an object of more than 1 MiB")
    assert [len(data) for data in lake.objects(server, bucket).values()] == [1_200_000]


def test_limits_and_refusals(server, name):
    firehose = server.boto("firehose")
    lake.stream(server, name, lake.bucket(server))
    for record in (b"x" * 1_024_001,):
        with pytest.raises(firehose.exceptions.InvalidArgumentException):
            firehose.put_record(DeliveryStreamName=name, Record={"Data": record})
    with pytest.raises(firehose.exceptions.InvalidArgumentException):
        firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"x" * 1_000_000}] * 5)
    with pytest.raises(firehose.exceptions.ResourceNotFoundException):
        firehose.put_record(DeliveryStreamName="none", Record={"Data": b"x"})
    with pytest.raises(botocore.exceptions.ClientError) as error:
        firehose.start_delivery_stream_encryption(DeliveryStreamName=name)
    assert "StartDeliveryStreamEncryption" in error.value.response["Error"]["Message"]


def test_kill_during_delivery_loses_and_repeats_nothing(new_server):
    server = new_server()
    name = unique("killed")
    bucket = lake.bucket(server)
    lake.stream(server, name, bucket, seconds=0, ProcessingConfiguration=lake.NEWLINE)
    sent = []
    for round_number in range(5):
        values = [f"{round_number}:{i}:" + "v" * 2000 for i in range(2000)]
        put_all(server, name, values)
        sent += values
        server.kill()
        server.start()
    wait_for(lambda: len(lines(server, bucket)) >= len(sent), timeout=60, what="all records")
    assert sorted(lines(server, bucket)) == sorted(sent)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_stops_acknowledging_and_resumes(tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    if libc.mount(b"tmpfs", bytes(disk), b"tmpfs", 0, b"size=256m") != 0:
        pytest.skip("this machine does not let us mount")
    server = fleetward.Server(tmp_path)
    server.data_dir = disk / "data"  # its log and configuration are elsewhere
    try:
        server.start()
        name = unique("full")
        bucket = lake.bucket(server)
        lake.stream(server, name, bucket, ProcessingConfiguration=lake.NEWLINE)
        firehose = server.boto("firehose")
        ballast = pathlib.Path(disk, "ballast")
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"b" * 65536)
            except OSError:
                pass

        acknowledged = []

        def put(i):
            answer = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": f"{i}".encode() + b"." * 500_000}])
            if answer["FailedPutCount"] == 0:
                acknowledged.append(str(i))
            return answer["FailedPutCount"] == 0

        # The log may write into what it has reserved before.
        for i in range(500):
            if not put(i):
                break
        else:
            pytest.fail("everything was acknowledged on a full disk")
        assert "log_trouble" in server.log()
        assert server.metrics()["fleetward_log_trouble"] == 1
        ballast.unlink()
        wait_for(lambda: put(9999), what="the disk to be used again")
        wait_for(lambda: "9999" in [line.rstrip(".") for line in lines(server, bucket)], what="the delivery")
        delivered = [line.rstrip(".") for line in lines(server, bucket)]
        assert set(acknowledged) <= set(delivered)
        assert len(delivered) == len(set(delivered))
        assert server.stop() == 0
    finally:
        server.kill()
        libc.umount2(bytes(disk), 2)
