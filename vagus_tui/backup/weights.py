"""What each step of a backup, a verification and a restore test costs, so that a gauge can say how far all of it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vagus_tui.backup.gauge import LEAST_WEIGHT, Bound, Planned
from vagus_tui.backup.job import BackupJob
from vagus_tui.backup.manifest import ArchiveEntry, CsvEntry, Manifest
from vagus_tui.backup.options import Compression, Kind
from vagus_tui.backup.tables import BackupTable
from vagus_tui.events import Phase

DIGEST_COST, DUMP_COST, CSV_COST = 6.0, 12.0, 14.0
COMPRESS_COST, CHECKSUM_COST, ARCHIVE_COST, CSV_CHECK_COST = 10.0, 3.0, 7.0, 10.0
RESTORE_COST, KEYS_COST, IMPORT_COST = 28.0, 17.0, 34.0
"""Nanoseconds per byte that the tables take on the server; measured on uuid-heavy rows."""
START_COST = 0.15
"""Seconds until a program of PostgreSQL's is at work."""
SERVER_COST = 0.3
"""Seconds until a local server is there."""
GZIP_COST = 30.0
"""What pg_dump takes longer when it compresses by itself; zstd costs next to nothing."""

Sizes = list[tuple[str, int]]
"""Parts of a backup, each with the bytes of its tables."""


def step_weight(
    name: str, phase: Phase, bound: Bound, cost: float, size: int, *, least: float = LEAST_WEIGHT
) -> Planned:
    """A step by its cost in nanoseconds per byte, on top of the seconds that it takes at the least."""
    return Planned(name, phase, bound, least + cost * size / 1e9)


def _bytes(tables: Iterable[BackupTable]) -> int:
    return sum(table.bytes for table in tables if not table.partitioned)


def of_backup(job: BackupJob) -> Iterator[Planned]:
    """Every step of a backup that is still to come once the tables, and the room for them, are known."""
    kinds = job.options.kinds
    packing = 0.0 if job.compression is Compression.ZSTD or job.packs else GZIP_COST
    dumps = [
        (name, _bytes(tables))
        for kind, name, tables in ((Kind.TABLES, "tables", job.selected), (Kind.FULL, "full", job.everything))
        if kind in kinds
    ]
    exported = [(table.name, table.bytes) for table in job.workout] if Kind.CSV in kinds else []
    yield step_weight("digest", Phase.BACKUP, Bound.SERVER, DIGEST_COST, _bytes(job.tables))
    if Kind.TABLES in kinds:
        yield step_weight("dump-definitions", Phase.BACKUP, Bound.LINE, 0, 0, least=START_COST)
    for name, size in dumps:
        yield step_weight(f"dump-{name}", Phase.BACKUP, Bound.LINE, DUMP_COST + packing, size, least=START_COST)
        if job.packs:
            yield step_weight(f"compress-{name}", Phase.BACKUP, Bound.HERE, COMPRESS_COST, size)
    for name, size in exported:
        yield step_weight(f"csv-{name}", Phase.BACKUP, Bound.LINE, CSV_COST, size)
    yield step_weight("checksums", Phase.BACKUP, Bound.HERE, CHECKSUM_COST / 3, sum(size for _, size in dumps))
    yield from _read_back(dumps, exported, definitions=Kind.TABLES in kinds)


def _read_back(dumps: Sizes, exported: Sizes, *, definitions: bool) -> Iterator[Planned]:
    size_of_all = sum(size for _, size in (*dumps, *exported))
    yield step_weight("verify-files", Phase.VERIFY, Bound.HERE, CHECKSUM_COST, size_of_all)
    if definitions:
        yield step_weight("verify-definitions", Phase.VERIFY, Bound.HERE, 0, 0)
    for name, size in dumps:
        yield step_weight(f"verify-{name}", Phase.VERIFY, Bound.HERE, ARCHIVE_COST, size)
    for name, size in exported:
        yield step_weight(f"verify-{name}.csv", Phase.VERIFY, Bound.HERE, CSV_CHECK_COST, size)


def _archived(manifest: Manifest) -> Sizes:
    """Every archive with rows, and the bytes of its tables."""
    return [
        (archive.content, sum(_size(manifest, key) for key in archive.tables))
        for archive in manifest.archives
        if archive.content != "definitions"
    ]


def _size(manifest: Manifest, key: str) -> int:
    table = manifest.table(key)
    return 0 if table is None or table.partitioned else table.bytes


def of_verification(manifest: Manifest) -> Iterator[Planned]:
    """Every step of reading a backup back."""
    exported = [(Path(entry.name).stem, _size(manifest, entry.table)) for entry in manifest.csv]
    definitions = any(archive.content == "definitions" for archive in manifest.archives)
    yield from _read_back(_archived(manifest), exported, definitions=definitions)


def of_restore_test(manifest: Manifest) -> Iterator[Planned]:
    """Every step of a restore test, and every comparison."""
    yield from of_restore(manifest, manifest.archives, manifest.csv)


def of_restore(manifest: Manifest, archives: Sequence[ArchiveEntry], csv: Sequence[CsvEntry]) -> Iterator[Planned]:
    """Every step of restoring some parts of a backup into a local server, and every comparison."""
    verify, here = Phase.VERIFY, Bound.HERE
    yield step_weight("restore-server", verify, here, 0, 0, least=SERVER_COST)
    tables: dict[str, tuple[str, ...]] = {archive.content: archive.tables for archive in archives}
    for name, size in _archived(manifest):
        if name not in tables:
            continue
        yield step_weight(f"restore-{name}-pre-data", verify, here, 0, 0, least=START_COST)
        yield step_weight(f"restore-{name}-data", verify, here, RESTORE_COST, size, least=START_COST)
        yield step_weight(f"restore-{name}-post-data", verify, here, KEYS_COST, size, least=START_COST)
        for key in tables[name]:
            yield step_weight(f"restore-{name}-{key}", verify, here, DIGEST_COST, _size(manifest, key))
    for entry in csv:
        yield step_weight(f"restore-csv-{entry.table}", verify, here, IMPORT_COST, _size(manifest, entry.table))
