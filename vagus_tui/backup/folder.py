"""The folder of one backup: private, built under a name that says it is unfinished, renamed at the end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from vagus_tui.backup.manifest import MANIFEST, PROOF, SUMS, FileEntry
from vagus_tui.errors import RefusedError, UndoneError, VagusError
from vagus_tui.zones import zone

PARTIAL = ".partial"
REHEARSAL = "rehearsal.json"
"""What a rehearsal on the backup measured; beside the manifest, not part of what it lists."""
STOPPED = "Stopped by the operator."
REMOVED = "What had been written of the backup was removed; the database was only read."
AS_IT_WAS = "The backup is as it was, and so is what is known of it."
AGAIN = "Check the network, then start the backup again."
# More than any table's first pages take, so that a nearly full disk is noticed before anything is written.
RESERVE_BYTES = 64 << 20


def local_now(timezone: str) -> datetime:
    """The time of day in the operator's zone; UTC when that name is unknown."""
    return datetime.now(zone(timezone))


class BackupFolder:
    """`backup_dir/YYYYMMDD/HHMMSS-<state>-<id>`, with `.partial` behind it until it is finished."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(final.name + PARTIAL)
        self._lock = -1

    @classmethod
    def create(cls, backup_dir: Path, state: str, now: datetime) -> BackupFolder:
        """Make the folder, readable by its owner alone.

        Raises:
            RefusedError: it cannot be made there.
        """
        day = backup_dir / f"{now:%Y%m%d}"
        folder = cls(day / f"{now:%H%M%S}-{state}-{secrets.token_hex(3)}")
        try:
            _private(backup_dir)
            _private(day)
            folder.path.mkdir(mode=0o700)
            folder._lock = _locked(folder.path)
        except OSError as error:
            raise RefusedError(
                f"No backup can be written to {backup_dir}: {error.strerror or type(error).__name__}.",
                next_step="Set VAGUS_BACKUP_DIR to a folder that you may write to.",
            ) from None
        return folder

    @property
    def id(self) -> str:
        """Day and name, unique within the backup folder."""
        return f"{self.final.parent.name}/{self.final.name}"

    def finish(self) -> Path:
        """Make sure that all is on disk, and give the folder its final name."""
        with explained_disk_errors():
            for entry in sorted(self.path.rglob("*")):
                if entry.is_dir():
                    entry.chmod(0o700)
                    sync_folder(entry)
                else:
                    entry.chmod(0o600)
            sync_folder(self.path)
            self.path.rename(self.final)
            sync_folder(self.final.parent)
        return self.final

    def discard(self) -> None:
        """Remove what was written of an unfinished backup; an empty day's folder too."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def _locked(folder: Path) -> int:
    """Hold a folder as long as this process lives; returns what holds it, or -1 where somebody else does.

    A file system without such locks holds nothing: there, what was left behind is left alone.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def remove_leftovers(backup_dir: Path) -> list[Path]:
    """Remove unfinished backups that nobody is writing any more: their program was killed. Returns what was removed."""
    removed = []
    for folder in backup_dir.glob(f"{'[0-9]' * 8}/{'[0-9]' * 6}-*{PARTIAL}"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or (lock := _locked(folder)) < 0:
                continue
            os.close(lock)
            shutil.rmtree(folder)
            removed.append(folder)
            folder.parent.rmdir()
    return removed


def _private(folder: Path) -> None:
    """Make a folder and those above it; what we make is closed to others."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable, where the system can."""
    with contextlib.suppress(PermissionError, NotImplementedError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def explained_disk_errors() -> Iterator[None]:
    """Turn what the file system says into the family of errors that is shown.

    Raises:
        UndoneError: a full disk, a folder that went away, a file that cannot be written.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        raise disk_error(error) from None


def disk_error(error: OSError) -> VagusError:
    """What the file system said, in plain words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UndoneError(
            "The disk is full.", state=REMOVED, next_step="Free space or set VAGUS_BACKUP_DIR to a roomier place."
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return UndoneError(
            "The backup's folder went away while it was written.",
            state="There is no backup from this run.",
            next_step="Check that the disk is still there and nobody removes the folder, then start again.",
        )
    return UndoneError(
        f"Writing the backup failed: {error.strerror or type(error).__name__}.",
        state=REMOVED,
        next_step="Check the disk and the folder's permissions, then start again.",
    )


def free_bytes(folder: Path) -> int | None:
    """Free space where a folder is or will be; None when it cannot be known."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


def files_in(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its name inside it; links are listed, never followed."""
    found = {}
    for root, folders, names in os.walk(folder):
        folders.sort()
        base = Path(root)
        for name in (*names, *(name for name in folders if (base / name).is_symlink())):
            path = base / name
            found[path.relative_to(folder).as_posix()] = path
    return found


def content_files(folder: Path) -> dict[str, Path]:
    """The files that a manifest lists: all but the manifest itself, its checksums, the proof and the rehearsal."""
    own = {MANIFEST, SUMS, PROOF, f".{PROOF}.part", REHEARSAL, f".{REHEARSAL}.part"}
    return {name: path for name, path in files_in(folder).items() if name not in own}


def tree_bytes(path: Path) -> int:
    """The size of a file or of all files below a folder, for progress; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        with os.scandir(path) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.is_file())
    except OSError:
        return 0


def sums_text(manifest: bytes, files: tuple[FileEntry, ...]) -> str:
    """The checksums in the form that `sha256sum -c` reads."""
    lines = [f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}"]
    lines += [f"{entry.sha256}  {entry.name}" for entry in files]
    return "\n".join(lines) + "\n"


def write_private(path: Path, text: str) -> None:
    """Write a small file that only its owner may read, durably."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
