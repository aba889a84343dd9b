"""Measures access: every person as themselves, every table, every command, v1's policies against v2's.

What counts as lost, gained and by design stands in `evaluation`. Everything is worked out in the server: one block
per batch of people, as their role and with their claims, in a transaction that is rolled back. The client keeps the
figures of the sample and of those who lost or gained, however many people and rows there are.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from vagus_tui.checks.access import people as crowd
from vagus_tui.checks.access.applied import compare_with_server
from vagus_tui.checks.access.classes import COACHES, class_statement, class_table, coaches_statement
from vagus_tui.checks.access.evaluation import FOUND, SETTINGS, STATEMENT_MS, Ground, block
from vagus_tui.checks.access.guards import Guard, read_guards
from vagus_tui.checks.access.matrix import AccessMatrix, Cell, CellKey, Kind, Person, Totals
from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.impersonation import undone
from vagus_tui.journal.state import State
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import quote

TEMPORARY = ("vagus_access_found", "vagus_access_people", "vagus_access_coaches")
KEPT_PEOPLE = 200
"""With everybody measured, the cells of so many who lost or gained are kept, beside the sample's."""
WITHOUT_A_PLACE = (Kind.ANON, Kind.SERVICE)
FIRST_BATCH, LARGEST_BATCH, BATCH_SECONDS = 8, 500, 1.0

_RESULT = (
    "had bigint",
    "before bigint",
    "now bigint",
    "since bigint",
    "lost bigint",
    "gained bigint",
    "by_design bigint",
    "lost_ids text[]",
    "gained_ids text[]",
)


@dataclass(slots=True)
class Progress:
    """How far a measurement of everybody has come."""

    done: int
    total: int
    failing: int
    seconds: float = 0.0

    @property
    def left(self) -> float | None:
        """Seconds to go, by the pace so far; None while there is none to tell it by."""
        return self.seconds / self.done * (self.total - self.done) if self.done else None


@dataclass(slots=True)
class _Sum:
    """What is kept while batches go by: figures per kind, and cells of those who are shown."""

    people: dict[str, Person] = field(default_factory=dict)
    cells: dict[CellKey, Cell] = field(default_factory=dict)
    totals: dict[Kind, Totals] = field(default_factory=dict)
    failing: int = 0

    def add(self, kind: Kind, lost: int, gained: int, by_design: int) -> None:
        """One person more."""
        t = self.totals.get(kind, Totals())
        self.totals[kind] = Totals(
            t.people + 1,
            t.lost + lost,
            t.gained + gained,
            t.by_design + by_design,
            t.people_lost + (lost > 0),
            t.people_gained + (gained > 0),
        )
        self.failing += bool(lost or gained)


def cell_of(row: Any) -> Cell:
    """The cell that one row of findings is."""
    return Cell(
        before=row["before"],
        now=row["now"],
        since=row["since"],
        lost=row["lost"],
        gained=row["gained"],
        by_design=row["by_design"],
        lost_ids=tuple(row["lost_ids"] or ()),
        gained_ids=tuple(row["gained_ids"] or ()),
    )


# The ground


async def read_ground(context: Context) -> Ground:
    """Read the guards of v1's kept tables and of v2's."""
    connection = context.connection
    async with connection.transaction():
        await connection.execute("set local search_path = ''")
        new = await read_guards(connection, "public", context.tables)
        old: dict[str, Guard] = {}
        if context.state.state is State.MIGRATED:
            shape = context.shape
            names = {table.name: base for base, table in shape.tables.items()}
            found = await read_guards(connection, shape.schema, names)
            old = {names[name]: guard for name, guard in found.items()}
    return Ground(old, new)


@asynccontextmanager
async def prepared(context: Context) -> AsyncIterator[Ground]:
    """Read the guards and put every row into its class, in temporary tables that are gone after the block."""
    connection = context.connection
    ground = await read_ground(context)
    shape = context.state.shape if ground.compared else None
    captured = bool(await connection.fetchval("select to_regclass($1) is not null", V2_CHANGES))
    await _drop(connection)
    with contextlib.suppress(asyncpg.PostgresError):
        # Room for the classes, so that they are not read from files for every person. It can be had once per session.
        async with connection.transaction():
            await connection.execute("set temp_buffers = '256MB'")
    try:
        await _patiently(connection, await coaches_statement(connection))
        for table in context.tables:
            await _patiently(
                connection, class_statement(table, shape, ground.old_for(table), ground.new[table], captured=captured)
            )
        await _patiently(connection, await crowd.people_statements(connection))
        tables = ", ".join([*(class_table(table) for table in context.tables), COACHES, "pg_temp.vagus_access_people"])
        roles = ", ".join(quote(role) for role in v2.API_ROLES)
        await connection.execute(
            f"create temporary table vagus_access_found (person text, table_name text, command text, "
            f"{', '.join(_RESULT)}); grant select on {tables} to {roles}; grant select, insert on {FOUND} to {roles}"
        )
        yield ground
    finally:
        if not connection.is_closed():
            # In a transaction that has failed nothing can be dropped, nor needs to be: its end takes them along.
            with contextlib.suppress(asyncpg.InFailedSQLTransactionError):
                await _drop(connection)


async def _patiently(connection: Connection, statement: str) -> None:
    """Do what looks at every row, whatever the role's own timeout is."""
    async with connection.transaction():
        await connection.execute(f"set local statement_timeout = {STATEMENT_MS}; {statement}")


async def _drop(connection: Connection) -> None:
    names = [*TEMPORARY, *(f"vagus_access_{table}" for table in v2.TABLES)]
    # No notices about tables that are not there, and none but our own temporary ones.
    there = await connection.fetch(
        "select c.relname::text as name from pg_class c where c.relnamespace = pg_my_temp_schema() "
        "and c.relname = any($1::text[])",
        names,
    )
    if there:
        listed = ", ".join(f"pg_temp.{quote(row['name'])}" for row in there)
        await connection.execute(f"drop table {listed}")


async def _measure(
    connection: Connection, persons: Sequence[Person], ground: Ground, into: _Sum, *, keep: bool
) -> None:
    """Measure people of one role and add what was found; `keep` keeps every cell, not only those who lost or gained."""
    async with undone(connection, SETTINGS, timeout_ms=STATEMENT_MS):
        await execute_all(connection, (block(persons[0].role, persons, ground), "reset role"))
        rows = await connection.fetch(
            f"select * from {FOUND} where $1 or person in "
            f"(select f.person from {FOUND} f where f.lost > 0 or f.gained > 0 group by 1 order by 1 limit $2)",
            keep,
            max(0, KEPT_PEOPLE - len(into.people)),
        )
        sums = await connection.fetch(
            "select person, sum(lost)::bigint as lost, sum(gained)::bigint as gained, "
            f"sum(by_design)::bigint as by_design from {FOUND} group by person"
        )
    by_id = {person.id: person for person in persons}
    for row in sums:
        into.add(by_id[row["person"]].kind, row["lost"], row["gained"], row["by_design"])
    for row in rows:
        into.people[row["person"]] = by_id[row["person"]]
        into.cells[row["person"], row["table_name"], row["command"]] = cell_of(row)


async def measure(context: Context, *, everyone: bool = False) -> AsyncIterator[Progress | AccessMatrix]:
    """Measure the sample, or after it everybody; yields how far it has come, and the matrix last.

    Closing the iterator, or cancelling its task, stops in the midst of a batch and leaves nothing behind.
    """
    connection = context.connection
    started = time.perf_counter()
    found = _Sum()
    async with prepared(context) as ground:
        chosen = await crowd.sample(connection)
        total = len(chosen)
        if everyone:
            total += int(await connection.fetchval("select count(*) from pg_temp.vagus_access_people"))
            total -= sum(person.kind not in WITHOUT_A_PLACE and person != crowd.STRANGER for person in chosen)
        yield Progress(0, total, 0)
        for role in dict.fromkeys(person.role for person in chosen):
            await _measure(connection, [p for p in chosen if p.role == role], ground, found, keep=True)
        tried, disagreements = await compare_with_server(connection, chosen, ground)
        done, after, size = len(chosen), "", FIRST_BATCH
        yield Progress(done, total, found.failing, time.perf_counter() - started)
        sampled = {person.id for person in chosen}
        while everyone and (batch := await crowd.next_people(connection, after, size)):
            after = batch[-1].id
            began = time.perf_counter()
            if persons := [person for person in batch if person.id not in sampled]:
                await _measure(connection, persons, ground, found, keep=False)
            done += len(persons)
            # As many at a time as take about a second: progress is seen, and few answers are waited for.
            pace = BATCH_SECONDS / max(time.perf_counter() - began, 0.001)
            size = max(1, min(LARGEST_BATCH, int(size * min(2.0, max(0.25, pace)))))
            yield Progress(done, total, found.failing, time.perf_counter() - started)
        matrix = AccessMatrix(
            people=tuple(found.people.values()),
            tables=context.tables,
            cells=found.cells,
            totals=found.totals,
            everyone=everyone,
            compared=ground.compared,
            operator=context.settings.operator,
            run_id=str(context.state.run.id) if context.state.run is not None else None,
            seconds=time.perf_counter() - started,
            tried=tried,
            disagreements=tuple(disagreements),
            gaps=tuple(gap for guard in ground.new.values() for gap in guard.gaps()),
        )
    if matrix.disagreements:
        # A row that was written between the two counts looks like one that the policies do not explain.
        tried, disagreements = await _compared_at_one_moment(context)
        matrix = replace(matrix, tried=tried, disagreements=tuple(disagreements))
    yield matrix


async def _compared_at_one_moment(context: Context) -> tuple[int, list[str]]:
    """Hold the figures against the server while nothing can come between them."""
    connection = context.connection
    async with undone(connection, timeout_ms=STATEMENT_MS, one_moment=True), prepared(context) as ground:
        return await compare_with_server(connection, await crowd.sample(connection), ground)


async def measured(context: Context, *, everyone: bool = False) -> AccessMatrix:
    """The matrix alone."""
    found = [item async for item in measure(context, everyone=everyone) if isinstance(item, AccessMatrix)]
    return found[-1]
