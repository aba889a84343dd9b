"""Copies of backups off this machine: sent in parts, read back and compared (guide, "Upload Backups to Cloud Storage").

A copy has the same names as the backup, below the target's folder. Its manifest is sent last, so what was broken off
does not look like a backup. Whatever is there already with the right bytes is read back and not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg

from vagus_tui.backup.folder import PARTIAL, STOPPED
from vagus_tui.backup.manifest import MANIFEST, SUMS, DamagedBackupError, FileEntry, Manifest, read_manifest
from vagus_tui.backup.progress import Progress
from vagus_tui.backup.remote import RETRY_SECONDS, Remote, UploadFailedError, explained, open_remote
from vagus_tui.backup.verify import check, keep_proof
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.errors import CancelledByOperatorError, RefusedError, VagusError, account
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent
from vagus_tui.format import plural
from vagus_tui.jobs import with_notes
from vagus_tui.journal import store
from vagus_tui.settings import Settings

__all__ = ["probe_target", "upload_backup"]

TOPIC = "upload"
"""The journal's notes on copies that were made and read back."""

PART = 8 << 20
"""Up to so many bytes a file is sent in one piece; and so many are read back at once."""
_READ = 1 << 20
PROBE_SECONDS = 10
_WITHDRAWAL_SECONDS = 5
T = TypeVar("T")
_STAYS = "What had arrived there stays and need not be sent again; the backup on this machine is as it was."


@dataclass(slots=True)
class _Copy:
    """One upload under way."""

    path: Path
    remote: Remote
    manifest: Manifest
    control: Control
    sent: int = 0
    present: int = 0

    def stop_if_asked(self) -> None:
        """Raise when a stop was asked for."""
        if self.control.cancelled:
            raise CancelledByOperatorError(STOPPED, state=_STAYS)

    async def asked(self, work: Awaitable[T]) -> T:
        """Wait for an answer of the cloud, in the cloud's words made ours; no longer than until a stop is asked for."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.control.wait_cancelled())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            self.stop_if_asked()
            with explained(self.remote):
                return await task
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def name(self, file: str) -> str:
        """A file's name below the target's folder."""
        return f"{self.manifest.id}/{file}"


async def upload_backup(
    path: Path, settings: Settings, control: Control, *, patience_seconds: int = RETRY_SECONDS
) -> AsyncGenerator[Event, None]:
    """Copy a backup to the target of the settings, and read all of it back.

    Yields a step per pass with its progress in bytes, a check per file, and last a `ResultEvent`.

    Args:
        patience_seconds: how long requests that fail are tried again.

    Raises:
        DamagedBackupError: there is no manifest, or a file is not what the manifest says.
        ConfigurationError, RefusedError: no target, or it is not ours to write.
        UploadFailedError: the way there broke, or what came back is not what was sent.
        CancelledByOperatorError: a stop was asked for.
    """
    notes: asyncio.Queue[Event] = asyncio.Queue()
    uploading = with_notes(_upload(path, settings, control, patience_seconds, notes.put_nowait), notes)
    async with contextlib.aclosing(uploading):
        async for event in uploading:
            yield event


async def _upload(
    path: Path, settings: Settings, control: Control, patience_seconds: int, tell: Callable[[Event], None]
) -> AsyncGenerator[Event, None]:
    started = time.perf_counter()
    if path.name.endswith(PARTIAL):
        raise RefusedError(f"{path.name} was never finished.", next_step="Upload a finished backup.")
    manifest = await asyncio.to_thread(read_manifest, path)
    remote = open_remote(settings, patience_seconds=patience_seconds, tell=tell)
    copy = _Copy(path, remote, manifest, control)
    trying = Progress("upload-target", Phase.BACKUP, f"Try {remote.address()}", 0)
    yield trying.started()
    # Whoever is not there now is not waited for: that is for a line that breaks on the way.
    hurried = open_remote(settings, patience_seconds=min(PROBE_SECONDS, patience_seconds), tell=tell)
    await copy.asked(probe_target(hurried))
    yield trying.finished()
    own = await asyncio.to_thread(_own_files, path)
    files = (*manifest.files, *own)
    total = sum(entry.bytes for entry in files)
    sending = Progress("upload", Phase.BACKUP, f"Copy to {remote.address()}", total)
    reading = Progress("upload-verify", Phase.VERIFY, "Read the copy back", total)
    yield sending.started()
    yield reading.started()
    try:
        for entry in files:
            async for event in _copy_file(copy, entry, sending, reading):
                yield event
    except VagusError as error:
        yield (sending if sending.done < total else reading).failed(error.happened)
        raise
    yield sending.finished(message=f"{copy.present} of {len(files)} files were there already" if copy.present else None)
    yield reading.finished()
    for note in await _remember(path, settings, copy, total):
        yield NoteEvent(level="warning", message=note)
    url = remote.address(manifest.id)
    yield ResultEvent(
        ok=True,
        message=f"Copied and read back: {plural(len(files), 'file')}, the same bytes.",
        exit_status=0,
        seconds=round(time.perf_counter() - started, 3),
        figures={
            "path": str(path),
            "url": url,
            "files": len(files),
            "bytes": total,
            "sent_bytes": copy.sent,
            "already_there": copy.present,
        },
    )


def _own_files(path: Path) -> tuple[FileEntry, ...]:
    """The manifest and its checksums, which it cannot list itself; the manifest last.

    Raises:
        DamagedBackupError: one of them is not there.
    """
    found = []
    for name in (SUMS, MANIFEST):
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise _unreadable(name, error) from None
        found.append(FileEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    return tuple(found)


def _unreadable(name: str, error: OSError) -> DamagedBackupError:
    return DamagedBackupError(
        f"{name} cannot be read: {error.strerror or type(error).__name__}.",
        next_step="Use another backup, or make a new one.",
    )


async def _copy_file(copy: _Copy, entry: FileEntry, sending: Progress, reading: Progress) -> AsyncIterator[Event]:
    """Send one file unless it is there, and read it back.

    Raises:
        UploadFailedError: what came back is not what was sent.
    """
    copy.stop_if_asked()
    begun = time.perf_counter()
    name, there = copy.name(entry.name), False
    if await copy.asked(copy.remote.store.size(name)) == entry.bytes:
        digest = hashlib.sha256()
        async for piece in _read_back(copy, name, entry.bytes, digest):
            if told := reading.add(piece):
                yield told
        there = digest.hexdigest() == entry.sha256
        if not there:
            reading.done -= entry.bytes
    if there:
        copy.present += 1
        if told := sending.add(entry.bytes):
            yield told
    else:
        async for event in _send(copy, entry, name, sending):
            yield event
        copy.sent += entry.bytes
        digest = hashlib.sha256()
        async for piece in _read_back(copy, name, entry.bytes, digest):
            if told := reading.add(piece):
                yield told
        if digest.hexdigest() != entry.sha256:
            raise UploadFailedError(
                f"{entry.name} came back from {copy.remote.address()} with other bytes than were sent.",
                state="The copy there cannot be relied on; the backup on this machine is as it was.",
                next_step="Start again; if it happens twice, use another target.",
            )
    yield _file_check(entry, time.perf_counter() - begun, there=there)


def _file_check(entry: FileEntry, seconds: float, *, there: bool) -> CheckEvent:
    measured = f"{entry.bytes:,} bytes{', was there already' if there else ''}"
    return check(f"upload-{entry.name}", entry.name, [], measured, f"{entry.bytes:,} bytes, same SHA-256", seconds)


async def _send(copy: _Copy, entry: FileEntry, name: str, step: Progress) -> AsyncIterator[Event]:
    """Send a file in parts; what it is made of is hashed on the way, so that a damaged file is not sent for a whole."""
    digest, begun = hashlib.sha256(), step.done
    broken = False

    async def pieces() -> AsyncIterator[bytes]:
        async for data in _local(copy.path / entry.name):
            if broken:
                raise asyncio.CancelledError
            copy.stop_if_asked()
            digest.update(data)
            step.done += len(data)
            yield data
        if digest.hexdigest() != entry.sha256:
            raise DamagedBackupError(
                f"{entry.name} was changed since the backup was made: it is not sent.",
                next_step="Use another backup, or make a new one.",
            )

    # Small files in one piece: a part of its own needs three requests.
    if entry.bytes <= PART:
        data = b"".join([piece async for piece in pieces()])
        work = asyncio.ensure_future(copy.remote.store.put(name, data))
    else:
        work = asyncio.ensure_future(copy.remote.store.send(name, pieces(), entry.bytes))
    try:
        with explained(copy.remote):
            while not work.done():
                await asyncio.wait({work}, timeout=0.25)
                copy.stop_if_asked()
                if event := step.at(step.done):
                    yield event
            await work
    finally:
        if not work.done():
            # Ending the stream lets the library take the parts back that have arrived.
            broken = True
            await asyncio.wait({work}, timeout=_WITHDRAWAL_SECONDS)
            work.cancel()
        if work.done() and not work.cancelled():
            work.exception()
    step.done = begun + entry.bytes


async def _local(path: Path) -> AsyncIterator[bytes]:
    """The pieces of a file on this machine.

    Raises:
        DamagedBackupError: it cannot be read.
    """
    try:
        file = await asyncio.to_thread(path.open, "rb", 0)
        try:
            while data := await asyncio.to_thread(file.read, _READ):
                yield data
        finally:
            file.close()
    except OSError as error:
        raise _unreadable(path.name, error) from None


async def _read_back(copy: _Copy, name: str, size: int, digest: hashlib._Hash) -> AsyncIterator[int]:
    """Read an object back piece by piece into a digest; yields the bytes of each piece."""
    for start in range(0, size, PART):
        copy.stop_if_asked()
        end = min(start + PART, size)
        data = await copy.asked(copy.remote.store.get(name, start, end))
        await asyncio.to_thread(digest.update, data)
        yield end - start


async def probe_target(remote: Remote) -> None:
    """Put a small object, read it back and delete it.

    Raises:
        RefusedError: the bucket is missing or not ours to write, or the credentials are wrong.
        UploadFailedError: it cannot be reached, or gives back something else.
    """
    name, data = f".vagus-tui-{secrets.token_hex(8)}", secrets.token_bytes(64)
    with explained(remote):
        await remote.store.put(name, data)
        try:
            back = await remote.store.get(name)
        finally:
            await remote.store.delete(name)
    if back != data:
        raise UploadFailedError(f"{remote.address()} gave back other bytes than were sent.")


async def _remember(path: Path, settings: Settings, copy: _Copy, size: int) -> list[str]:
    """Note beside the backup and in the journal that the copy was made; returns what did not work, in words."""
    notes = []
    url = copy.remote.address(copy.manifest.id)
    try:
        await asyncio.to_thread(keep_proof, path, uploaded=url)
    except OSError as error:
        notes.append(f"That it was uploaded could not be kept: {error.strerror or 'no access'}.")
    if settings.database_url is None:
        return notes
    try:
        async with Database(settings).connection("upload") as connection:
            await store.note(
                connection,
                TOPIC,
                {"path": str(path), "url": url, "bytes": size, "verified_at": datetime.now(UTC)},
                operator=settings.operator,
            )
    except (VagusError, asyncpg.PostgresError) as error:
        notes.append(f"The journal could not be told of the copy. {account(error)}")
    return notes
