"""Taking a repair back: what was repaired, what the undo would do now, and doing it.

Only what still is as the repair left it is put back; what somebody has changed since stays, and is counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.checks.verification.base import SCHEMA, relation
from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.errors import RefusedError, UndoneError, server_words
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists
from vagus_tui.remedies.repairs import REPAIRS, Finding
from vagus_tui.remedies.repairs_record import TOPIC, UNDONE_TOPIC, policies_now
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote

UNDOABLE = frozenset({"exercises-to-their-day", "policies-as-defined", "missing-indexes", "quiet-preferences"})
"""The others (fresh statistics, tidying up) leave nothing to be taken back."""

_APPLIED = """
select n.id, n.body, n.operator, n.at, u.operator as undone_by, u.at as undone_at
from vagus_migration.notes n
left join vagus_migration.notes u on u.topic = $2 and u.body->>'id' = n.id::text
where n.topic = $1 order by n.id desc
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """A repair as it was done.

    Attributes:
        number: its note's id in the journal.
        repair: the repair's id; `title` its words.
        count: how many things it touched.
        body: the whole record.
    """

    number: int
    repair: str
    title: str
    count: int
    operator: str
    at: datetime
    undone_by: str | None
    undone_at: datetime | None
    body: dict[str, Any]

    @property
    def undoable(self) -> bool:
        """Whether there is something to take back, and nobody has yet."""
        return self.undone_at is None and self.repair in UNDOABLE and "before" in self.body


async def applied_repairs(connection: Connection) -> list[Applied]:
    """Every repair of this database, newest first."""
    if not await journal_exists(connection):
        return []
    titles = {repair.id: repair.title for repair in REPAIRS}
    found = []
    for row in await connection.fetch(_APPLIED, TOPIC, UNDONE_TOPIC):
        body = json.loads(row["body"])
        name = str(body.get("repair", ""))
        found.append(
            Applied(
                number=row["id"],
                repair=name,
                title=titles.get(name, name),
                count=int(body.get("count", 0)),
                operator=row["operator"],
                at=row["at"],
                undone_by=row["undone_by"],
                undone_at=row["undone_at"],
                body=body,
            )
        )
    return found


def _kept(done: Applied) -> str:
    return f"(select * from vagus_migration.repaired where note_id = {int(done.number)}) r"


async def _rows(context: Context, done: Applied, same: str, statement: str, what: str) -> Finding:
    """An undo of rows: how many still are as the repair left them, and how many are not."""
    total = await context.connection.fetchval(f"select count(*) from {_kept(done)}")
    still = await context.connection.fetchval(same)
    lines = [f"{still:,} {what}"]
    if total > still:
        lines.append(f"{total - still:,} have changed since, or are gone; they stay as they are")
    return Finding(still, tuple(lines), (statement,) if still else ())


async def _exercises(context: Context, done: Applied) -> Finding:
    same = (
        f"{relation(v2.EXERCISES)} e join {_kept(done)} on e.id::text = r.row_id and e.day_id::text = r.after "
        f"join {relation(v2.DAYS)} d on d.id::text = r.before"
    )
    statement = (
        f"update {relation(v2.EXERCISES)} e set day_id = d.id from {_kept(done)}, {relation(v2.DAYS)} d "
        "where e.id::text = r.row_id and e.day_id::text = r.after and d.id::text = r.before"
    )
    return await _rows(
        context, done, f"select count(*) from {same}", statement, "exercises go back to their former day"
    )


async def _preferences(context: Context, done: Applied) -> Finding:
    table = qualified(SCHEMA, v2.PREFERENCES)
    same = "p.user_id::text = r.row_id and p.preferences::text = r.after"
    statement = f"delete from {table} p using {_kept(done)} where {same}"
    query = f"select count(*) from {table} p join {_kept(done)} on {same}"
    return await _rows(context, done, query, statement, "rows that the repair added are taken out")


async def _indexes(context: Context, done: Applied) -> Finding:
    names = [
        name
        for name in done.body["before"]
        if await context.connection.fetchval("select to_regclass($1) is not null", qualified(SCHEMA, name))
    ]
    return Finding(
        len(names),
        tuple(f"{name} is dropped while users go on" for name in names),
        tuple(f"drop index concurrently if exists {qualified(SCHEMA, name)}" for name in names),
    )


async def _policies(context: Context, done: Applied) -> Finding:
    now, before = await policies_now(context), done.body["before"]
    statements = [f"drop policy {quote(one['name'])} on {relation(one['table_name'])}" for one in now["policies"]]
    for one in before["policies"]:
        roles = ", ".join(role if role == "public" else quote(role) for role in one["roles"])
        using = f" using ({one['qual']})" if one["qual"] is not None else ""
        check = f" with check ({one['with_check']})" if one["with_check"] is not None else ""
        statements.append(
            f"create policy {quote(one['name'])} on {relation(one['table_name'])} "
            f"as {one['permissive'].lower()} for {one['cmd'].lower()} to {roles}{using}{check}"
        )
    statements += [
        f"alter table {relation(name)} disable row level security" for name in before["off"] if name in v2.TABLES
    ]
    lines = [f"{len(before['policies'])} policies come back as they were found, {len(now['policies'])} go"]
    lines += [f"{name}: row level security is switched off again" for name in before["off"]]
    if before["off"]:
        lines.append("With it off, every user of the app sees every row of these tables.")
    return Finding(1, tuple(lines), tuple(statements))


_UNDO = {
    "exercises-to-their-day": _exercises,
    "quiet-preferences": _preferences,
    "missing-indexes": _indexes,
    "policies-as-defined": _policies,
}


async def look_undo(context: Context, done: Applied) -> Finding:
    """What taking this repair back would do now.

    Raises:
        RefusedError: it leaves nothing to take back, or has been taken back.
    """
    if not done.undoable:
        raise RefusedError(
            "It has been taken back already." if done.undone_at else "This repair leaves nothing to take back."
        )
    return await _UNDO[done.repair](context, done)


async def undo_repair(context: Context, done: Applied) -> Finding:
    """Take it back, and say so in the journal.

    Raises:
        RefusedError: nothing is left to take back, or somebody has taken it back.
        UndoneError: the server refused; what runs in a transaction was undone.
    """
    connection = context.connection
    current = next((one for one in await applied_repairs(connection) if one.number == done.number), done)
    found = await look_undo(context, current)
    if not found.count:
        raise RefusedError("Nothing is as the repair left it any more; there is nothing to take back.")
    body = {"id": str(done.number), "repair": done.repair, "count": found.count, "statements": list(found.statements)}
    try:
        if done.repair == "missing-indexes":
            await connection.execute("set statement_timeout = 0")
            for statement in found.statements:
                await connection.execute(statement)
            await store.note(connection, UNDONE_TOPIC, body, operator=context.settings.operator)
        else:
            async with connection.transaction():
                limit = f"set local lock_timeout = {context.settings.lock_timeout_ms}"
                await execute_all(connection, [limit, *found.statements])
                await store.note(connection, UNDONE_TOPIC, body, operator=context.settings.operator)
    except asyncpg.PostgresError as error:
        raise UndoneError(
            f"The server refused: {server_words(error)}",
            state="The repair stands as it was, but for indexes that were dropped before that.",
            next_step="Try once more when fewer users are on.",
        ) from error
    return found
