"""Whatever a v1 database holds comes back: generated columns, types and values, backed up, restored and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.backup.helpers import collect, make, settings_for
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.backup import ArchiveFormat, BackupOptions, Kind, restore_test
from vagus_tui.control import Control
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.identifiers import quote

TEXTS = st.one_of(
    st.sampled_from(["", " ", "\\N", "\\.", "NULL", 'a "b"', "a,b;c", "line\nbreak", "\r\n", "\t", "\u202eleft", "🏋️"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40),
    st.builds(str.__mul__, st.sampled_from(["x", '"', "\n", "ß"]), st.integers(1000, 20_000)),
)
NUMBERS = st.sampled_from(["0", "-0.00", "1e-9", "NaN", "12345678901234567890.123456789", "100", "100.0"])
VALUES: dict[str, st.SearchStrategy[str]] = {
    "text": TEXTS,
    "varchar(30)": TEXTS.map(lambda text: text[:30]),
    "char(5)": TEXTS.map(lambda text: text[:5]),
    "numeric": NUMBERS,
    "float8": st.one_of(st.sampled_from(["NaN", "-Infinity", "0.1", "-0"]), st.floats().map(repr)),
    "bytea": st.binary(max_size=200).map(lambda data: "\\x" + data.hex()),
    "timestamptz": st.sampled_from(["infinity", "2026-02-28T00:00:00.000001Z", "0044-03-15 BC", "epoch"]),
    "interval": st.sampled_from(["1 mon -1 day", "-00:00:01", "P1Y"]),
    "jsonb": st.sampled_from(["null", "{}", '{"b": [1, 1.0], "a": "\\u202e"}', '"\\n"']),
    "text[]": st.sampled_from(["{}", '{NULL,"","a,b"}', '{{a,"\\""},{c,d}}']),
    "int4range": st.sampled_from(["empty", "[1,5)", "(,3]"]),
    "inet": st.sampled_from(["10.0.0.0/8", "::1"]),
    "bool": st.sampled_from(["t", "f"]),
    "public.mood": st.sampled_from(["low", 'very "high"']),
}
NAMES = ["felt", "Felt", "select", 'a "b"', "two words", "ünïcode", "a,b", "%s", "$1", "x" * 63]


@st.composite
def shapes(draw: st.DrawFn) -> list[tuple[str, str, list[str | None]]]:
    """Columns that somebody added to the plans: name, type, and what some rows hold."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True))
    kinds = [draw(st.sampled_from(sorted(VALUES))) for _ in names]
    return [
        (name, kind, draw(st.lists(st.one_of(st.none(), VALUES[kind]), min_size=1, max_size=6)))
        for name, kind in zip(names, kinds, strict=True)
    ]


async def fill(database: TestDatabase, columns: list[tuple[str, str, list[str | None]]]) -> None:
    """Add the columns, and put their values into the first plans."""
    async with database.connect() as connection:
        await connection.execute("create type public.mood as enum ('low', 'very \"high\"')")
        ids = [row[0] for row in await connection.fetch("select id from workout_plans order by id")]
        for name, kind, values in columns:
            await connection.execute(f"alter table workout_plans add column {quote(name)} {kind}")
            await connection.executemany(
                f"update workout_plans set {quote(name)} = $2::text::{kind} where id = $1",
                list(zip(ids, values, strict=False)),
            )


@pytest.mark.slow
@settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(columns=shapes(), form=st.sampled_from(ArchiveFormat))
async def test_whatever_it_holds_comes_back(
    make_database: MakeDatabase, tmp_path: Path, columns: list[Any], form: ArchiveFormat
) -> None:
    database = await make_database(SandboxOptions(plans=10))
    await fill(database, columns)
    options = BackupOptions(kinds=frozenset({Kind.TABLES, Kind.CSV}), format=form)
    made = await make(settings_for(database, tmp_path), options)
    done = await collect(restore_test(made.path, settings_for(database, tmp_path), Control()))
    assert done.result.ok, done.problems
