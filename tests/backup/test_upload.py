"""Copies off this machine: the same bytes, resumed after a break, refused with a reason, no secret told."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from pathlib import Path
from typing import Any

import obstore
import pytest

from tests.backup.helpers import Made, collect
from tests.backup.test_verification import largest, reseal
from tests.databases import TestDatabase
from tests.object_store import KEYS, ObjectStore, line_to
from vagus_tui.backup import list_backups
from vagus_tui.backup.manifest import DamagedBackupError, read_manifest
from vagus_tui.backup.remote import UploadFailedError, aws_profile, open_remote, unusable
from vagus_tui.backup.remote_listing import list_remote
from vagus_tui.backup.upload import PART, upload_backup
from vagus_tui.control import Control
from vagus_tui.errors import CancelledByOperatorError, ConfigurationError, RefusedError, VagusError
from vagus_tui.events import StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.settings import Settings

_numbers = itertools.count(1)


pytestmark = pytest.mark.usefixtures("cloud_credentials")


@pytest.fixture
def bucket(cloud: ObjectStore) -> str:
    name = f"bucket{next(_numbers)}"
    cloud.bucket(name)
    return name


async def upload(path: Path, settings: Settings, control: Control | None = None) -> Made:
    return await collect(upload_backup(path, settings, control or Control()))


def enlarged(path: Path, size: int) -> Path:
    """A CSV file that needs several parts, sealed into the manifest again."""
    file = path / "csv" / "exercises.csv"
    with file.open("ab") as out:
        while file.stat().st_size < size:
            out.write(secrets.token_bytes(1 << 20))
            out.flush()
    reseal(path)
    return file


@pytest.mark.parametrize("scheme", ["s3", "gs"])
async def test_a_copy_has_the_same_bytes(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, clean_database: TestDatabase, scheme: str
) -> None:
    there = cloud.settings(settings, f"{scheme}://{bucket}/workout-migration/")
    big = enlarged(made.path, 2 * PART + 12345)
    done = await upload(made.path, there)
    assert done.result.ok and done.result.figures is not None
    manifest = read_manifest(made.path)
    folder = f"{bucket}/workout-migration/{manifest.id}"
    for entry in manifest.files:
        assert hashlib.sha256(cloud.get(f"{folder}/{entry.name}")).hexdigest() == entry.sha256
    assert cloud.get(f"{folder}/manifest.json") == (made.path / "manifest.json").read_bytes()
    assert big.name in {Path(name).name for name in done.checks}
    # Nothing of the trial is left, and no parts.
    assert b".vagus-tui-" not in cloud.get(f"{bucket}?list-type=2") and not cloud.unfinished(bucket)
    # Listed there and here, and in the journal.
    (copy,) = await list_remote(there)
    assert (copy.id, copy.problems) == (manifest.id, ())
    assert copy.url == done.result.figures["url"] == f"{scheme}://{bucket}/workout-migration/{manifest.id}"
    (info,) = list_backups(settings)
    assert info.uploaded is not None and info.uploaded_to == copy.url
    async with clean_database.connect() as connection:
        assert (await store.latest_note(connection, "upload"))["url"] == copy.url
    # Progress by bytes, to the end.
    steps = {step.id: step for step in done.steps if step.state is StepState.DONE}
    assert steps["upload"].rows == steps["upload-verify"].rows == done.result.figures["bytes"]
    again = await upload(made.path, there)
    assert again.result.figures is not None and again.result.figures["sent_bytes"] == 0


async def test_a_copy_that_was_changed_there_is_sent_again(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    there = cloud.settings(settings, f"s3://{bucket}")
    await upload(made.path, there)
    manifest = read_manifest(made.path)
    victim = max(manifest.files, key=lambda entry: entry.bytes)
    cloud.put(f"{bucket}/{manifest.id}/{victim.name}", bytes(victim.bytes))
    again = await upload(made.path, there)
    assert again.result.figures is not None and again.result.figures["sent_bytes"] == victim.bytes
    assert hashlib.sha256(cloud.get(f"{bucket}/{manifest.id}/{victim.name}")).hexdigest() == victim.sha256


async def test_after_a_break_it_goes_on_where_it_was(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    async with line_to(cloud) as line:
        there = cloud.settings(settings, f"s3://{bucket}", f"http://127.0.0.1:{line.port}")
        sent = 0
        with pytest.raises(UploadFailedError, match="connection") as caught:
            async for event in upload_backup(made.path, there, Control()):
                if event.kind == "check":
                    sent += 1
                    if sent == 3:
                        line.cut_now()
    assert "not sent again" in str(caught.value)
    direct = cloud.settings(settings, f"s3://{bucket}")
    (copy,) = await list_remote(direct)
    assert copy.problems == ("It was not copied to its end.",)
    done = await upload(made.path, direct)
    assert done.result.ok and done.result.figures is not None
    assert done.result.figures["already_there"] >= 3 and done.result.figures["sent_bytes"] > 0
    (copy,) = await list_remote(direct)
    assert not copy.problems


async def test_a_stop_takes_the_parts_back(cloud: ObjectStore, bucket: str, made: Made, settings: Settings) -> None:
    there = cloud.settings(settings, f"s3://{bucket}")
    enlarged(made.path, 6 * PART)
    control = Control()
    with pytest.raises(CancelledByOperatorError, match="stays"):
        async for event in upload_backup(made.path, there, control):
            if isinstance(event, StepEvent) and event.id == "upload" and (event.rows or 0) > PART:
                control.cancel()
    assert not cloud.unfinished(bucket)
    (copy,) = await list_remote(there)
    assert copy.problems


async def test_a_damaged_backup_is_not_sent_for_a_whole_one(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    victim = largest(made.path)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    there = cloud.settings(settings, f"s3://{bucket}")
    with pytest.raises(DamagedBackupError, match="changed since"):
        await upload(made.path, there)
    assert all(copy.problems for copy in await list_remote(there))


async def test_other_bytes_that_come_back_are_noticed(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = obstore.get_range_async

    async def flipped(*arguments: Any, **options: Any) -> bytes:
        data = bytearray(await get(*arguments, **options))
        data[0] ^= 1
        return bytes(data)

    monkeypatch.setattr(obstore, "get_range_async", flipped)
    with pytest.raises(UploadFailedError, match="other bytes"):
        await upload(made.path, cloud.settings(settings, f"s3://{bucket}"))
    assert list_backups(settings)[0].uploaded is None


@pytest.mark.parametrize("scheme", ["s3", "gs"])
async def test_a_bucket_that_is_not_there(cloud: ObjectStore, made: Made, settings: Settings, scheme: str) -> None:
    with pytest.raises(RefusedError, match="no bucket named “nowhere”"):
        await upload(made.path, cloud.settings(settings, f"{scheme}://nowhere/x"))


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


async def test_nobody_there(made: Made, settings: Settings) -> None:
    away = settings.model_copy(update={"upload_url": "s3://bucket/x", "upload_endpoint": "http://127.0.0.1:1"})
    with pytest.raises(VagusError, match="connection") as caught:
        await upload(made.path, away)
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


async def test_what_else_lies_there_is_passed_over(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    there = cloud.settings(settings, f"s3://{bucket}/copies")
    assert await list_remote(there) == []
    cloud.put(f"{bucket}/copies/notes.txt", b"hello")
    cloud.put(f"{bucket}/copies/20260301/220000-v1-abcdef/manifest.json", b"{not json")
    cloud.put(f"{bucket}/elsewhere/20260301/220000-v1-abcdef/manifest.json", b"{}")
    await upload(made.path, there)
    broken, whole = sorted(await list_remote(there), key=lambda copy: copy.id)
    assert not whole.problems and "not a readable manifest" in broken.problems[0]
