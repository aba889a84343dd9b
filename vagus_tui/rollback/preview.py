"""What a quick rollback would carry back now, looked up in a transaction that is taken back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg

from vagus_tui.database.connection import Connection, answer_time, execute_all, fetch_named
from vagus_tui.format import plural
from vagus_tui.journal.state import DatabaseState
from vagus_tui.migration.capture import V2_CHANGES, V2_UNNOTED
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback import ahead, kept_rows
from vagus_tui.rollback.archive import archive_name, will_be_bound, will_be_bound_words
from vagus_tui.rollback.carry_back import REPLACED, CarryBack
from vagus_tui.rollback.kept import read_kept
from vagus_tui.rollback.quick_plan import LOCKED_SETTINGS, quick_steps, way_back
from vagus_tui.rollback.touched import Touched
from vagus_tui.rollback.unnoted import TEMPORARY, UNDECIDED, Comparison, read_unnoted
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.inverse import counterpart

SHORT_MS = 500
"""How long a preview waits for a lock."""
SHOWN = 5
"""So many rows are named where there may be many."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is carried back into one v1 table, or would be."""

    table: str
    new: int
    changed: int
    deleted: int
    not_expressible: int
    kept_values: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rollback would do now: rows carried back per table, and what stays in the archive alone.

    Args:
        kept_out: the first rows of which v1 cannot hold something: table, id, and the columns in the way.
        by_hand: what was changed about the kept v1 tables and what points at v2 since the cut-over, and what becomes
            of it.
        bound: what others have made on v2 since, which will hang on the archive.
        put_back: what becomes of rows of the kept v1 that went or were changed since.
        compared: what comparing every row has shown, where that was done and showed something.
        days: where v1 holds days and v2 times, and rows are to come back with one.
        whole: every row was compared.
        replaced: sets that were deleted and have another in their place; those are set aside, unless all is to go.
        seconds: how long it took to find out what was written, as far as that is done while writes wait.
        answer_seconds: how long the server's answers take to get here.
    """

    carried: tuple[Carried, ...]
    only_in_v2: dict[str, int]
    kept_out: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    put_back: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    whole: bool = False
    replaced: int = 0
    seconds: float = 0.0
    answer_seconds: float = 0.0

    @property
    def told(self) -> list[str]:
        """All that is otherwise than the cut-over left it, and what becomes of it: a sentence each."""
        return [*self.by_hand, *self.put_back, *self.compared, *self.days, *will_be_bound_words(self.bound)]

    @property
    def total(self) -> int:
        """Rows written since the cut-over that would be carried back."""
        return sum(item.new + item.changed for item in self.carried)

    @property
    def deletions(self) -> int:
        """Rows deleted since the cut-over, which stay in v1 unless chosen otherwise, but for replaced sets."""
        return sum(item.deleted for item in self.carried)


async def preview(connection: Connection, state: DatabaseState, *, compare: bool = False) -> Preview:
    """What a rollback would carry back now. Reads only: its transaction is rolled back.

    Args:
        compare: compare every row, though every write seems to have been noted. It takes about as long as the proof.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    way = await way_back(connection, state)
    kept = await read_kept(connection, way.survey)
    noting, changes, compared = way.noting, V2_CHANGES, list[str]()
    if not noting.intact:
        listed = "" if noting.gone else f"select table_name, row_id from {V2_CHANGES} union all "
        changes = f"({listed}select table_name, row_id from pg_temp.{TEMPORARY}) written"
    archive = archive_name(datetime.now(UTC))
    _, carry = quick_steps(way.around, way.run, archive, kept, deletions=False, changes=changes, looked=ahead.TEMPORARY)
    compare = compare or not noting.intact
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        put_back = await _as_kept(connection, kept_rows.KeptRows(way.survey, kept))
        if compare:
            await execute_all(connection, Comparison(way.survey, way.options).temporary(noted=not noting.gone))
            unnoted = await read_unnoted(connection, f"pg_temp.{TEMPORARY}")
            compared = unnoted.told() if noting.intact else [unnoted.carried()]
        elif await connection.fetchval("select to_regclass($1) is not null", V2_UNNOTED):
            # What an earlier attempt has found, and nobody has decided about yet.
            compared = (await read_unnoted(connection, UNDECIDED)).told()
        await execute_all(connection, (*carry.rows.look_ahead(ahead.TEMPORARY), *LOCKED_SETTINGS))
        answer = await answer_time(connection)
        began = time.perf_counter()
        await execute_all(connection, carry.collect())
        found = await counts(connection, way.survey, carry)
        seconds = time.perf_counter() - began
        days = await _days_alone(connection, carry.rows)
        bound = await will_be_bound(connection, way.survey)
        return replace(
            found,
            by_hand=tuple(way.told()),
            bound=tuple(bound),
            put_back=tuple(put_back),
            compared=tuple(compared),
            days=tuple(days),
            whole=compare,
            seconds=seconds,
            answer_seconds=answer,
        )
    finally:
        await transaction.rollback()


async def _as_kept(connection: Connection, rows: kept_rows.KeptRows) -> list[str]:
    """Within a transaction that is taken back: put back rows of the kept v1, and say which; nobody waits long."""
    try:
        async with connection.transaction():
            await execute_all(connection, [f"set local lock_timeout = {SHORT_MS}", *rows.statements()])
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
        return ["Somebody is leaving just now: rows of the kept v1 that they take along are not counted in here."]
    return kept_rows.put_back_words(await kept_rows.read_put_back(connection))


async def _days_alone(connection: Connection, rows: Touched) -> list[str]:
    """Where v1 holds the day of a time that is to come back, and not the time: a sentence per column."""
    queries = {}
    for base in v1.TABLES:
        moments = {column.name for column in v2.MODEL[base].columns if column.type == "timestamptz"}
        for column in rows.columns(base):
            place = counterpart(base, rows.shape.tables[base], column.name)
            if column.plain == "date" and place in moments:
                time = f"t.{quote(place)}"
                queries[f"{base}.{column.name}"] = (
                    f"select count(*) from {rows.now(base)} n join {rows.of_v2(base)} t on t.id = n.id\n"
                    f"left join {rows.before(base)} b on b.id = n.id\n"
                    f"where {time} <> date_trunc('day', {time}, 'UTC') and {rows.differs(column, 'n', 'b')}"
                )
    found = await fetch_named(connection, queries) if queries else []
    return [
        f"{row['name']} holds days in v1: of {plural(row['count'], 'row')} the time of day stays in the archive alone."
        for row in found
        if row["count"]
    ]


async def counts(connection: Connection, survey: Survey, carry: CarryBack) -> Preview:
    """What was found to be carried back, and what not, in the transaction in which it was collected."""
    rows = await fetch_named(connection, {base: carry.counts(base) for base in v1.TABLES})
    found = {row["name"]: {name: value for name, value in row.items() if name != "name"} for row in rows}
    carried = [Carried(base, **found[base]) for base in v1.TABLES]
    changed = {
        table: f"select count(*) from pg_temp.vagus_changed c join {qualified(survey.shape.schema, table)} t "
        f"on t.id::text = c.id where c.table_name = {literal(table)}"
        for table in (v2.WEEKS, v2.DAYS, v2.GROUPS)
    }
    rows = await fetch_named(connection, changed)
    only = {row["name"]: row["count"] for row in rows if row["count"]}
    named: list[str] = []
    if any(item.not_expressible or item.kept_values for item in carried):
        rows = await connection.fetch(f"select * from (\n{carry.kept_out()}\n) k order by 1, 2 limit {SHOWN}")
        named = [f"{row['table_name']} {row['row_id']} ({', '.join(row['columns'])})" for row in rows]
    replaced = int(await connection.fetchval(carry.replaced())) if carried[-1].deleted else 0
    return Preview(tuple(carried), only, tuple(named), replaced=replaced)


def replaced_words(sets: int) -> str:
    """What becomes of deleted sets where others are in their place, in a sentence or two."""
    are = plural(sets, "of the deleted sets has", "of the deleted sets have")
    return (
        f"{are} another in their place in v2, with the same session, exercise and number. Those come back into v1, and "
        "the deleted ones go whole into the journal: vagus-tui fix lists them as "
        f"{REPLACED}, and puts them back beside the others if that is wanted."
    )
