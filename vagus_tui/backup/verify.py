"""Reading a backup back: every byte of every file, every row of every archive (guide, "Backup Verification")."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from vagus_tui.backup.archive import RowCounter, read_archive
from vagus_tui.backup.csv_files import CsvCheck
from vagus_tui.backup.damage import tell_journal
from vagus_tui.backup.folder import AS_IT_WAS, PARTIAL, STOPPED, content_files, sums_text
from vagus_tui.backup.gauge import BackupGauge, gauged
from vagus_tui.backup.hashing import FileHash
from vagus_tui.backup.manifest import (
    MANIFEST,
    PROOF,
    SUMS,
    ArchiveEntry,
    CsvEntry,
    DamagedBackupError,
    Manifest,
    Proof,
    proof_is_spoilt,
    read_manifest,
    read_proof,
    write_proof,
)
from vagus_tui.backup.options import Compression
from vagus_tui.backup.progress import Progress
from vagus_tui.backup.weights import of_verification
from vagus_tui.control import Control
from vagus_tui.database.tools import ClientTools, MissingTools, find_tools
from vagus_tui.errors import CancelledByOperatorError, RefusedError, sentences
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent, Status
from vagus_tui.format import plural
from vagus_tui.settings import Settings

GROUP = "backup"
NOT_PLAIN = "is not a plain file."
_SHOWN = 5


def some(names: list[str]) -> str:
    """The first few of a list, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def some_sentences(said: list[str]) -> str:
    """The first few of a list of sentences, and how many more there are."""
    shown = sentences(*said[:_SHOWN])
    return shown if len(said) <= _SHOWN else f"{shown} And {len(said) - _SHOWN} more."


def check(id: str, title: str, problems: list[str], measured: str, expected: str, seconds: float) -> CheckEvent:
    """The outcome of one part of a verification."""
    return CheckEvent(
        id=id,
        group=GROUP,
        title=title,
        status=Status.FAIL if problems else Status.PASS,
        measured=plural(len(problems), "problem") if problems else measured,
        expected=expected,
        overridable=False,
        seconds=round(seconds, 3),
        rows=len(problems) or None,
        message="\n".join(problems[:50]) or None,
    )


async def verify_backup(path: Path, control: Control, settings: Settings | None = None) -> AsyncGenerator[Event, None]:
    """Read the whole backup back; whatever is damaged, cut off, missing or too much is named.

    Yields steps with their progress in bytes, a check per part, and last a `ResultEvent` whose `ok` says whether
    the backup can be relied on. The result is kept beside the manifest (`proof.json`), and damage also in the journal
    of the database that the settings name.

    Raises:
        DamagedBackupError: there is no manifest to compare with.
        RefusedError: no program here can read its archives.
        CancelledByOperatorError: a stop was asked for.
    """
    gauge = BackupGauge()
    async with contextlib.aclosing(gauged(_verify(path, control, settings, gauge), gauge)) as verifying:
        async for event in verifying:
            yield event


async def _verify(
    path: Path, control: Control, settings: Settings | None, gauge: BackupGauge
) -> AsyncGenerator[Event, None]:
    started = time.perf_counter()
    manifest = await asyncio.to_thread(read_manifest, path)
    gauge.plan(of_verification(manifest))
    problems: list[str] = []
    async for event in verify_contents(path, manifest, control, problems):
        yield event
    if path.name.endswith(PARTIAL):
        problems.append(f"{path.name} was never finished.")
    ok = not problems
    told, spoilt = "", await asyncio.to_thread(proof_is_spoilt, path)
    if ok:
        if await asyncio.to_thread(clears_damage, path, VERIFICATION):
            told = await tell_journal(settings, path, "", by=VERIFICATION)
        try:
            await asyncio.to_thread(keep_proof, path, verified=True)
        except OSError as error:
            yield NoteEvent(level="warning", message=f"The proof could not be kept: {error.strerror or 'no access'}.")
    else:
        await asyncio.to_thread(keep_damage, path, some_sentences(problems), by=VERIFICATION)
        told = await tell_journal(settings, path, some_sentences(problems), by=VERIFICATION)
    if spoilt:
        yield NoteEvent(level="warning", message=f"{PROOF} was changed or cut off: what it said of tests is lost.")
    if told:
        yield NoteEvent(level="warning", message=told)
    yield ResultEvent(
        ok=ok,
        message=f"The backup is whole: {plural(len(manifest.files), 'file')}, {plural(manifest.rows, 'row')}."
        if ok
        else f"The backup is damaged: {some_sentences(problems)}",
        next_step=None if ok else "Make a new backup; do not rely on this one.",
        exit_status=0 if ok else 1,
        seconds=round(time.perf_counter() - started, 3),
        figures={
            "path": str(path),
            "files": len(manifest.files),
            "bytes": manifest.bytes,
            "rows": manifest.rows,
            "problems": problems[:50],
        },
    )


async def verify_contents(
    path: Path, manifest: Manifest, control: Control, problems: list[str]
) -> AsyncIterator[Event]:
    """Compare a folder with its manifest; what is wrong is added to `problems`."""
    async for event in _verify_files(path, manifest, control, problems):
        yield event
    if any(problem.endswith(NOT_PLAIN) for problem in problems):
        # A pipe in a file's place would be waited for without end, a link would lead somewhere else.
        return
    for archive in manifest.archives:
        async for event in _verify_archive(path, manifest, archive, control, problems):
            yield event
    for table in manifest.csv:
        async for event in _verify_csv(path, table, control, problems):
            yield event


OURS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why a file cannot be read by whoever asks, here and now, whatever is in it."""


def _unread(name: str, error: OSError) -> str:
    """What to say of a file that cannot be read.

    Raises:
        RefusedError: it is for a reason that says nothing about the backup.
    """
    said = f"{name} cannot be read: {error.strerror or type(error).__name__}."
    if error.errno in OURS:
        raise RefusedError(
            said, state=AS_IT_WAS, next_step="Mend that, or log in as whoever made it; then start again."
        )
    return said


async def _verify_files(path: Path, manifest: Manifest, control: Control, problems: list[str]) -> AsyncIterator[Event]:
    """Every file that should be there is, with its bytes; no other is."""
    step = Progress("verify-files", Phase.VERIFY, "Read every file", manifest.bytes)
    found: list[str] = []
    yield step.started()
    present = await asyncio.to_thread(content_files, path)
    expected = {entry.name: entry for entry in manifest.files}
    found += [f"{name} is missing." for name in expected if name not in present]
    found += [f"{name} does not belong to the backup." for name in sorted(present.keys() - expected.keys())]
    found += await asyncio.to_thread(_sums_problems, path, manifest)
    for name, entry in expected.items():
        if name not in present:
            continue
        file = present[name]
        try:
            information = await asyncio.to_thread(file.lstat)
            if not stat.S_ISREG(information.st_mode):
                found.append(f"{name} {NOT_PLAIN}")
                continue
            if information.st_size != entry.bytes:
                found.append(f"{name} has {information.st_size:,} bytes instead of {entry.bytes:,}.")
                step.done += entry.bytes
                continue
            reading = FileHash(file)
            async for size in reading.read():
                if event := step.add(size):
                    yield event
                if control.cancelled:
                    raise CancelledByOperatorError(STOPPED, state="The backup is as it was.")
            if reading.sha256 != entry.sha256:
                found.append(f"{name} was changed: its checksum differs.")
        except OSError as error:
            found.append(_unread(name, error))
    problems += found
    yield step.finished()
    yield check(
        "backup-files",
        "Files and checksums",
        found,
        plural(len(manifest.files), "file"),
        "as in the manifest",
        step.seconds,
    )


def _sums_problems(path: Path, manifest: Manifest) -> list[str]:
    """The manifest's own checksum, in the file that `sha256sum -c` reads too."""
    try:
        sums = (path / SUMS).read_bytes()[: 64 << 20]
        text = (path / MANIFEST).read_bytes()
    except OSError as error:
        return [f"{SUMS} cannot be read: {error.strerror or type(error).__name__}."]
    expected = sums_text(text, manifest.files).encode()
    if sums == expected:
        return []
    if sums.partition(b"\n")[2] != expected.partition(b"\n")[2]:
        return [f"{SUMS} or {MANIFEST} was changed: they do not list the same files."]
    return [f"{MANIFEST} was changed: its checksum in {SUMS} differs."]


def reading_tools(manifest: Manifest, archives: tuple[ArchiveEntry, ...]) -> ClientTools | MissingTools:
    """A pg_restore that can read these archives; blocks for some tens of milliseconds."""
    zstd = any(archive.compression is Compression.ZSTD for archive in archives)
    return find_tools(manifest.tools_major or manifest.server_major, needs_tls=False, needs_zstd=zstd)


async def _verify_archive(
    path: Path, manifest: Manifest, archive: ArchiveEntry, control: Control, problems: list[str]
) -> AsyncIterator[Event]:
    """Unpack an archive to its end and count its rows."""
    # The text is about as large as the rows on the server; definitions are a few kilobytes.
    total = sum(table.bytes for table in manifest.tables if table.key in archive.tables)
    step = Progress(f"verify-{archive.content}", Phase.VERIFY, f"Read back {archive.name}", total)
    found: list[str] = []
    yield step.started()
    counter = RowCounter() if archive.content != "definitions" else None
    tools = await asyncio.to_thread(reading_tools, manifest, (archive,))
    if isinstance(tools, MissingTools):
        raise RefusedError(
            f"{archive.name} cannot be read here: {tools.reason}",
            state=AS_IT_WAS,
            next_step=f"Install {tools.package}.",
        )
    try:
        async for size in read_archive(tools, path / archive.name, counter, control):
            if event := step.add(size):
                yield event
    except CancelledByOperatorError:
        raise CancelledByOperatorError(STOPPED, state="The backup is as it was.") from None
    except DamagedBackupError as error:
        found.append(error.happened)
    except RefusedError as error:
        # An archive that was changed may well crash its reader. Where none was, it is the reader that fails.
        if not problems:
            raise
        found.append(f"{archive.name} could not be read back: {error.happened}")
    if counter is not None and not found:
        for key in archive.tables:
            table = manifest.table(key)
            if table is None or table.partitioned:
                continue
            rows = counter.rows.get(key)
            if rows is None:
                found.append(f"{archive.name} holds no rows of {key}; {table.rows:,} are expected.")
            elif rows != table.rows:
                found.append(f"{archive.name} holds {plural(rows, 'row')} of {key}; {table.rows:,} are expected.")
    problems += found
    yield step.finished()
    rows = sum(counter.rows.get(key, 0) for key in archive.tables) if counter else 0
    yield check(
        f"backup-archive-{archive.content}",
        f"Archive {archive.name}",
        found,
        plural(rows, "row") if counter else "read to its end",
        "as in the manifest",
        step.seconds,
    )


async def _verify_csv(path: Path, table: CsvEntry, control: Control, problems: list[str]) -> AsyncIterator[Event]:
    """Parse a CSV file to its end and count its rows."""
    file = path / table.name
    size = await asyncio.to_thread(lambda: file.stat().st_size if file.exists() else 0)
    step = Progress(f"verify-{Path(table.name).name}", Phase.VERIFY, f"Read back {table.name}", size)
    found: list[str] = []
    yield step.started()
    reading = CsvCheck(file)
    try:
        async for piece in reading.read():
            if event := step.add(piece):
                yield event
            if control.cancelled:
                raise CancelledByOperatorError(STOPPED, state="The backup is as it was.")
        if reading.columns != table.columns:
            found.append(f"{table.name} has other columns than the manifest.")
        if reading.rows != table.rows:
            found.append(f"{table.name} holds {plural(reading.rows, 'row')}; {table.rows:,} are expected.")
    except DamagedBackupError as error:
        found.append(error.happened)
    except OSError as error:
        found.append(_unread(table.name, error))
    problems += found
    yield step.finished()
    yield check(
        f"backup-{Path(table.name).stem}-csv",
        f"CSV {table.table}",
        found,
        plural(reading.rows, "row"),
        plural(table.rows, "row"),
        step.seconds,
    )


def manifest_checksum(path: Path) -> str:
    """The checksum of a backup's manifest, which a proof is bound to."""
    return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()


VERIFICATION, RESTORE_TEST = "verification", "restore test"


def _proof(path: Path) -> Proof:
    checksum, known = manifest_checksum(path), read_proof(path)
    return known if known is not None and known.manifest_sha256 == checksum else Proof(manifest_sha256=checksum)


def clears_damage(path: Path, by: str) -> bool:
    """Whether a test that finds the backup whole takes back what it had found itself."""
    with contextlib.suppress(OSError):
        return by in _proof(path).damage
    return False


def keep_damage(path: Path, found: str, *, by: str) -> None:
    """Note beside the manifest what a test found, so that nobody relies on what an earlier one had said.

    Where it cannot be noted the test has told it all the same.
    """
    with contextlib.suppress(OSError):
        known = read_proof(path)
        if known is not None and known.manifest_sha256 != manifest_checksum(path):
            # The manifest itself was changed, which is seen without a note.
            return
        proof = _proof(path)
        write_proof(path, proof.model_copy(update={"damage": {**proof.damage, by: found[:2000]}}))


def keep_proof(
    path: Path, *, verified: bool = False, restored: bool = False, uploaded: str = "", came_back: str = ""
) -> None:
    """Note beside the manifest that the backup was verified, restored or uploaded (to that address) just now.

    Args:
        came_back: the archive of it that was restored and compared.

    Raises:
        OSError: it cannot be written there.
    """
    known, now = _proof(path), datetime.now(UTC)
    news: dict[str, object] = {}
    if verified:
        news["verified_at"] = now
    if restored:
        news["restored_at"] = now
    # A test that finds it whole takes back what the same test had found: the disk reads it again.
    whole = {VERIFICATION: verified, RESTORE_TEST: restored}
    news["damage"] = {test: found for test, found in known.damage.items() if not whole.get(test)}
    if came_back:
        news["came_back"] = came_back
    if uploaded:
        news |= {"uploaded_at": now, "uploaded_to": uploaded}
    write_proof(path, known.model_copy(update=news))
