"""Tables as CSV: streamed out of the server into a file, checked, and read back in.

Every value is quoted and NULL is written as nothing at all, so NULL and the empty text stay apart. What stands
outside the quotes of a line is then nothing but its commas, which makes a strict check cheap.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import asyncpg

from vagus_tui.backup.folder import REMOVED, STOPPED, disk_error, explained_disk_errors
from vagus_tui.backup.manifest import DamagedBackupError
from vagus_tui.backup.tables import BackupTable
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.errors import CancelledByOperatorError, server_words

_BUFFER = 1 << 20
_PIECE = 1 << 20
_LONGEST_HEADER = 1 << 20


class _Sink:
    """A new private file that is written from a thread, in pieces of a megabyte, and hashed on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.digest = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._held = 0
        self._file: BinaryIO | None = None
        self.error: OSError | None = None

    async def __aenter__(self) -> _Sink:
        with explained_disk_errors():
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            if kind is None:
                await self._flush()
                with explained_disk_errors():
                    await asyncio.to_thread(os.fsync, self._file.fileno())
        finally:
            self._file.close()

    async def write(self, data: bytes) -> None:
        """Take a piece of the stream; it is on its way to the disk before more is asked of the server."""
        self._pieces.append(bytes(data))
        self._held += len(data)
        self.bytes += len(data)
        if self._held >= _BUFFER:
            await self._flush()

    async def _flush(self) -> None:
        data, self._pieces, self._held = b"".join(self._pieces), [], 0
        if not data:
            return
        try:
            await asyncio.to_thread(self._write_all, data)
        except OSError as error:
            self.error = error
            raise

    def _write_all(self, data: bytes) -> None:
        assert self._file is not None
        self.digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


def _copy_out_sql(table: BackupTable) -> str:
    columns = ", ".join(quote(column.name) for column in table.stored_columns)
    only = "" if table.partitioned else "only "
    return f"select {columns} from {only}{qualified(table.schema, table.name)}"


async def export_csv(
    connection: Connection, table: BackupTable, path: Path, control: Control
) -> AsyncIterator[tuple[int, str, int]]:
    """Stream a table into a new file; memory stays flat whatever the table's size.

    Yields the bytes written so far, several times a second; the last time also the file's SHA-256 and its rows.

    Raises:
        UndoneError: the disk is full, the folder went away.
        CancelledByOperatorError: a stop was asked for.
        asyncpg.PostgresError: the server refused.
    """
    async with _Sink(path) as sink:
        copy = asyncio.ensure_future(
            connection.copy_from_query(
                _copy_out_sql(table), output=sink.write, format="csv", header=True, force_quote=True, encoding="utf8"
            )
        )
        stop = asyncio.ensure_future(control.wait_cancelled())
        try:
            while not copy.done():
                await asyncio.wait([copy, stop], timeout=0.25, return_when=asyncio.FIRST_COMPLETED)
                if control.cancelled:
                    raise CancelledByOperatorError(STOPPED, state=REMOVED)
                yield sink.bytes, "", 0
            try:
                status = await copy
            except Exception:
                if sink.error is not None:
                    raise disk_error(sink.error) from None
                raise
        finally:
            stop.cancel()
            if not copy.done():
                copy.cancel()
                # The connection is closed by its owner; here only the stream has to be over.
                await asyncio.gather(copy, return_exceptions=True)
    yield sink.bytes, sink.digest.hexdigest(), int(status.split()[-1])


class CsvCheck:
    """Reads a CSV file of ours strictly: its header, that every row has all its columns, and how many there are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: tuple[str, ...] = ()
        self.rows = 0
        self._header = b""
        self._inside = False
        self._outside = b""
        self._line = b""

    async def read(self) -> AsyncIterator[int]:
        """Read the file to its end; yields the number of bytes of each piece.

        Raises:
            DamagedBackupError: it is not a whole CSV file of ours.
            OSError: it cannot be read.
        """
        file = await asyncio.to_thread(open, self.path, "rb", 0)
        try:
            while size := await asyncio.to_thread(self._piece, file):
                yield size
        finally:
            file.close()
        if self._inside or self._outside or not self.columns:
            raise self.damaged("ends in the middle of a row")

    def _piece(self, file: BinaryIO) -> int:
        data = file.read(_PIECE)
        size = len(data)
        if data and not self.columns:
            data = self.take_header(data)
        if data:
            self._take_rows(data)
        return size

    def take_header(self, data: bytes) -> bytes:
        """Read the first line, whose names are quoted only where they must be; returns what follows it."""
        self._header += data
        end = -1
        while (end := self._header.find(b"\n", end + 1)) >= 0:
            if self._header.count(b'"', 0, end) % 2 == 0:
                break
        if end < 0:
            if len(self._header) > _LONGEST_HEADER:
                raise self.damaged("has no header")
            return b""
        try:
            text = self._header[: end + 1].decode("utf-8")
            self.columns = tuple(next(csv.reader(io.StringIO(text, newline=""), strict=True)))
        except (UnicodeDecodeError, csv.Error, StopIteration):
            raise self.damaged("has no readable header") from None
        rest, self._header = self._header[end + 1 :], b""
        self._line = b"," * (len(self.columns) - 1) + b"\n"
        return rest

    def _take_rows(self, data: bytes) -> None:
        """Drop what is quoted; what is left must be the commas of whole rows."""
        pieces = data.split(b'"')
        outside = b"".join(pieces[1::2] if self._inside else pieces[::2])
        self._inside ^= len(pieces) % 2 == 0
        outside = self._outside + outside
        rows = outside.count(b"\n")
        whole, _, self._outside = outside.rpartition(b"\n")
        if rows and whole + b"\n" != self._line * rows:
            at = self.rows + next(
                number
                for number, line in enumerate((whole + b"\n").split(b"\n"), start=1)
                if line + b"\n" != self._line
            )
            raise self.damaged(f"has a damaged row near {at:,}")
        if self._outside.strip(b","):
            raise self.damaged(f"has a damaged row near {self.rows + rows + 1:,}")
        self.rows += rows

    def damaged(self, how: str) -> DamagedBackupError:
        """The error that says what is wrong with the file."""
        return DamagedBackupError(f"{self.path.name} {how}.", next_step="Use another backup, or make a new one.")


def read_header(path: Path) -> tuple[str, ...]:
    """The column names of a CSV file of ours.

    Raises:
        DamagedBackupError: it has no header that can be read.
    """
    check = CsvCheck(path)
    with path.open("rb") as file:
        while not check.columns:
            data = file.read(65536)
            if not data:
                raise check.damaged("has no header")
            check.take_header(data)
    return check.columns


async def import_csv(
    connection: Connection, path: Path, schema: str, table: str, columns: Sequence[str] | None = None
) -> int:
    """Read a CSV file of ours into a table; returns the number of rows.

    Args:
        columns: the table's columns in the file's order; by default those of the file's header.

    Raises:
        DamagedBackupError: the file has no readable header, or the server could not read a row.
    """
    names = tuple(columns) if columns is not None else await asyncio.to_thread(read_header, path)
    target = f"{qualified(schema, table)} ({', '.join(quote(name) for name in names)})"
    try:
        with path.open("rb") as file:
            status = await connection.copy_to_table(
                table,
                source=file,
                schema_name=schema,
                columns=list(names),
                format="csv",
                header=True,
                encoding="utf8",
            )
    except asyncpg.DataError as error:
        raise DamagedBackupError(
            f"{path.name} cannot be read into {target}: {server_words(error)}",
            next_step="Use another backup, or make a new one.",
        ) from None
    return int(status.split()[-1])
