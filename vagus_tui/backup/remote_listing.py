"""The copies of backups that lie in the upload target, whatever else lies there too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from vagus_tui.backup.manifest import MANIFEST, SUMS, Manifest, parse_manifest
from vagus_tui.backup.remote import Remote, explained, open_remote
from vagus_tui.errors import VagusError
from vagus_tui.settings import Settings

_NAME = re.compile(r"(?P<id>[0-9]{8}/[0-9]{6}-[a-z0-9-]+)/(?P<file>.+)\Z", re.DOTALL)
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class RemoteBackup:
    """One copy. `problems` says what can be seen from names and sizes: unfinished, missing files, other sizes."""

    id: str
    url: str
    created: datetime
    bytes: int
    problems: tuple[str, ...]
    manifest: Manifest | None = None


async def list_remote(settings: Settings) -> list[RemoteBackup]:
    """Every copy in the target of the settings, newest first.

    Raises:
        ConfigurationError, RefusedError, UploadFailedError: it cannot be read.
    """
    remote = open_remote(settings, patience_seconds=20)
    found: dict[str, dict[str, int]] = {}
    when: dict[str, datetime] = {}
    with explained(remote):
        for item in await remote.store.names():
            if match := _NAME.match(item.name):
                found.setdefault(match["id"], {})[match["file"]] = item.bytes
                when[match["id"]] = item.modified
    copies = [await _one(remote, id, sizes, when[id]) for id, sizes in found.items()]
    return sorted(copies, key=lambda copy: (copy.created, copy.id), reverse=True)


async def _one(remote: Remote, id: str, sizes: dict[str, int], when: datetime) -> RemoteBackup:
    manifest: Manifest | None = None
    problems: list[str] = []
    if not 0 < sizes.get(MANIFEST, 0) <= _LARGEST:
        problems.append("It was not copied to its end.")
    else:
        with explained(remote):
            data = await remote.store.get(f"{id}/{MANIFEST}")
        try:
            manifest = parse_manifest(data, MANIFEST)
        except VagusError as error:
            problems.append(error.happened)
    if manifest is not None:
        problems += [f"{entry.name} is missing." for entry in manifest.files if entry.name not in sizes]
        problems += [
            f"{entry.name} has {sizes[entry.name]:,} bytes instead of {entry.bytes:,}."
            for entry in manifest.files
            if entry.name in sizes and sizes[entry.name] != entry.bytes
        ]
        if SUMS not in sizes:
            problems.append(f"{SUMS} is missing.")
    created = manifest.started_at if manifest is not None else when
    return RemoteBackup(
        id=id,
        url=remote.address(id),
        created=created if created.tzinfo else created.replace(tzinfo=UTC),
        bytes=sum(sizes.values()),
        problems=tuple(problems),
        manifest=manifest,
    )
