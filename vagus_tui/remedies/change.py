"""Changing rows: the originals into the journal, new values into the table, in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from uuid import UUID

from vagus_tui.checks.base import Context, RowPage, read_page
from vagus_tui.checks.data_quality.rule import Names
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import quote
from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.remedies.locking import EXACT_TEXT, quieten
from vagus_tui.remedies.model import Applied, Preview, Remedy
from vagus_tui.remedies.originals import Relation, read_relation
from vagus_tui.remedies.record import record
from vagus_tui.remedies.shown import digest_sql, refuse_if_moved
from vagus_tui.schema import v1

TARGETS = "pg_temp.vagus_targets"


def new_values(remedy: Remedy, names: Names) -> Mapping[str, str]:
    """The new values as expressions of their column's type, by column."""
    assert remedy.changes is not None
    columns = names.columns(remedy.rule.table)
    return {name: f"({expression})::{columns[name].type}" for name, expression in remedy.changes(names).items()}


def targets_sql(remedy: Remedy, names: Names, relation: Relation) -> str:
    """The statement that finds the rows and works out their new values, before anything is changed."""
    values = ", ".join(f"{value} as {quote(f'new {column}')}" for column, value in new_values(remedy, names).items())
    return (
        "create temp table vagus_targets on commit drop as\n"
        f"select t.ctid as tid, {relation.row_id('t')} as row_id, {values}\n"
        f"from {names.table(remedy.rule.table)} t\nwhere {remedy.condition(names)}"
    )


def update_sql(remedy: Remedy, names: Names) -> str:
    """The statement that writes the new values."""
    sets = ", ".join(f"{quote(column)} = n.{quote(f'new {column}')}" for column in new_values(remedy, names))
    return f"update {names.table(remedy.rule.table)} t set {sets}\nfrom {TARGETS} n where t.ctid = n.tid"


async def preview_change(remedy: Remedy, context: Context) -> Preview:
    """What would change: how many rows, every value beside its new one, the statements."""
    names = Names(context.shape)
    table, condition = names.table(remedy.rule.table), remedy.condition(names)
    changed = new_values(remedy, names)
    pairs = ", ".join(f"t.{quote(column)}, {value} as {quote(f'{column} →')}" for column, value in changed.items())
    # A reader knows rows by their names and times, not by their ids.
    known = {
        "workout_plans": ("name",),
        "exercises": ("name",),
        "workout_sessions": ("started_at",),
        "exercise_logs": ("session_id",),
    }.get(remedy.rule.table, ())
    identity = "t.id, " if "id" in names.columns(remedy.rule.table) else ""
    also = "".join(f", t.{quote(column)}" for column in known if column not in changed)
    relation = await _relation(context.connection, names, remedy.rule.table)
    async with context.connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await context.connection.fetchval(f"select count(*) from {table} t where {condition}")
        page = await read_page(
            context.connection, f"select {identity}{pairs}{also} from {table} t where {condition}", limit=50
        )
        await context.connection.execute(EXACT_TEXT)
        becomes = _becomes(changed, relation.row_id("t"))
        digest = await context.connection.fetchval(
            digest_sql(f"select {becomes} as what from {table} t where {condition}")
        )
    page = _changes_first(page, [(column, f"{column} →") for column in changed])
    sql = ";\n\n".join((targets_sql(remedy, names, relation), _originals_sql(relation), update_sql(remedy, names)))
    return Preview(rows, page, f"begin;\n\n{sql};\n\ncommit;", digest=digest)


def _becomes(values: Mapping[str, str], row_id: str) -> str:
    """A text that tells which row it is, what its columns hold and what they will; `values` by column."""
    pairs = "".join(f", t.{quote(column)}, {value}" for column, value in values.items())
    return f"row({row_id}{pairs})::text"


def _changes_first(page: RowPage, pairs: Sequence[tuple[str, str]]) -> RowPage:
    """The page with the values that stay as they are after those that change, which narrow terminals would cut off."""
    place = {name: index for index, name in enumerate(page.columns)}
    unchanged = {
        place[name]
        for old, new in pairs
        if all(row[place[old]] == row[place[new]] for row in page.rows)
        for name in (old, new)
    }
    order = sorted(range(len(page.columns)), key=lambda index: index in unchanged)
    return dataclasses.replace(
        page,
        columns=tuple(page.columns[index] for index in order),
        rows=tuple(tuple(row[index] for index in order) for row in page.rows),
    )


def _originals_sql(relation: Relation) -> str:
    return (
        "insert into vagus_migration.quarantine (batch, remedy, action, table_name, row_id, original, operator)\n"
        f"select $1, $2, 'changed', $3, {relation.row_id('t')}, {relation.original('t')}, $4\n"
        f"from {relation.sql} t join {TARGETS} n on n.tid = t.ctid"
    )


async def apply_change(
    remedy: Remedy, connection: Connection, names: Names, batch: UUID, operator: str, expected: Preview | None
) -> Applied:
    """Change the rows. Runs inside the locked transaction.

    Raises:
        RefusedError: other rows than expected.
        VagusError: a row could not be kept exactly, or not every row was changed.
    """
    base = remedy.rule.table
    relation = await _relation(connection, names, base)
    await connection.execute(targets_sql(remedy, names, relation))
    rows = await connection.fetchval(f"select count(*) from {TARGETS}")
    becomes = _becomes({column: f"n.{quote(f'new {column}')}" for column in new_values(remedy, names)}, "n.row_id")
    digest = await connection.fetchval(
        digest_sql(f"select {becomes} as what from {relation.sql} t join {TARGETS} n on n.tid = t.ctid")
    )
    refuse_if_moved(rows, digest, expected)
    await _refuse_ambiguous(connection, relation, rows)
    label = base if base in v1.TABLES else relation.sql
    await record(connection, relation, TARGETS, batch, remedy.id, "changed", label, operator)
    quiet = await quieten(connection, [relation.sql])
    # The rows as they were left, straight from the update: nothing has to be looked for again.
    done = await connection.execute(
        f"with left_as as ({update_sql(remedy, names)} returning n.row_id, "
        f"(t.*)::{relation.sql} as whole)\n"
        f"update vagus_migration.quarantine q set result = {relation.whole('w')} "
        "from left_as l cross join lateral (select (l.whole).*) w where q.batch = $1 and q.row_id = l.row_id",
        batch,
    )
    if done != f"UPDATE {rows}":
        raise VagusError("Not every row could be changed.", state="Everything was undone.")
    if relation.key != ("id",):
        await _refuse_merged(connection, relation, batch, rows)
    await quiet.wake(connection)
    return Applied(batch, rows)


async def _relation(connection: Connection, names: Names, base: str) -> Relation:
    """One of v1's tables by its ids, another one by its own key, if it has one."""
    key = ("id",) if base in v1.TABLES else ()
    return await read_relation(connection, names.shape.schema, names.name(base), key=key)


async def _refuse_merged(connection: Connection, relation: Relation, batch: UUID, rows: int) -> None:
    """Where the key itself may have changed, undoing finds rows by what they have become: no two may be the same."""
    found = await connection.fetchval(
        f"select count(*) from {relation.sql} t where {relation.whole('t')} in "
        "(select q.result from vagus_migration.quarantine q where q.batch = $1)",
        batch,
    )
    became = await connection.fetchval(
        "select count(distinct result) from vagus_migration.quarantine where batch = $1", batch
    )
    if found != rows or became != rows:
        raise RefusedError(
            f"Some of these rows of {relation.name} would be the same as others.",
            state="Everything was undone.",
            next_step="Set them aside instead.",
        )


async def _refuse_ambiguous(connection: Connection, relation: Relation, rows: int) -> None:
    """Undoing finds rows by their ids, so each must be there and be the only one."""
    if relation.key != ("id",):
        return
    found = await connection.fetchrow(
        f"select count(*) as rows, count(distinct id) as ids from {relation.sql} where id in "
        f"(select t.id from {relation.sql} t join {TARGETS} n on n.tid = t.ctid)"
    )
    assert found is not None
    if tuple(found) != (rows, rows):
        raise RefusedError(
            f"Some of these rows of {relation.name} have no id, or one that another row has.",
            next_step="Mend the ids first.",
        )
