"""Dumps compressed after pg_dump wrote them: read by plain tools, stopped without a trace, not without room."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
from pathlib import Path

import pytest

from tests.backup.helpers import make
from tests.backup.test_interrupted import nothing_left
from tests.databases import TestDatabase
from vagus_tui.backup import BackupOptions, Compression, Kind
from vagus_tui.backup.compress import PIECE, compress_archive
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.database.tools import ClientTools, tools_for
from vagus_tui.errors import CancelledByOperatorError, UndoneError
from vagus_tui.events import NoteEvent
from vagus_tui.settings import Settings

TABLES = BackupOptions(kinds=frozenset({Kind.TABLES}), compression=Compression.GZIP)
BIG = "insert into public.big select n, repeat(md5(n::text), 20) from generate_series(1, 5000) n"


async def pg_restore(settings: Settings) -> Path:
    async with Database(settings).connection("test") as connection:
        tools = await tools_for(connection)
    assert isinstance(tools, ClientTools)
    return tools.pg_restore


async def test_the_tools_of_postgresql_read_it(settings: Settings, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as connection:
        await connection.execute("create table public.big (n int, words text); create table public.bare (n int)")
        await connection.execute(BIG)
        await connection.execute("select lo_from_bytea(0, 'large')")
        words = await connection.fetchval("select string_agg(n || E'\\t' || words || E'\\n', '' order by n) from big")
    done = await make(settings, BackupOptions(kinds=frozenset({Kind.FULL}), compression=Compression.GZIP))
    archive = done.path / "full"
    assert [path.name for path in archive.glob("*.dat")] == ["toc.dat"]
    packed = [path.read_bytes() for path in archive.glob("*.dat.gz")]
    (big,) = (data for data in packed if gzip.decompress(data).decode() == words + "\\.\n\n\n")
    assert big.count(b"\x1f\x8b\x08\0") == -(-len(words) // PIECE) == 4
    command = [str(await pg_restore(settings)), "--data-only", "--file=-", str(archive)]
    text = (await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)).stdout.decode()
    assert words in text and "COPY public.bare (n) FROM stdin;\n\\.\n" in text and "lo_open" in text


async def test_without_room_pg_dump_compresses(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus_tui.backup.make.TEXT_SHARE", 1e12)
    done = await make(settings, TABLES)
    assert done.result.ok and "compress-tables" not in {step.id for step in done.steps}
    assert any("little room" in event.message for event in done.events if isinstance(event, NoteEvent))
    assert list((done.path / "workout-tables").glob("*.dat.gz"))


async def test_a_full_disk_while_it_compresses_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: int, start: int) -> bytearray:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vagus_tui.backup.compress._piece", full)
    with pytest.raises(UndoneError, match="disk is full"):
        await make(settings, TABLES)
    assert nothing_left(settings)


async def test_a_stop_leaves_every_row_somewhere(tmp_path: Path) -> None:
    rows = b"row\n" * PIECE
    (tmp_path / "1.dat").write_bytes(rows)
    (tmp_path / "2.dat").write_bytes(b"")
    (tmp_path / "toc.dat").write_bytes(b"contents")
    control = Control()
    with pytest.raises(CancelledByOperatorError):
        async for _ in compress_archive(tmp_path, 2, control):
            control.cancel()
    assert (tmp_path / "1.dat").read_bytes() == rows
    (tmp_path / "1.dat.gz").unlink()
    done = [size async for size in compress_archive(tmp_path, 2, Control())]
    assert sum(done) == len(rows)
    assert gzip.decompress((tmp_path / "1.dat.gz").read_bytes()) == rows
    assert gzip.decompress((tmp_path / "2.dat.gz").read_bytes()) == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.dat.gz", "2.dat.gz", "toc.dat"]
