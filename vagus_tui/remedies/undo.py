"""Putting back what a fix changed or set aside, exactly as it was, unless somebody has changed it since."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg

from vagus_tui.checks.data_quality.rule import Names
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal, quote
from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.format import plural
from vagus_tui.journal.schema import journal_exists
from vagus_tui.remedies.locking import Patience, fixable_state, in_locked_transaction, quieten
from vagus_tui.remedies.model import Applied
from vagus_tui.remedies.originals import Relation, listed, read_relation
from vagus_tui.schema import v1

_BATCH = """
select q.table_name, q.action, array_agg(q.id order by q.id) as ids from vagus_migration.quarantine q
where q.batch = $1 and q.restored_at is null group by 1, 2 order by q.action = 'changed', min(q.id)
"""
# What went comes back first, parents before children: then what was loosened can hang on it again.

_UNPROVED = """
select k.conname::text as name, pg_get_constraintdef(k.oid) as definition,
  obj_description(k.oid, 'pg_constraint') as note
from pg_constraint k where k.conrelid = $1::regclass and not k.convalidated and k.contype in ('f', 'c', 'n')
order by k.conname
"""
"""Constraints that were made NOT VALID: older rows may break them, and exactly such rows are put back."""

_SHOWN = 5
_ADVICE = "Undo later fixes of the same rows first, or mend them by hand"


class ChangedSinceError(RefusedError):
    """Rows are not as the fix left them. What is can be put back without those.

    Attributes:
        others: how many can be, as far as that is known; None where the server has to be asked row by row.
    """

    others: int | None = None


_NOTHING = "There is no such fix, or it has been undone already."


async def undo(
    connection: Connection, batch: UUID, operator: str, patience: Patience | None = None, *, partly: bool = False
) -> Applied:
    """Undo one applied fix, in one transaction.

    Args:
        partly: put back the rows that are as the fix left them, and leave those that are not; they can be undone later.

    Raises:
        ChangedSinceError: rows have changed since; says which, and in what. Partly: none is as the fix left it.
        RefusedError: there is nothing to undo, or this is not the time for it.
        UndoneError: the server refused; nothing was changed.
    """
    state = await fixable_state(connection)
    assert state.shape is not None
    names = Names(state.shape)
    parts = await connection.fetch(_BATCH, batch) if await journal_exists(connection) else []
    if not parts:
        raise RefusedError(_NOTHING)
    relations = {row["table_name"]: await _relation(connection, names, row["table_name"]) for row in parts}
    tables = [relation.sql for relation in relations.values()]

    async def work() -> Applied:
        if await connection.fetch(_BATCH, batch) != parts:
            # Somebody else has undone it while this waited for the locks.
            raise RefusedError(_NOTHING)
        return await _put_back(connection, batch, operator, parts, relations, partly=partly)

    return await in_locked_transaction(connection, tables, patience or Patience(), work)


async def _relation(connection: Connection, names: Names, label: str) -> Relation:
    if label in v1.TABLES:
        return await read_relation(connection, names.shape.schema, names.shape.tables[label].name, key=("id",))
    row = await connection.fetchrow(
        "select n.nspname::text as schema, c.relname::text as name from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)",
        label,
    )
    if row is None:
        raise RefusedError(f"The table {label} is gone, so its rows cannot be put back.")
    return await read_relation(connection, row["schema"], row["name"])


async def _put_back(
    connection: Connection,
    batch: UUID,
    operator: str,
    parts: Sequence[Any],
    relations: dict[str, Relation],
    *,
    partly: bool,
) -> Applied:
    waiting: list[tuple[Any, list[int]]] = []
    told: list[str] = []
    left: list[str] = []
    advice = ""
    for part in parts:
        label, relation = part["table_name"], relations[part["table_name"]]
        if part["action"] == "changed":
            relation = relations[label] = await _with_keys_looked_at(connection, batch, label, relation)
            moved = await _changed(connection, batch, label, relation)
            said = f"{plural(len(moved), 'row')} of {label} changed since the fix"
        else:
            moved = await _returned(connection, batch, label, relation)
            are = "is" if len(moved) == 1 else "are"
            said = f"{plural(len(moved), 'row')} of {label} {are} there again under the same key"
        if moved:
            told.append(f"{said}: {_listed(moved.values())}.")
            advice = _ADVICE if part["action"] == "changed" else advice
        left += [f"{label} {words}" for words in moved.values()]
        waiting.append((part, [one for one in part["ids"] if one not in moved]))
    if told and not partly:
        refused = _refused(" ".join(told), advice)
        refused.others = sum(len(ids) for _, ids in waiting)
        raise refused
    quiet = await quieten(connection, [relation.sql for relation in relations.values()])
    rows: dict[str, int] = defaultdict(int)
    done: list[int] = []
    for part, ids in waiting:
        label, relation = part["table_name"], relations[part["table_name"]]
        statement = _update_sql(relation) if part["action"] == "changed" else _insert_sql(relation)
        back, not_back = await _as_far_as_possible(connection, relation, statement, batch, label, ids, partly=partly)
        await _prove(connection, batch, part, relation, back)
        rows[label] += len(back)
        done += back
        left += not_back
    if not done:
        raise _refused(f"None of these rows can be put back: {_listed(left)}.")
    await quiet.wake(connection)
    await connection.execute(
        "update vagus_migration.quarantine set restored_at = clock_timestamp(), restored_by = $2 where id = any($1)",
        done,
        operator,
    )
    first = parts[0]["table_name"]
    below = {label: count for label, count in rows.items() if label != first}
    return Applied(batch, rows[first], below, tuple(left))


def _refused(happened: str, advice: str = "") -> ChangedSinceError:
    kept = "Their originals stay in the journal."
    return ChangedSinceError(happened, next_step=f"{kept} {advice}." if advice else kept)


def _listed(words: Iterable[str]) -> str:
    found = list(words)
    return f"{'; '.join(found[:_SHOWN])}{' …' if len(found) > _SHOWN else ''}"


async def _as_far_as_possible(
    connection: Connection,
    relation: Relation,
    statement: str,
    batch: UUID,
    label: str,
    ids: list[int],
    *,
    partly: bool,
) -> tuple[list[int], list[str]]:
    """Put rows back; where the server refuses some, all the others, if that is wanted. Which came, and why not."""
    if not ids:
        return [], []
    try:
        async with connection.transaction():
            await _past_unproved(connection, relation, statement, batch, label, ids)
        return ids, []
    except ChangedSinceError as error:
        if not partly:
            raise
        if len(ids) == 1:
            row = await connection.fetchval("select row_id from vagus_migration.quarantine where id = $1", ids[0])
            return [], [f"{label} {row}: {error.happened}"]
    back: list[int] = []
    left: list[str] = []
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        came, stayed = await _as_far_as_possible(connection, relation, statement, batch, label, half, partly=partly)
        back += came
        left += stayed
    return back, left


def _mine(action: str) -> str:
    return f"q.batch = $1 and q.table_name = $2 and q.action = '{action}' and q.restored_at is null"


async def _with_keys_looked_at(connection: Connection, batch: UUID, label: str, relation: Relation) -> Relation:
    """The relation, knowing whether the fix has changed the keys themselves, or there are none."""
    ours = ", ".join(f"q.%s ->> {literal(name).strip()}" for name in relation.key)
    lasting = bool(relation.key) and not await connection.fetchval(
        f"select exists(select from vagus_migration.quarantine q where {_mine('changed')} and q.result is not null "
        f"and row({ours.replace('%s', 'original')}) is distinct from row({ours.replace('%s', 'result')}))",
        batch,
        label,
    )
    return replace(relation, lasting=lasting)


async def _changed(connection: Connection, batch: UUID, label: str, relation: Relation) -> dict[int, str]:
    """The rows that are not as the fix left them, and in what, by the number of their note."""
    # Nothing of a row that is gone, where its columns are put together one by one.
    now = f"case when t.ctid is not null then {relation.whole('t')} end"
    moved = await connection.fetch(
        f"select q.id, q.row_id, q.result, {now} as now from vagus_migration.quarantine q "
        f"left join {relation.sql} t on {_left_as(relation)} "
        f"where {_mine('changed')} and {now} is distinct from q.result order by q.id",
        batch,
        label,
    )
    told = {}
    for row in moved:
        if row["now"] is None:
            told[row["id"]] = f"{row['row_id']} is gone"
        else:
            left, now = json.loads(row["result"] or "{}"), json.loads(row["now"])
            names = sorted(name for name in {*left, *now} if left.get(name) != now.get(name))
            told[row["id"]] = f"{row['row_id']} has another {', '.join(names)}"
    return told


async def _returned(connection: Connection, batch: UUID, label: str, relation: Relation) -> dict[int, str]:
    """The rows that are there again under the same key, by the number of their note."""
    # Rows that were set aside because their id was there twice come back beside the other one.
    if not relation.key or await connection.fetchval(
        f"select bool_or(q.remedy ~ '-ids-set-aside$') from vagus_migration.quarantine q where {_mine('set-aside')}",
        batch,
        label,
    ):
        return {}
    back = await connection.fetch(
        f"select q.id, q.row_id from vagus_migration.quarantine q join {relation.sql} t "
        f"on {relation.is_row('t', 'q.row_id')} where {_mine('set-aside')} order by q.id",
        batch,
        label,
    )
    return {row["id"]: f"{row['row_id']} is there again" for row in back}


def _left_as(relation: Relation) -> str:
    """A condition: the row `t` is what the fix made of `q`. A key that the fix may have changed is not looked at."""
    return relation.is_row("t", "q.row_id") if relation.lasting else f"{relation.whole('t')} = q.result"


def _insert_sql(relation: Relation) -> str:
    values = relation.restored("q.original")
    overriding = "overriding system value " if relation.identity else ""
    return (
        f"insert into {relation.sql} ({listed(values)}) {overriding}select {', '.join(values.values())} "
        f"from vagus_migration.quarantine q where {_mine('set-aside')} and q.id = any($3) order by q.id"
    )


def _update_sql(relation: Relation) -> str:
    values = {
        name: value
        for name, value in relation.restored("q.original").items()
        if not (relation.lasting and name in relation.key)
    }
    sets = ", ".join(f"{quote(name)} = {value}" for name, value in values.items())
    return (
        f"update {relation.sql} t set {sets} from vagus_migration.quarantine q "
        f"where {_mine('changed')} and q.id = any($3) and {_left_as(relation)}"
    )


async def _past_unproved(
    connection: Connection, relation: Relation, statement: str, batch: UUID, label: str, ids: list[int]
) -> None:
    """Run it; where rows break a NOT VALID constraint, as they did before, take that away for a moment."""
    try:
        async with connection.transaction():
            await connection.execute(statement, batch, label, ids)
        return
    except asyncpg.IntegrityConstraintViolationError as error:
        unproved = await connection.fetch(_UNPROVED, relation.sql)
        if not unproved:
            raise _impossible(label, error) from error
    for constraint in unproved:
        await connection.execute(f"alter table {relation.sql} drop constraint {quote(constraint['name'])}")
    try:
        async with connection.transaction():
            await connection.execute(statement, batch, label, ids)
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _impossible(label, error) from error
    await connection.execute("set constraints all immediate")
    for constraint in unproved:
        name = quote(constraint["name"])
        await connection.execute(f"alter table {relation.sql} add constraint {name} {constraint['definition']}")
        if constraint["note"] is not None:
            note = await connection.fetchval("select quote_literal($1::text)", constraint["note"])
            await connection.execute(f"comment on constraint {name} on {relation.sql} is {note}")


def _impossible(label: str, error: asyncpg.PostgresError) -> ChangedSinceError:
    constraint = getattr(error, "constraint_name", None) or "a constraint"
    return ChangedSinceError(
        f"Rows of {label} cannot come back: {constraint} refuses them, so what they belong to has changed since.",
        state="Nothing was changed; their originals stay in the journal.",
        next_step="Undo later fixes first, or mend the rows they belong to.",
    )


async def _prove(connection: Connection, batch: UUID, part: Any, relation: Relation, ids: list[int]) -> None:
    """Compare every row that was put back with its original, byte for byte."""
    exact = await connection.fetchval(
        f"select count(*) from vagus_migration.quarantine q join {relation.sql} t "
        f"on {relation.is_row('t', 'q.row_id')} "
        f"where {_mine(part['action'])} and q.id = any($3) and not ({relation.differs('t', 'q.original')})",
        batch,
        part["table_name"],
        ids,
    )
    if exact < len(ids):
        raise VagusError(
            f"{plural(len(ids) - exact, 'row')} of {part['table_name']} did not come back as they were.",
            state="Everything was undone: the fix is still in force.",
        )
