"""What a backup is to hold and in what form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The parts a backup can have, in any combination (guide, "Backup Procedures")."""

    TABLES = "tables"
    CSV = "csv"
    FULL = "full"


class ArchiveFormat(StrEnum):
    """pg_dump's archive forms: a folder written by several workers, or one file."""

    DIRECTORY = "directory"
    CUSTOM = "custom"


class Compression(StrEnum):
    """gzip is read by every pg_restore; zstd only by those built with it (then a note says that gzip was used)."""

    GZIP = "gzip"
    ZSTD = "zstd"


ALL_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What to back up.

    Args:
        kinds: `tables` the workout tables and what hangs on them, `csv` the same data for people,
            `full` everything but Supabase's own schemas.
        compression: None takes zstd where the pg_dump at hand can write it, gzip elsewhere.
        jobs: workers that pg_dump reads with; the directory form alone can use more than one.
    """

    kinds: frozenset[Kind] = ALL_KINDS
    format: ArchiveFormat = ArchiveFormat.DIRECTORY
    compression: Compression | None = None
    jobs: int = 2

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a backup needs at least one kind")
        if not 1 <= self.jobs <= 16:
            raise ValueError("jobs is between 1 and 16")
