"""The manifest: what a backup holds, what every later comparison is made against. It holds no secret."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vagus_tui.backup.inventory import OutsideKey
from vagus_tui.backup.options import ArchiveFormat, Compression, Kind
from vagus_tui.backup.tables import BackupTable, TableColumn
from vagus_tui.errors import VagusError

FORMAT_VERSION = 2
"""2: digests tell rows apart that have swapped a value; earlier versions of this program would not know them."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
PROOF = "proof.json"
_LARGEST = 64 << 20


class DamagedBackupError(VagusError):
    """A backup that cannot be relied on; says what is wrong with which file."""

    exit_status = 1


def _inside(name: str) -> str:
    """Refuse a name that would lead out of the backup's folder: a manifest may come from anywhere."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\x00" in name or "\\" in name:
        raise ValueError("a file's name must stay inside the backup")
    return str(path)


FileName = Annotated[str, AfterValidator(_inside)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class FileEntry(_Model):
    """One file: its size and checksum."""

    name: FileName
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ColumnEntry(_Model):
    """One column, as `TableColumn`."""

    name: str
    type: str
    base_type: str
    generated: bool = False
    behind: str = ""

    def as_column(self) -> TableColumn:
        """The column as the database code has it."""
        return TableColumn(self.name, self.type, self.base_type, self.generated, self.behind)


class TableEntry(_Model):
    """One table as it was in the snapshot."""

    schema_name: str
    name: str
    workout: bool
    partitioned: bool = False
    rows: int = Field(ge=0)
    digest: str
    bytes: int = Field(ge=0)
    writes: int = 0
    in_tables: bool = False
    columns: tuple[ColumnEntry, ...]

    @property
    def key(self) -> str:
        """Schema and name."""
        return f"{self.schema_name}.{self.name}"

    def as_table(self) -> BackupTable:
        """The table as the database code has it."""
        return BackupTable(
            schema=self.schema_name,
            name=self.name,
            workout=self.workout,
            partitioned=self.partitioned,
            bytes=self.bytes,
            writes=self.writes,
            columns=tuple(column.as_column() for column in self.columns),
        )


class ArchiveEntry(_Model):
    """One archive of pg_dump's; `content` says which part it is (`definitions` has no rows)."""

    name: FileName
    content: Literal["definitions", "tables", "full"]
    format: ArchiveFormat
    compression: Compression
    tables: tuple[str, ...] = ()


class CsvEntry(_Model):
    """One table as CSV: all values quoted, NULL as nothing at all."""

    name: FileName
    table: str
    columns: tuple[str, ...]
    rows: int = Field(ge=0)


class OutsideKeyEntry(_Model):
    """A foreign key to a table outside the backup, as `OutsideKey`."""

    schema_name: str
    name: str
    columns: tuple[str, ...]
    to_schema: str
    to_name: str
    to_columns: tuple[str, ...]

    def as_key(self) -> OutsideKey:
        """The key as the database code has it."""
        return OutsideKey(self.schema_name, self.name, self.columns, self.to_schema, self.to_name, self.to_columns)


class Fingerprint(_Model):
    """Which database a backup is of, by what does not change with the address it is reached under."""

    system_identifier: str | None = None
    database_oid: int
    database: str
    journal_id: str | None = None
    label: str = ""

    def same_database(self, other: Fingerprint) -> bool:
        """Whether both are of one database. A copy has another oid or system identifier, or another address."""
        if self.system_identifier and other.system_identifier:
            return (self.system_identifier, self.database_oid) == (other.system_identifier, other.database_oid)
        if self.journal_id and other.journal_id:
            return (self.journal_id, self.database_oid) == (other.journal_id, other.database_oid)
        return (self.label, self.database_oid) == (other.label, other.database_oid)

    def vouches_for(self, other: Fingerprint) -> bool:
        """Whether a backup with this one can be relied on as one of that database.

        A server that was copied as a whole has every identifier of the first, but not what was written there since:
        the journal, with the id that every backup leaves in it.
        """
        return self.same_database(other) and self.journal_id in (None, other.journal_id)


class Manifest(_Model):
    """Everything about one backup.

    `inventory` is by table, kind and name (see `inventory.py`); `timings` are the seconds that each step of making it
    took, by its id, which a rehearsal's forecast goes by.
    """

    format_version: int
    id: str
    made_by: str
    server: str
    server_major: int
    encoding: str = "UTF8"
    fingerprint: Fingerprint
    snapshot: str
    started_at: datetime
    finished_at: datetime
    operator: str
    environment: str
    state: str
    renamed: bool = False
    kinds: tuple[Kind, ...]
    tools: str | None = None
    tools_major: int | None = None
    tables: tuple[TableEntry, ...]
    archives: tuple[ArchiveEntry, ...] = ()
    csv: tuple[CsvEntry, ...] = ()
    inventory: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)
    outside_keys: tuple[OutsideKeyEntry, ...] = ()
    roles: tuple[str, ...] = ()
    excluded_schemas: tuple[str, ...] = ()
    excluded_tables: tuple[str, ...] = ()
    files: tuple[FileEntry, ...]
    timings: dict[str, float] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all tables together, each counted once."""
        return sum(table.rows for table in self.tables if not table.partitioned)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(entry.bytes for entry in self.files)

    def table(self, key: str) -> TableEntry | None:
        """The table of that schema and name."""
        return next((table for table in self.tables if table.key == key), None)

    def text(self) -> str:
        """The manifest as JSON."""
        return self.model_dump_json(indent=1) + "\n"


def parse_manifest(data: bytes | str | Mapping[str, object], where: str) -> Manifest:
    """Read a manifest.

    Raises:
        DamagedBackupError: it is not one, or of a later version of this program.
    """
    try:
        manifest = Manifest.model_validate(data) if isinstance(data, Mapping) else Manifest.model_validate_json(data)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise DamagedBackupError(
            f"{where} is not a readable manifest{f' (at {place})' if place else ''}.",
            next_step="Use another backup, or make a new one.",
        ) from None
    if manifest.format_version > FORMAT_VERSION:
        raise DamagedBackupError(
            f"{where} was written by a later version of vagus-tui (format {manifest.format_version}).",
            next_step="Use the version of vagus-tui that made it.",
        )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a backup's folder.

    Raises:
        DamagedBackupError: there is none, or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _LARGEST:
            raise DamagedBackupError(f"{path} is too large to be a manifest.")
        data = path.read_bytes()
    except FileNotFoundError:
        if not folder.exists():
            raise DamagedBackupError(
                f"There is no {folder}.", next_step="vagus-tui backup --list names them."
            ) from None
        raise DamagedBackupError(
            f"{folder} holds no {MANIFEST}: it is no finished backup.", next_step="Use another backup."
        ) from None
    except OSError as error:
        raise DamagedBackupError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}.",
            next_step="Check its permissions and the disk.",
        ) from None
    return parse_manifest(data, str(path))


class Proof(_Model):
    """When a backup was verified, restored as a test and copied away; bound to its manifest by that one's checksum.

    It changes with every test, and the backup with its checksums does not: so it is sealed by a checksum of its own.

    Attributes:
        came_back: the archive that a rehearsal restored and compared, as `full`, where the backup holds more than it.
        damage: what speaks against it, in words, by the kind of test that found it (`verification`, `restore test`);
            only a test of that kind that finds it whole takes it back.
    """

    manifest_sha256: str
    verified_at: datetime | None = None
    restored_at: datetime | None = None
    uploaded_at: datetime | None = None
    uploaded_to: str = ""
    came_back: str = ""
    damage: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, said: object) -> object:
        """Which knew of one finding at a time."""
        if isinstance(said, dict) and isinstance(found := said.get("damage"), str):
            return {**said, "damage": {str(said.get("damaged_by")): found} if found else {}}
        return said


_SEAL = "sha256"


def _sealed(said: Mapping[str, object]) -> str:
    """The checksum of everything that a proof says but the checksum, whatever a later version may add to it."""
    rest = {name: value for name, value in said.items() if name != _SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_proof(folder: Path) -> Proof | None:
    """The proof that lies beside a manifest, or None when there is none that can be read, or it was changed.

    Those of earlier versions are not sealed, and are believed.
    """
    try:
        said = json.loads((folder / PROOF).read_bytes()[:65536])
        if isinstance(said, dict) and said.get(_SEAL, _sealed(said)) != _sealed(said):
            return None
        return Proof.model_validate_json(json.dumps(said))
    except (OSError, ValueError):
        return None


def proof_is_spoilt(folder: Path) -> bool:
    """Whether a proof lies there that counts for nothing: cut off, or changed since it was written."""
    return (folder / PROOF).exists() and read_proof(folder) is None


def write_proof(folder: Path, proof: Proof) -> None:
    """Put the proof beside the manifest, whole or not at all."""
    part = folder / f".{PROOF}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        said = proof.model_dump(mode="json")
        file.write(json.dumps({**said, _SEAL: _sealed(said)}, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / PROOF)
