"""boto3 against `outcrop emulate`: S3's operations, batch jobs that read and write there, and what a gateway leaves there."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA
from scripted import KEYS

BUCKET = "boto3-files"
ROLE = "arn:aws:iam::123456789012:role/batches"
PART = 5 * 1024 * 1024
OVER = {"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"}


def made(emulator: Outcrop, service: str, **config: Any) -> Any:
    """A boto3 client on the emulator: no retries, invalid keys."""
    endpoint = config.pop("endpoint", emulator.url)
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret-for-tests",
        config=Config(
            connect_timeout=PATIENCE, read_timeout=PATIENCE, retries={"total_max_attempts": 1}, **config
        ),
    )


@pytest.fixture(scope="module", params=["path", "virtual"])
def s3(request: pytest.FixtureRequest, emulator: Outcrop) -> Any:
    """Both ways to name a bucket; by host the emulator stands in as a proxy, so that no name is looked up."""
    if request.param == "path":
        return made(emulator, "s3", s3={"addressing_style": "path"})
    host = "http://s3.us-east-1.amazonaws.com"
    proxies = {"http": emulator.url}
    return made(emulator, "s3", endpoint=host, proxies=proxies, s3={"addressing_style": "virtual"})


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_objects_are_written_read_and_removed(s3: Any) -> None:
    key = f"an/object {uuid.uuid4()} (ü) +&=?.txt"
    put = s3.put_object(
        Bucket=BUCKET, Key=key, Body=b"granite and basalt", ContentType="text/plain", Metadata={"a": "b"}
    )
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == b"granite and basalt"
    assert (got["ETag"], got["ContentType"], got["Metadata"]) == (put["ETag"], "text/plain", {"a": "b"})
    part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=12-")
    assert (part["Body"].read(), part["ContentRange"]) == (b"basalt", "bytes 12-17/18")
    head = s3.head_object(Bucket=BUCKET, Key=key)
    assert (head["ContentLength"], head["ETag"]) == (18, put["ETag"])
    with pytest.raises(ClientError) as beyond:
        s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=18-")
    assert code(beyond) == ("InvalidRange", 416)
    s3.delete_object(Bucket=BUCKET, Key=key)
    for call in (s3.get_object, s3.head_object):
        with pytest.raises(ClientError) as gone:
            call(Bucket=BUCKET, Key=key)
        assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket="missing-bucket", Key="x")
    assert code(missing) == ("NoSuchBucket", 404)


def test_writes_hold_their_conditions(s3: Any) -> None:
    place = {"Bucket": BUCKET, "Key": f"conditions/{uuid.uuid4()}"}
    first = s3.put_object(**place, Body=b"1", IfNoneMatch="*")
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"other"'}):
        with pytest.raises(ClientError) as refused:
            s3.put_object(**place, Body=b"2", **condition)
        assert code(refused) == ("PreconditionFailed", 412)
    s3.put_object(**place, Body=b"3", IfMatch=first["ETag"])
    assert s3.get_object(**place)["Body"].read() == b"3"


def test_lists_come_in_pages_and_by_folder(s3: Any) -> None:
    folder = f"list-{uuid.uuid4()}"
    keys = sorted([f"{folder}/{n:03} é&<x>" for n in range(5)] + [f"{folder}/sub/{n}" for n in range(3)])
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"xy")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=f"{folder}/", PaginationConfig={"PageSize": 3}
    )
    found = [entry for page in pages for entry in page["Contents"]]
    assert [entry["Key"] for entry in found] == keys
    assert {entry["Size"] for entry in found} == {2}
    split = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/", Delimiter="/")
    assert [entry["Prefix"] for entry in split["CommonPrefixes"]] == [f"{folder}/sub/"]
    assert [entry["Key"] for entry in split["Contents"]] == keys[:5]
    after = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/", StartAfter=keys[5])
    assert [entry["Key"] for entry in after["Contents"]] == keys[6:]


def test_uploads_in_parts_are_joined(s3: Any) -> None:
    place = {"Bucket": BUCKET, "Key": f"parts/{uuid.uuid4()}"}
    upload = s3.create_multipart_upload(**place, ContentType="text/x-parts")["UploadId"]
    bodies = [b"a" * PART, b"b" * 10]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    got = s3.get_object(**place)
    assert (got["Body"].read(), got["ContentType"]) == (b"".join(bodies), "text/x-parts")
    other = s3.create_multipart_upload(**place)["UploadId"]
    s3.abort_multipart_upload(**place, UploadId=other)
    with pytest.raises(ClientError) as gone:
        s3.upload_part(**place, UploadId=other, PartNumber=1, Body=b"x")
    assert code(gone) == ("NoSuchUpload", 404)


def started(emulator: Outcrop, lines: list[dict[str, Any]], **settings: Any) -> tuple[Any, str, str]:
    """A job about these records: the client, its ARN and the folder of its output."""
    s3, bedrock = made(emulator, "s3"), made(emulator, "bedrock")
    folder = f"jobs/{uuid.uuid4()}"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in.jsonl", Body=text.encode())
    order = {
        "jobName": "a-job",
        "roleArn": ROLE,
        "modelId": NOVA,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{BUCKET}/{folder}/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/{folder}/out/"}},
        "clientRequestToken": f"token-{folder.replace('/', '-')}",
        **settings,
    }
    arn = bedrock.create_model_invocation_job(**order)["jobArn"]
    assert bedrock.create_model_invocation_job(**order)["jobArn"] == arn, "one job a token"
    return bedrock, arn, f"{folder}/out/{arn.rsplit('/', 1)[1]}"


def ended(bedrock: Any, arn: str) -> tuple[dict[str, Any], set[str]]:
    """The job at its end, and the statuses it was seen in."""
    seen: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        job = bedrock.get_model_invocation_job(jobIdentifier=arn)
        seen.add(job["status"])
        if job["status"] in OVER:
            return job, seen
        time.sleep(0.02)
    raise AssertionError(f"the job did not end: {seen}")


def results(emulator: Outcrop, folder: str, name: str) -> list[dict[str, Any]]:
    body = made(emulator, "s3").get_object(Bucket=BUCKET, Key=f"{folder}/{name}")["Body"].read()
    return [json.loads(line) for line in body.decode().splitlines()]


def converse_record(number: int) -> dict[str, Any]:
    text = f"Tell me about stone {number}."
    return {
        "recordId": f"RECORD{number:06}",
        "modelInput": {"messages": [{"role": "user", "content": [{"text": text}]}]},
    }


def test_a_job_answers_its_records_in_another_order(emulator: Outcrop) -> None:
    lines = [converse_record(number) for number in range(120)]
    lines[7]["modelInput"] = {"messages": []}
    lines[9]["modelInput"]["toolConfig"] = {
        "tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]
    }
    bedrock, arn, folder = started(emulator, lines, modelInvocationType="Converse")
    job, seen = ended(bedrock, arn)
    assert job["status"] == "PartiallyCompleted"
    assert seen >= {"Submitted", "InProgress"}
    counts = (job["totalRecordCount"], job["successRecordCount"], job["errorRecordCount"])
    assert counts == (120, 118, 2)
    out = results(emulator, folder, "in.jsonl.out")
    order = [line["recordId"] for line in out]
    assert sorted(order) == [line["recordId"] for line in lines]
    assert order != sorted(order)
    by_id = {line["recordId"]: line for line in out}
    assert {by_id[f"RECORD{bad:06}"]["error"]["errorCode"] for bad in (7, 9)} == {400}
    text = by_id["RECORD000042"]["modelOutput"]["output"]["message"]["content"][0]["text"]
    assert "stone 42" in text
    (manifest,) = results(emulator, folder, "manifest.json.out")
    usage = [line["modelOutput"]["usage"] for line in out if "modelOutput" in line]
    assert manifest["inputTokenCount"] == sum(one["inputTokens"] for one in usage)
    assert manifest["outputTokenCount"] == sum(one["outputTokens"] for one in usage)
    listed = bedrock.list_model_invocation_jobs(nameContains="a-job")["invocationJobSummaries"]
    assert arn in [one["jobArn"] for one in listed]


def test_a_job_takes_the_models_own_body_with_tools(emulator: Outcrop) -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    lines = [
        {
            "recordId": f"RECORD{number:06}",
            "modelInput": {
                "anthropic_version": "bedrock-2023-05-31",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": f"Call get_weather for city {number}"}],
                "tools": [tool],
            },
        }
        for number in range(100)
    ]
    bedrock, arn, folder = started(emulator, lines, modelId=CLAUDE)
    job, _ = ended(bedrock, arn)
    assert job["status"] == "Completed"
    for line in results(emulator, folder, "in.jsonl.out"):
        assert line["modelOutput"]["stop_reason"] == "tool_use"


def test_jobs_fail_stop_and_expire(emulator: Outcrop) -> None:
    few, many = [converse_record(n) for n in range(99)], [converse_record(n) for n in range(2000)]
    bedrock, arn, _ = started(emulator, few, modelInvocationType="Converse")
    job, _ = ended(bedrock, arn)
    assert job["status"] == "Failed"
    assert "required minimum of: 100" in job["message"]
    bedrock, arn, _ = started(emulator, many, roleArn=f"{ROLE}-fails", modelInvocationType="Converse")
    job, _ = ended(bedrock, arn)
    assert job["status"] == "Failed" and "Access denied" in job["message"]
    bedrock, arn, folder = started(
        emulator, many[:200], roleArn=f"{ROLE}-expires", modelInvocationType="Converse"
    )
    job, _ = ended(bedrock, arn)
    assert (job["status"], job["processedRecordCount"]) == ("Expired", 100)
    assert len(results(emulator, folder, "in.jsonl.out")) == 100
    bedrock, arn, folder = started(emulator, many, modelInvocationType="Converse")
    while not bedrock.get_model_invocation_job(jobIdentifier=arn)["processedRecordCount"]:
        time.sleep(0.02)
    bedrock.stop_model_invocation_job(jobIdentifier=arn)
    job, seen = ended(bedrock, arn)
    assert (job["status"], seen >= {"Stopping"}) == ("Stopped", True)
    assert 0 < len(results(emulator, folder, "in.jsonl.out")) < 2000
    with pytest.raises(ClientError) as over:
        bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert code(over) == ("ConflictException", 409)


def test_orders_that_make_no_job_are_refused(emulator: Outcrop) -> None:
    for wrong in (
        {"roleArn": "arn:aws:iam::123456789012:user/x"},
        {"modelId": "no.such-model-v1:0"},
        {"timeoutDurationInHours": 300},
        {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": "https://x/y"}}},
    ):
        with pytest.raises(ClientError) as refused:
            started(emulator, [converse_record(1)], **wrong)
        assert code(refused) == ("ValidationException", 400), wrong


CONFIG = "listen: 127.0.0.1:0\nfiles: { bucket: files-that-expire, prefix: kept/ }\n"


def test_files_that_have_expired_are_removed_from_the_bucket(emulator: Outcrop) -> None:
    s3 = made(emulator, "s3", s3={"addressing_style": "path"})

    def keys() -> set[str]:
        return {each["Key"] for each in s3.list_objects_v2(Bucket="files-that-expire").get("Contents", [])}

    settings = {"environment": {**KEYS, "AWS_ENDPOINT_URL": emulator.url}, "files": {"outcrop.yaml": CONFIG}}
    with Outcrop(["--config", "outcrop.yaml"], **settings) as gateway:
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE)
        seconds = {"anchor": "created_at", "seconds": 3600}
        over, later = (
            client.files.create(file=("a.txt", b"granite"), purpose="user_data", expires_after=seconds)
            for _ in range(2)
        )
        kept = client.files.create(file=("b.txt", b"basalt"), purpose="user_data")
    before = keys()
    marker = f"kept/files-expiring/{over.expires_at}/anonymous/{over.id}"
    assert marker in before and len(before) == 8, before
    # As if the file had been kept until 1970.
    early = f"kept/files-expiring/0000000001/anonymous/{over.id}"
    s3.put_object(Bucket="files-that-expire", Key=early)
    s3.delete_object(Bucket="files-that-expire", Key=marker)
    foreign = "kept/files-expiring/0000000000/a-note.txt"
    s3.put_object(Bucket="files-that-expire", Key=foreign)
    with Outcrop(["--config", "outcrop.yaml"], **settings) as gateway:
        until = time.monotonic() + PATIENCE
        while any(over.id in key for key in keys()):
            assert time.monotonic() < until, keys()
            time.sleep(0.1)
        assert keys() == {key for key in before if over.id not in key} | {foreign}
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE)
        assert {file.id for file in client.files.list()} == {later.id, kept.id}
