"""The backups that lie in the backup folder, whatever else lies there too."""

from __future__ import annotations

import contextlib
import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vagus_tui.backup.folder import PARTIAL, content_files
from vagus_tui.backup.manifest import MANIFEST, Fingerprint, Manifest, parse_manifest, read_proof
from vagus_tui.backup.options import Kind
from vagus_tui.errors import VagusError
from vagus_tui.settings import Settings

_DAY = re.compile(r"[0-9]{8}\Z")
_NAME = re.compile(r"[0-9]{6}-[a-z0-9-]+(\.partial)?\Z")


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """One backup as it lies on this machine.

    Args:
        created: the moment its data is of (that of the snapshot).
        verified, restored, uploaded: when it was last read back in full, restored as a test, copied away; None: not,
            or not since it was changed.
        came_back: the archive that a rehearsal restored and compared, where the backup holds more than it; or "".
        problems: what can be seen without reading it (unfinished, files missing or of another size), and what the
            latest verification or restore test found.
    """

    path: Path
    state: str
    created: datetime
    bytes: int
    rows: int
    kinds: tuple[Kind, ...]
    verified: datetime | None
    restored: datetime | None
    problems: tuple[str, ...]
    manifest: Manifest | None = None
    uploaded: datetime | None = None
    uploaded_to: str = ""
    came_back: str = ""

    @property
    def usable(self) -> bool:
        """Verified, and nothing speaks against it."""
        return self.manifest is not None and self.verified is not None and not self.problems


def list_backups(settings: Settings) -> list[BackupInfo]:
    """Every backup in `settings.backup_dir`, newest first; what is no backup is passed over.

    Reads each manifest and looks at each file's size, no more: a few milliseconds per backup, so call it off the
    event loop.
    """
    found = [read_backup(folder) for folder in _folders(settings.backup_dir)]
    return sorted(found, key=lambda info: (info.created, info.path.name), reverse=True)


def latest_backup(
    settings: Settings, fingerprint: Fingerprint | None = None, fits: Callable[[Manifest], bool] = lambda _: True
) -> BackupInfo | None:
    """The newest backup that can be relied on and fits, of one database if its fingerprint is given."""
    for info in list_backups(settings):
        if not info.usable or info.manifest is None or not fits(info.manifest):
            continue
        if fingerprint is None or info.manifest.fingerprint.same_database(fingerprint):
            return info
    return None


def _folders(backup_dir: Path) -> Iterator[Path]:
    """The folders of backups; one that may not be looked into stands for whatever is in it, and says so itself."""
    for day in _entries(backup_dir):
        if day != backup_dir and not _DAY.match(day.name):
            continue
        for folder in _entries(day):
            if folder == day or _is_backup(folder):
                yield folder


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; the folder itself where it may not be looked into, nothing where it is none."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [folder]


def _is_backup(folder: Path) -> bool:
    try:
        return folder.is_dir() and (bool(_NAME.match(folder.name)) or (folder / MANIFEST).exists())
    except OSError:
        return True


def read_backup(folder: Path) -> BackupInfo:
    """One folder, whatever it holds; what is wrong with it is in `problems`."""
    try:
        data = (folder / MANIFEST).read_bytes()
        manifest = parse_manifest(data, MANIFEST)
    except OSError as error:
        unfinished = folder.name.endswith(PARTIAL)
        reason = "It was never finished." if unfinished else f"{MANIFEST}: {error.strerror or 'cannot be read'}."
        return _unreadable(folder, reason)
    except VagusError as error:
        return _unreadable(folder, error.happened)
    problems = list(_problems(folder, manifest))
    proof = read_proof(folder)
    if proof is not None and proof.manifest_sha256 != hashlib.sha256(data).hexdigest():
        problems.append(f"{MANIFEST} was changed after the backup was verified.")
        proof = None
    if proof is not None:
        problems += [f"A {test} found: {found}" for test, found in proof.damage.items()]
    return BackupInfo(
        path=folder,
        state=manifest.state,
        created=manifest.started_at if manifest.started_at.tzinfo else manifest.started_at.replace(tzinfo=UTC),
        bytes=manifest.bytes,
        rows=manifest.rows,
        kinds=manifest.kinds,
        verified=proof.verified_at if proof else None,
        restored=proof.restored_at if proof else None,
        problems=tuple(problems),
        manifest=manifest,
        uploaded=proof.uploaded_at if proof else None,
        uploaded_to=proof.uploaded_to if proof else "",
        came_back=proof.came_back if proof else "",
    )


def _unreadable(folder: Path, reason: str) -> BackupInfo:
    created = datetime.fromtimestamp(0, UTC)
    with contextlib.suppress(OSError):
        created = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return BackupInfo(
        path=folder,
        state="unknown",
        created=created,
        bytes=0,
        rows=0,
        kinds=(),
        verified=None,
        restored=None,
        problems=(reason,),
    )


def _problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What can be seen without reading the files."""
    if folder.name.endswith(PARTIAL):
        yield "It was never finished."
    present = content_files(folder)
    for entry in manifest.files:
        path = present.pop(entry.name, None)
        if path is None:
            yield f"{entry.name} is missing."
            continue
        try:
            information = path.lstat()
        except OSError:
            yield f"{entry.name} cannot be read."
            continue
        if not stat.S_ISREG(information.st_mode):
            yield f"{entry.name} is not a plain file."
        elif information.st_size != entry.bytes:
            yield f"{entry.name} has {information.st_size:,} bytes instead of {entry.bytes:,}."
    for name in sorted(present):
        yield f"{name} does not belong to the backup."
