"""An analyst's DuckDB on the lake: delivered objects read by s3://, over the plain listener and over TLS."""
import gzip
import importlib.resources
import json

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

import lake
from devices import wait_for

# Its own site is not asked for the extension: a package of the same version holds it.
HTTPFS = importlib.resources.files("duckdb_extension_httpfs").joinpath(
    "extensions", f"v{duckdb.__version__}", "httpfs.duckdb_extension")


@pytest.fixture(params=["plain", "tls"])
def db(server, request, tmp_path):
    secure = request.param == "tls"
    connection = duckdb.connect(config={"home_directory": str(tmp_path)})
    connection.execute(f"LOAD '{HTTPFS}'")
    if secure:
        connection.execute(f"SET ca_cert_file = '{server.ca}'")
    key, secret = server.credentials
    endpoint = (server.tls_url if secure else server.api_url).split("://")[1]
    connection.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION '{server.region}', "
                       f"ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL {secure})")
    yield connection
    connection.close()


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
def test_delivered_json_lines(server, db, name, compression):
    bucket = lake.bucket(server)
    lake.stream(server, name, bucket, CompressionFormat=compression, ProcessingConfiguration=lake.NEWLINE,
                Prefix="day=!{timestamp:yyyy-MM-dd}/", ErrorOutputPrefix="bad/!{firehose:error-output-type}/")
    sent = [{"thing": f"pump-{i % 7}", "rssi": -i} for i in range(1000)]
    for first in (0, 500):
        server.boto("firehose").put_record_batch(DeliveryStreamName=name, Records=[
            {"Data": json.dumps(record).encode()} for record in sent[first:first + 500]])
    wait_for(lambda: delivered_records(server, bucket, compression) == len(sent), what="all records")
    source = f"read_json('s3://{bucket}/*/*', format='newline_delimited', hive_partitioning=true, " \
             f"compression='{'gzip' if compression == 'GZIP' else 'uncompressed'}')"
    found = db.execute(f"SELECT thing, count(*), sum(rssi) FROM {source} GROUP BY thing ORDER BY thing").fetchall()
    things = sorted({record["thing"] for record in sent})
    values = {thing: [record["rssi"] for record in sent if record["thing"] == thing] for thing in things}
    assert found == [(thing, len(values[thing]), sum(values[thing])) for thing in things]
    (days,), = db.execute(f"SELECT count(day) FROM {source}").fetchall()
    assert days == len(sent)


def delivered_records(server, bucket, compression):
    unpack = gzip.decompress if compression == "GZIP" else bytes
    return sum(unpack(data).count(b"\n") for data in lake.objects(server, bucket).values())


def test_parquet_written_and_read(server, db):
    """Written in parts, and read by ranges: the footer first, then the column chunks that the query needs."""
    bucket = lake.bucket(server)
    db.execute("SET s3_uploader_max_filesize = '50GB'")  # parts of 5 MB instead of 80
    db.execute(f"COPY (SELECT i AS n, 'pump-' || (i % 100) AS thing, hash(i) AS noise FROM range(1500000) t(i)) "
               f"TO 's3://{bucket}/parquet/all.parquet' (FORMAT parquet)")
    head = server.boto("s3").head_object(Bucket=bucket, Key="parquet/all.parquet")
    assert "-" in head["ETag"] and head["ContentLength"] > 5 << 20
    rows = db.execute(f"SELECT count(*), sum(n) FROM 's3://{bucket}/parquet/*.parquet' WHERE thing = 'pump-7'").fetchall()
    assert rows == [(15_000, sum(range(7, 1_500_000, 100)))]
    db.execute(f"COPY (SELECT n, thing FROM 's3://{bucket}/parquet/all.parquet' WHERE n < 1000) "
               f"TO 's3://{bucket}/by-thing' (FORMAT parquet, PARTITION_BY (thing))")
    assert db.execute(f"SELECT count(*), count(DISTINCT thing) FROM "
                      f"read_parquet('s3://{bucket}/by-thing/*/*.parquet', hive_partitioning=true)").fetchall() == [(1000, 100)]


def test_parquet_of_another_writer(server, db):
    bucket = lake.bucket(server)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"thing": ["a", "b"] * 50_000, "value": list(range(100_000))}), sink)
    server.boto("s3").put_object(Bucket=bucket, Key="day=1/part é+1.parquet", Body=sink.getvalue().to_pybytes())
    assert db.execute(f"SELECT thing, sum(value) FROM 's3://{bucket}/day=1/*.parquet' GROUP BY thing ORDER BY thing"
                      ).fetchall() == [("a", sum(range(0, 100_000, 2))), ("b", sum(range(1, 100_000, 2)))]


def test_refusals_are_readable(server, db):
    bucket = lake.bucket(server)
    with pytest.raises(duckdb.Error, match="404|No files found"):
        db.execute(f"SELECT * FROM 's3://{bucket}/none.parquet'")
    db.execute("CREATE OR REPLACE SECRET (TYPE s3, KEY_ID 'nobody', SECRET 'x', REGION 'eu-north-1', URL_STYLE 'path', "
               f"ENDPOINT '{server.api_url.split('://')[1]}', USE_SSL false)")
    with pytest.raises(duckdb.Error, match=f"expecting '{server.region}'"):
        db.execute(f"SELECT * FROM 's3://{bucket}/*.parquet'")
