"""Copies that the cloud does not take: refused with the reason, and no secret told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.backup.helpers import Made, Store, collect, upload
from tests.listening import listening
from tests.object_store import KEYS, ObjectStore
from vagus_tui.backup.remote import UploadFailedError, open_remote, unusable
from vagus_tui.backup.remote_listing import list_remote
from vagus_tui.backup.s3_bucket import aws_profile
from vagus_tui.backup.upload import upload_backup
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError, RefusedError, VagusError
from vagus_tui.settings import Settings

pytestmark = pytest.mark.usefixtures("cloud_credentials")


async def test_a_bucket_that_is_not_there(place: tuple[str, Store], made: Made, settings: Settings) -> None:
    url, cloud = place
    nowhere = cloud.settings(settings, f"{url[:2]}://nowhere/x")
    for asked in (upload(made.path, nowhere), list_remote(nowhere)):
        with pytest.raises(RefusedError, match="no bucket named “nowhere”"):
            await asked


async def test_a_bucket_that_is_not_ours_to_write(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    cloud.forbid_writing(bucket)
    with pytest.raises(RefusedError, match="not ours to write"):
        await upload(made.path, cloud.settings(settings, f"s3://{bucket}"))


async def test_wrong_credentials_are_said_and_not_shown(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    with cloud.asking_for_credentials(), pytest.raises(RefusedError, match="credentials") as caught:
        await upload(made.path, cloud.settings(settings, f"s3://{bucket}"))
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.usefixtures("cloud")
async def test_what_s3_refuses_is_told_by_its_cause(made: Made, settings: Settings) -> None:
    """An answer is no broken connection, and a clock that is off is no missing right; none is asked again."""
    refused, asked = (0, ""), 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        answered, word = refused
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = f"<Error><Code>{word}</Code><Message>kept-to-yourself</Message></Error>".encode()
        length = f"HTTP/1.1 {answered} No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        writer.write(length if head.startswith("HEAD") else length + body)
        await writer.drain()

    async with listening(answer) as port:
        endpoint = f"http://127.0.0.1:{port}"
        there = settings.model_copy(update={"upload_url": "s3://bucket", "upload_endpoint": endpoint})
        for status, code, told in (
            (403, "RequestTimeTooSkewed", "this machine's clock is too far off"),
            (400, "ExpiredToken", "have expired"),
            (301, "PermanentRedirect", "in another region"),
            (400, "KMS.DisabledException", "refuses the request .*: status 400, KMS.DisabledException"),
            (405, "MethodNotAllowed", "refuses the request .*: status 405"),
        ):
            refused, asked = (status, code), 0
            with pytest.raises((RefusedError, UploadFailedError), match=told) as caught:
                await upload(made.path, there)
            assert "kept-to-yourself" not in str(caught.value) and asked == 1


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [(403, "forbidden", "not ours to write"), (401, "authError", "No credentials")],
)
async def test_google_refuses(made: Made, settings: Settings, status: int, reason: str, told: str) -> None:
    # The emulator lets everybody do everything; this is what Google answers, without an emulator behind it.
    error = {"message": "kept-to-yourself", "domain": "global", "reason": reason}
    body = json.dumps({"error": {"code": status, "message": "kept-to-yourself", "errors": [error]}}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with listening(answer) as port:
        endpoint = f"http://127.0.0.1:{port}"
        there = settings.model_copy(update={"upload_url": "gs://bucket", "upload_endpoint": endpoint})
        for asked in (upload(made.path, there), list_remote(there)):
            with pytest.raises(RefusedError, match=told) as caught:
                await asked
            assert "kept-to-yourself" not in str(caught.value) and caught.value.__cause__ is None


async def test_a_key_file_of_google_that_cannot_be_used(
    made: Made, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = settings.model_copy(update={"upload_url": "gs://bucket"})
    for content in (None, "kept-to-yourself", '{"type": "service_account", "private_key": "kept-to-yourself"}'):
        file = tmp_path / "key.json"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        with pytest.raises(RefusedError, match="does not accept the credentials") as caught:
            await upload(made.path, there)
        assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value) and "kept-to-yourself" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
async def test_nobody_there(made: Made, settings: Settings, scheme: str) -> None:
    away = settings.model_copy(update={"upload_url": f"{scheme}://bucket/x", "upload_endpoint": "http://127.0.0.1:1"})
    with pytest.raises(VagusError, match="connection") as caught:
        await collect(upload_backup(made.path, away, Control(), patience_seconds=1))
    assert "VAGUS" not in caught.value.happened


@pytest.mark.parametrize(
    "url",
    ["", "ftp://bucket/x", "s3://", "s3://Bucket", "s3://key:secret@bucket/x", "gs://bucket?x=1", "s3://[/x", "bucket"],
)
def test_addresses_that_cannot_be_used(settings: Settings, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_remote(settings.model_copy(update={"upload_url": url}))
    assert "secret@" not in str(caught.value)
    assert unusable("s3://bucket/folder") is None and unusable("gs://my.bucket") is None


def test_keys_from_the_files_of_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = s1\n"
        "[work]\naws_access_key_id = two\naws_secret_access_key = s2\naws_session_token = t%2\n"
    )
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n[profile work]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    # The environment comes first.
    assert aws_profile() == {}
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_REGION")
    assert aws_profile() == {"access_key_id": "one", "secret_access_key": "s1", "region": "eu-north-1"}
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert aws_profile() == {
        "access_key_id": "two",
        "secret_access_key": "s2",
        "session_token": "t%2",
        "region": "eu-west-1",
    }
