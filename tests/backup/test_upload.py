"""Copies off this machine: the same bytes, gone on with after a break, taken back after a stop."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.backup.helpers import Made, Store, collect, upload
from tests.backup.test_verification import largest, reseal
from tests.databases import TestDatabase
from tests.google_store import GoogleStore, google_store
from tests.object_store import ObjectStore, line_to
from vagus_tui.backup import list_backups, s3_bucket
from vagus_tui.backup import upload as upload_module
from vagus_tui.backup.manifest import DamagedBackupError, read_manifest
from vagus_tui.backup.remote import UploadFailedError, open_remote
from vagus_tui.backup.remote_listing import list_remote
from vagus_tui.backup.retrying import Retrying
from vagus_tui.backup.s3_bucket import S3Bucket
from vagus_tui.backup.upload import upload_backup
from vagus_tui.control import Control
from vagus_tui.errors import CancelledByOperatorError, RefusedError
from vagus_tui.events import NoteEvent, ResultEvent, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.settings import Settings

pytestmark = pytest.mark.usefixtures("cloud_credentials")


PART = 5 << 20
"""As small as S3 allows, so that a few parts are soon sent."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("upload", "s3_bucket"):
        monkeypatch.setattr(f"vagus_tui.backup.{module}.PART", PART)


def enlarged(path: Path, size: int) -> Path:
    """A CSV file that needs several parts, sealed into the manifest again."""
    file = path / "csv" / "exercises.csv"
    with file.open("ab") as out:
        while file.stat().st_size < size:
            out.write(secrets.token_bytes(1 << 20))
            out.flush()
    reseal(path)
    return file


async def test_a_copy_has_the_same_bytes(
    place: tuple[str, Store], made: Made, settings: Settings, clean_database: TestDatabase
) -> None:
    url, cloud = place
    bucket = url.partition("://")[2]
    there = cloud.settings(settings, f"{url}/workout-migration/")
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
    if isinstance(cloud, ObjectStore):
        listing = cloud.get(f"{bucket}?list-type=2")
        assert b".vagus-tui-" not in listing and not cloud.unfinished(bucket)
        # The large one went in parts, and every other in one piece.
        assert re.findall(rb"-(\d+)(?:&quot;|.)</ETag>", listing) == [b"3"]
    else:
        assert len(cloud.names(bucket)) == len(manifest.files) + 2
    # Listed there and here, and in the journal.
    (copy,) = await list_remote(there)
    assert (copy.id, copy.problems) == (manifest.id, ())
    assert copy.url == done.result.figures["url"] == f"{url}/workout-migration/{manifest.id}"
    (info,) = list_backups(settings)
    assert info.uploaded is not None and info.uploaded_to == copy.url
    async with clean_database.connect() as connection:
        assert (await store.latest_note(connection, "upload"))["url"] == copy.url
    again = await upload(made.path, there)
    assert again.result.figures is not None and again.result.figures["sent_bytes"] == 0
    assert again.result.figures["already_there"] == again.result.figures["files"] == len(manifest.files) + 2
    # What was changed there is sent again.
    victim = max(manifest.files, key=lambda entry: entry.bytes)
    cloud.put(f"{folder}/{victim.name}", bytes(victim.bytes))
    mended = await upload(made.path, there)
    assert mended.result.figures is not None and mended.result.figures["sent_bytes"] == victim.bytes
    assert hashlib.sha256(cloud.get(f"{folder}/{victim.name}")).hexdigest() == victim.sha256
    # Progress by bytes, to the end, whether they were sent, there already or there with others.
    for one in (done, again, mended):
        steps = {step.id: step for step in one.steps if step.state is StepState.DONE}
        assert steps["upload"].rows == steps["upload-verify"].rows == done.result.figures["bytes"]


async def test_after_a_break_it_goes_on_where_it_was(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    async with line_to(cloud) as line:
        there = cloud.settings(settings, f"s3://{bucket}", f"http://127.0.0.1:{line.port}")
        sent, said = 0, list[str]()
        with pytest.raises(UploadFailedError, match="connection") as caught:
            async for event in upload_backup(made.path, there, Control(), patience_seconds=3):
                if event.kind == "check":
                    sent += 1
                    if sent == 3:
                        line.cut_now()
                if isinstance(event, NoteEvent):
                    said.append(event.message)
    assert "not sent again" in str(caught.value)
    # Meanwhile it says which try it was, why, and what can be done about it.
    assert [text.partition(",")[0] for text in said[:2]] == ["S3: try 1 failed", "S3: try 2 failed"]
    assert "the connection broke" in said[0] and "Trying again for 3 s at most" in said[0]
    assert "what has arrived is not sent again" in said[0] and "kept-to-yourself" not in "".join(said)
    direct = cloud.settings(settings, f"s3://{bucket}")
    (copy,) = await list_remote(direct)
    assert copy.problems == ("It was not copied to its end.",)
    done = await upload(made.path, direct)
    assert done.result.ok and done.result.figures is not None
    assert done.result.figures["already_there"] >= 3 and done.result.figures["sent_bytes"] > 0
    (copy,) = await list_remote(direct)
    assert not copy.problems


async def test_what_breaks_and_comes_back_is_gone_on_with(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library tries the parts of a large file again without a word: that, too, is told."""
    monkeypatch.setattr(s3_bucket, "_STALL_SECONDS", 0.3)
    enlarged(made.path, 8 * PART)
    said: list[str] = []
    async with line_to(cloud) as line:
        there = cloud.settings(settings, f"s3://{bucket}", f"http://127.0.0.1:{line.port}")
        cut, results = False, []
        async for event in upload_backup(made.path, there, Control()):
            if not cut and isinstance(event, StepEvent) and event.id == "upload" and (event.rows or 0) > 2 * PART:
                cut = True
                line.cut_now()
            if isinstance(event, NoteEvent):
                said.append(event.message)
                line.mend()
            if isinstance(event, ResultEvent):
                results.append(event.ok)
    assert cut and results == [True]
    assert said[0].startswith("S3: try 1 failed, the connection broke")
    assert "S3 answers again" in said[-1]


async def test_a_line_that_falls_silent_is_not_waited_for_without_end(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing breaks and nothing comes: the library alone would wait for five minutes."""
    monkeypatch.setattr(s3_bucket, "_STALL_SECONDS", 0.3)
    monkeypatch.setattr(s3_bucket, "_CONNECT_SECONDS", 1)
    enlarged(made.path, 8 * PART)
    said: list[str] = []
    async with line_to(cloud) as line, asyncio.timeout(40):
        there = cloud.settings(settings, f"s3://{bucket}", f"http://127.0.0.1:{line.port}")
        with pytest.raises(UploadFailedError, match="connection"):
            async for event in upload_backup(made.path, there, Control(), patience_seconds=4):
                if isinstance(event, StepEvent) and event.id == "upload" and (event.rows or 0) > 2 * PART:
                    line.hold()
                if isinstance(event, NoteEvent):
                    said.append(event.message)
    assert said and all("it did not answer in time" in text for text in said)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_small_request_that_is_not_answered_is_told_and_ends(
    cloud: ObjectStore, bucket: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """Whether nobody answers any more, or others are answered and this request alone is not."""
    for name, seconds in (("STALL", 0.1), ("CONNECT", 0.5), ("SLOW", 0.2), ("ANSWER", 0.8), ("LONGEST", 0.1)):
        monkeypatch.setattr(s3_bucket, f"_{name}_{'PAUSE' if name == 'LONGEST' else 'SECONDS'}", seconds)
    said: list[str] = []
    async with line_to(cloud) as line, asyncio.timeout(20):
        there = cloud.settings(settings, f"s3://{bucket}", f"http://127.0.0.1:{line.port}")
        store = open_remote(there, patience_seconds=2, tell=lambda note: said.append(note.message)).store
        await store.put("small", b"data")
        if answered:
            line.hold_next()
            # It is given up and made again, on a connection that passes.
            assert await store.get("small", 0, 4) == b"data"
            assert "answers, but slowly" in said[0] and "It is made again after" in said[0]
        else:
            line.hold()
            with pytest.raises(TimeoutError):
                await store.size("small")
            assert said and all("did not answer in time" in text for text in said)


async def test_a_killed_server_is_gone_on_with(made: Made, settings: Settings, tmp_path: Path) -> None:
    big = enlarged(made.path, 4 * PART)
    sizes = {entry.name: entry.bytes for entry in read_manifest(made.path).files}
    with google_store(tmp_path / "google") as google:
        google.bucket("kept")
        there = google.settings(settings, "gs://kept/copies")
        before, killed, states, said = 0, False, {}, list[str]()
        with pytest.raises(UploadFailedError, match="connection") as caught:
            async for event in upload_backup(made.path, there, Control(), patience_seconds=2):
                before += event.kind == "check"
                if isinstance(event, StepEvent):
                    states[event.id] = event.state
                if isinstance(event, NoteEvent):
                    said.append(event.message)
                if not killed and isinstance(event, StepEvent) and event.id == "upload" and event.rows:
                    # In the middle of the large file.
                    left = sum(sizes.values()) - event.rows
                    if left > 0 and event.rows > PART and before and big.stat().st_size > left:
                        google.kill()
                        killed = True
        assert states["upload"] is StepState.FAILED
        assert killed and "not sent again" in str(caught.value)
        assert said and said[0].startswith("Google Cloud Storage: try 1 failed, ")
        # Nobody there: a stop is heard all the same.
        control = Control()
        asyncio.get_running_loop().call_later(0.3, control.cancel)
        with pytest.raises(CancelledByOperatorError):
            await asyncio.wait_for(collect(upload_backup(made.path, there, control)), 3)
        google.start()
        (copy,) = await list_remote(there)
        assert copy.problems == ("It was not copied to its end.",)
        done = await upload(made.path, there)
        assert done.result.ok and done.result.figures is not None
        assert done.result.figures["already_there"] >= before > 0
        assert done.result.figures["sent_bytes"] >= sizes["csv/exercises.csv"]
        (copy,) = await list_remote(there)
        assert not copy.problems


class StopsAfter(Control):
    """A stop is asked for when it has been looked for so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    @property
    def cancelled(self) -> bool:
        self.times -= 1
        return self.times < 0


async def test_a_stop_takes_the_parts_back(place: tuple[str, Store], made: Made, settings: Settings) -> None:
    url, cloud = place
    there = cloud.settings(settings, url)
    enlarged(made.path, 10 * PART)
    # It is looked for once per file and per piece of 1 MB: that is in the middle of the large file.
    with pytest.raises(CancelledByOperatorError, match="stays"):
        await upload(made.path, there, StopsAfter(40))
    assert isinstance(cloud, GoogleStore) or not cloud.unfinished(url.removeprefix("s3://"))
    (copy,) = await list_remote(there)
    assert copy.problems and copy.bytes < 10 * PART


async def test_whoever_breaks_it_off_leaves_nothing_at_work(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlarged(made.path, 6 * PART)
    before, reading = asyncio.all_tasks(), upload_module._local

    async def read_until_broken_off(path: Path) -> AsyncIterator[bytes]:
        read = 0
        async for data in reading(path):
            yield data
            if read <= 2 * PART < read + len(data):
                task.cancel()
            read += len(data)

    async def copying() -> None:
        async for _ in upload_backup(made.path, cloud.settings(settings, f"s3://{bucket}"), Control()):
            pass

    monkeypatch.setattr(upload_module, "_local", read_until_broken_off)
    task = asyncio.create_task(copying())
    await asyncio.wait({task})
    assert task.cancelled() and asyncio.all_tasks() == before
    assert not cloud.unfinished(bucket) and b"csv/exercises.csv" not in cloud.get(f"{bucket}?list-type=2")


async def test_a_damaged_backup_is_not_sent_for_a_whole_one(
    place: tuple[str, Store], made: Made, settings: Settings
) -> None:
    url, cloud = place
    # Exactly some chunks long: the last one must not finish the copy before the whole was looked at.
    enlarged(made.path, PART)
    victim = largest(made.path)
    with victim.open("r+b") as file:
        file.truncate(6 << 20)
    enlarged(made.path, 10 << 20)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    there = cloud.settings(settings, url)
    with pytest.raises(DamagedBackupError, match="changed since"):
        await upload(made.path, there)
    (copy,) = await list_remote(there)
    assert copy.problems and copy.bytes < len(content)
    (made.path / "SHA256SUMS").unlink()
    with pytest.raises(DamagedBackupError, match="SHA256SUMS cannot be read"):
        await upload(made.path, there)
    with pytest.raises(RefusedError, match="was never finished"):
        await upload(made.path.rename(f"{made.path}.partial"), there)


async def test_other_bytes_that_come_back_are_noticed(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the trial, which is asked for as a whole, nothing is sent at all."""
    get, trial = S3Bucket.get, True

    async def flipped(self: S3Bucket, name: str, start: int = 0, end: int | None = None) -> bytes:
        data = bytearray(await get(self, name, start, end))
        data[0] ^= (end is None) is trial
        return bytes(data)

    monkeypatch.setattr(S3Bucket, "get", flipped)
    there = cloud.settings(settings, f"s3://{bucket}")
    with pytest.raises(UploadFailedError, match="gave back other bytes"):
        await upload(made.path, there)
    assert b"<Key>" not in cloud.get(f"{bucket}?list-type=2")
    trial = False
    with pytest.raises(UploadFailedError, match=r"came back .* with other bytes"):
        await upload(made.path, there)
    assert list_backups(settings)[0].uploaded is None


async def test_what_else_lies_there_is_passed_over(
    cloud: ObjectStore, bucket: str, made: Made, settings: Settings
) -> None:
    there = cloud.settings(settings, f"s3://{bucket}/copies")
    assert await list_remote(there) == []
    cloud.put(f"{bucket}/copies/notes.txt", b"hello")
    cloud.put(f"{bucket}/copies/20260301/220000-v1-abcdef/manifest.json", b"{not json")
    cloud.put(f"{bucket}/elsewhere/20260301/220000-v1-abcdef/manifest.json", b"{}")
    # With no database to tell of it there is nothing to say; with one that is away there is.
    done = await upload(made.path, there.model_copy(update={"database_url": None}))
    assert not [event for event in done.events if isinstance(event, NoteEvent)]
    away = there.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:9/x")})
    (note,) = [event for event in (await upload(made.path, away)).events if isinstance(event, NoteEvent)]
    assert note.message.startswith("The journal could not be told of the copy.")
    broken, whole = sorted(await list_remote(there), key=lambda copy: copy.id)
    assert not whole.problems and "not a readable manifest" in broken.problems[0]


def test_what_is_told_of_tries_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("vagus_tui.backup.retrying.time.monotonic", lambda: clock[0])
    told: list[str] = []
    retrying = Retrying("S3", 60, lambda note: told.append(note.message))

    def at(seconds: float) -> None:
        clock[0] = 100.0 + seconds

    retrying.failed("it refuses")
    at(10)
    retrying.failed("it refuses")
    at(59.5)
    # The error that ends it is about to follow.
    retrying.failed("it refuses")
    assert [line.partition(". It goes on")[0] for line in told] == [
        "S3: try 1 failed, it refuses. Trying again for 60 s at most",
        "S3: try 2 failed, it refuses. Trying again for 50 s at most",
    ]
    assert not retrying.exhausted
    at(61)
    assert retrying.exhausted
    retrying.answered()
    retrying.answered()
    assert told[2:] == ["S3 answers again, after 61 s; 3 tries had failed."] and not retrying.exhausted
    # A line that had been silent for a while before the try.
    retrying.failed("nothing came", heard=clock[0] - 20)
    assert "Trying again for 40 s" in told[3]
    for seconds, limit in ((200, 30.0), (230, 30.0), (261, math.inf)):
        at(seconds)
        retrying.waiting(5.0, limit)
    assert told[4:] == [
        "S3 answers, but slowly: nothing has moved for 5 s. It is made again after 30 s.",
        "S3 answers, but slowly: nothing has moved for 5 s.",
    ]
