"""Digests, CSV files and the counting of rows in archives: what a comparison rests on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.databases import TestDatabase
from vagus_tui.backup.archive import RowCounter
from vagus_tui.backup.csv_files import CsvCheck, export_csv, import_csv
from vagus_tui.backup.digest import Content, table_content
from vagus_tui.backup.manifest import DamagedBackupError
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.backup.tables import BackupTable, select_tables
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection

HOSTILE = [
    None,
    "",
    "plain",
    'a "quote" and ""two""',
    "comma, newline\nand\r\nreturn\rtab\t",
    "\\N",
    "\\.",
    "\n\\.\n",
    "\u202ertl \u2066x\u2069",
    "\x1b[31mred\x1b[0m [/bold] {x}",
    "'; drop table x; --",
    "é\U0001f3cb漢",
    '"',
    '""',
    " ",
    "x" * 300_000,
]


async def table(connection: Connection, name: str) -> BackupTable:
    return next(found for found in await select_tables(connection, [name]) if found.name == name)


async def digest(connection: Connection, name: str) -> Content:
    async with connection.transaction():
        await connection.execute(SESSION)
        return await table_content(connection, await table(connection, name))


async def exported(connection: Connection, found: BackupTable, path: Path) -> tuple[int, str, int]:
    return [state async for state in export_csv(connection, found, path, Control())][-1]


async def check(path: Path) -> CsvCheck:
    reading = CsvCheck(path)
    async for _ in reading.read():
        pass
    return reading


async def test_csv_round_trip_with_hostile_texts(empty_database: TestDatabase, tmp_path: Path) -> None:
    async with empty_database.connect() as conn:
        await conn.execute(
            'create table public."odd ""table""" (id int, "col, ""x""\n" text, other text, '
            "twice int generated always as (id * 2) stored)"
        )
        await conn.executemany(
            'insert into public."odd ""table""" values ($1, $2, $3)',
            [(number, text, HOSTILE[-number - 1]) for number, text in enumerate(HOSTILE)],
        )
        await conn.execute('create table public.again (like public."odd ""table""" including generated)')
        found = await table(conn, 'odd "table"')
        size, _, rows = await exported(conn, found, tmp_path / "odd.csv")
        assert (size, rows) == ((tmp_path / "odd.csv").stat().st_size, len(HOSTILE))
        reading = await check(tmp_path / "odd.csv")
        assert reading.rows == len(HOSTILE) and reading.columns == ("id", 'col, "x"\n', "other")
        assert await import_csv(conn, tmp_path / "odd.csv", "public", "again") == len(HOSTILE)
        back = await conn.fetch("select * from public.again order by id")
        assert [row[1] for row in back] == HOSTILE and [row[3] for row in back][2] == 4
        assert await digest(conn, 'odd "table"') == await digest(conn, "again")


async def test_a_table_of_one_nullable_column(empty_database: TestDatabase, tmp_path: Path) -> None:
    async with empty_database.connect() as conn:
        await conn.execute("create table public.one (v text); insert into public.one values (null), (''), ('x')")
        await exported(conn, await table(conn, "one"), tmp_path / "one.csv")
        assert (await check(tmp_path / "one.csv")).rows == 3
        await conn.execute("create table public.two (v text)")
        await import_csv(conn, tmp_path / "one.csv", "public", "two")
        assert [row[0] for row in await conn.fetch("select v from public.two")] == [None, "", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b",
        'a,b\n"1","2"',
        'a,b\n"1","2\n',
        'a,b\n"1"\n',
        'a,b\n"1","2","3"\n',
        'a,b\n1,"2"\n',
        'a,b\n"1","2"\nrubbish\n',
    ],
)
async def test_a_damaged_csv_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_bytes(text.encode())
    with pytest.raises(DamagedBackupError, match=r"x\.csv"):
        await check(tmp_path / "x.csv")


async def test_an_unreadable_row_is_said_on_import(empty_database: TestDatabase, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id\n"not a number"\n')
    async with empty_database.connect() as conn:
        await conn.execute("create table public.numbers (id int)")
        with pytest.raises(DamagedBackupError, match="cannot be read into"):
            await import_csv(conn, tmp_path / "x.csv", "public", "numbers")


async def test_a_digest_depends_on_the_rows_alone(empty_database: TestDatabase) -> None:
    """Not on their order, the table's name, the order of its columns, or the session."""
    async with empty_database.connect() as conn:
        await conn.execute(
            """
            create table public.a (id int, t text, w numeric, at timestamptz, f float8, j jsonb);
            insert into public.a select n, 'x' || n, n / 3.0, timestamptz '2025-01-01Z' + n * interval '1 h', n / 7.0,
                jsonb_build_object('b', n, 'a', null) from generate_series(1, 500) n;
            create table public.a_v1 (j jsonb, f float8, at timestamptz, w numeric, t text, id int);
            insert into public.a_v1 select j, f, at, w, t, id from public.a order by random();
            """
        )
        first = await digest(conn, "a")
        await conn.execute("set timezone = 'Asia/Kathmandu'; set extra_float_digits = -3; set datestyle = 'German'")
        assert await digest(conn, "a_v1") == first
        assert first.rows == 500


@pytest.mark.parametrize(
    "change",
    [
        "update public.d set t = t || ' ' where id = 3",
        "update public.d set t = null where t = ''",
        "update public.d set w = 1.0 where w = 1.00",
        "update public.d set m = 'b' where id = 2",
        "update public.d set u = gen_random_uuid() where id = 1",
        "delete from public.d where id = 4",
        "insert into public.d select * from public.d where id = 1",
        "update public.d set t = u_t, u_t = t where id = 5",
    ],
)
async def test_a_digest_sees_every_change(empty_database: TestDatabase, change: str) -> None:
    async with empty_database.connect() as conn:
        await conn.execute(
            """
            create type public.mood as enum ('a', 'b');
            create table public.d (id int, t text, u_t text, w numeric, m public.mood, u uuid);
            insert into public.d select n, case when n > 4 then '' else 'x' end, 'y', 1.00, 'a', gen_random_uuid()
            from generate_series(1, 6) n;
            """
        )
        before = await digest(conn, "d")
        await conn.execute(change)
        assert await digest(conn, "d") != before


async def test_a_digest_sees_two_rows_swap_a_value(empty_database: TestDatabase) -> None:
    """The sum of the server's own hashes of rows stays the same in two cases of three, as earlier digests did."""
    async with empty_database.connect() as conn:
        await conn.execute(
            "create table public.d (id int, place int); insert into public.d select n, n from generate_series(1, 40) n"
        )
        found = await table(conn, "d")
        before, unstirred = await digest(conn, "d"), await table_content(conn, found, like="h1:2:0")
        assert before.digest.startswith("h2:") and unstirred.digest.startswith("h1:")
        overlooked = 0
        for one in range(1, 40, 2):
            swap = f"update public.d set place = {2 * one + 1} - place where id in ({one}, {one + 1})"
            await conn.execute(swap)
            assert await digest(conn, "d") != before
            overlooked += await table_content(conn, found, like=unstirred.digest) == unstirred
            await conn.execute(swap)
        assert overlooked and await digest(conn, "d") == before


names = st.sampled_from(['"odd ""t"""', "exercises", '"Plan"'])
lines = st.lists(st.text(alphabet="ab\\.\tN", max_size=6).filter(lambda line: line != "\\."), max_size=8)


@given(st.lists(st.tuples(names, lines), max_size=5), st.integers(1, 40))
def test_rows_are_counted_however_the_text_is_cut(blocks: list[tuple[str, list[str]]], piece: int) -> None:
    expected: dict[str, int] = {}
    text = "--\n-- PostgreSQL database dump\n--\nSET x = 1;\n"
    for name, rows in blocks:
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        expected[f"public.{plain}"] = expected.get(f"public.{plain}", 0) + len(rows)
        text += f'COPY public.{name} (id, "a ""b\n") FROM stdin;\n' + "".join(f"{row}\n" for row in rows) + "\\.\n\n"
    data = text.encode()
    counter = RowCounter()
    for start in range(0, len(data), piece):
        counter.feed(data[start : start + piece])
    assert counter.rows == expected
