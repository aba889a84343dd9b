"""Repairs of a migrated database, for the guide's troubles: each looks first, changes one thing, and says the undo.

Unlike the fixes of v1's rows these touch what stands around the rows: statistics, indexes, policies, preferences, and
the day of an exercise that has ended up in another plan.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.checks.verification.base import SCHEMA, relation
from vagus_tui.errors import RefusedError, UndoneError
from vagus_tui.journal import store
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.journal.state import State
from vagus_tui.migration.cut_over import missing_preferences
from vagus_tui.rollback.quick_plan import migrated_run
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import MappingOptions, WorkoutMapping


@dataclass(frozen=True, slots=True)
class Finding:
    """What a repair would do now.

    Attributes:
        count: how many things it would touch; 0 means that nothing is to be done.
        lines: what, for people; a few of them.
        statements: the SQL, in order.
    """

    count: int
    lines: tuple[str, ...]
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair.

    Attributes:
        id: kebab-case; the journal names it.
        issue: the id of the trouble it helps with.
        title: what it does.
        undo: how it is taken back.
        look: finds out what is to be done, and changes nothing.
        transaction: all or nothing; the others are statements that cannot run in a transaction.
        record: what is kept in the journal as it was before: `strayed` exercises, `policies`, or nothing.
    """

    id: str
    issue: str
    title: str
    undo: str
    look: Callable[[Context], Awaitable[Finding]]
    transaction: bool = True
    record: str = ""


async def _ddl(context: Context) -> V2Ddl:
    """v2's definitions as the migration made them."""
    _, survey = await migrated_run(context.connection, context.state)
    return V2Ddl(SCHEMA, survey.shape, survey.taken, survey.preferences != "jsonb")


def _statistics(table: str, at: datetime | None, changed: int) -> str:
    when = "never analysed" if at is None else f"analysed {at:%Y-%m-%d %H:%M}"
    return f"{table}: {when}, {changed:,} rows changed since"


async def _analyze(context: Context) -> Finding:
    rows = await context.connection.fetch(
        "select relname::text as name, greatest(last_analyze, last_autoanalyze) as at, n_mod_since_analyze as changed "
        "from pg_stat_user_tables where schemaname = $1 and relname = any($2::text[]) order by relname",
        SCHEMA,
        list(v2.TABLES),
    )
    lines = tuple(_statistics(row["name"], row["at"], row["changed"]) for row in rows)
    return Finding(len(rows), lines, tuple(f"analyze {relation(row['name'])}" for row in rows))


_INDEXES = """
select ic.relname::text as name, i.indisvalid and i.indisready as usable
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class ic on ic.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])
"""


async def _indexes(context: Context) -> Finding:
    ddl = await _ddl(context)
    rows = await context.connection.fetch(_INDEXES, SCHEMA, list(v2.TABLES))
    usable = {row["name"] for row in rows if row["usable"]}
    broken = {row["name"] for row in rows if not row["usable"]}
    lines: list[str] = []
    statements: list[str] = []
    for name in sorted(broken):
        lines.append(f"{name}: left unfinished; it is dropped")
        statements.append(f"drop index concurrently if exists {qualified(SCHEMA, name)}")
    for table in v2.TABLES:
        for index in ddl.indexes(table):
            if index.name not in usable:
                lines.append(f"{index.name} on {table}: missing; it is created while users go on")
                statements.append(re.sub(r"^create index ", "create index concurrently ", index.sql))
    return Finding(len(lines), tuple(lines), tuple(statements))


_POLICIES = """
select p.tablename::text as table_name, p.policyname::text as name
from pg_policies p where p.schemaname = $1 and p.tablename = any($2::text[]) order by 1, 2
"""


async def _policies(context: Context) -> Finding:
    ddl = await _ddl(context)
    rows = await context.connection.fetch(_POLICIES, SCHEMA, list(v2.TABLES))
    off = await context.connection.fetch(
        "select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = $1 and c.relname = any($2::text[]) and not c.relrowsecurity order by 1",
        SCHEMA,
        list(v2.TABLES),
    )
    statements = [f"drop policy {quote(row['name'])} on {relation(row['table_name'])}" for row in rows]
    statements += [statement for table in v2.TABLES for statement in ddl.policies(table)]
    lines = [f"{row['name']}: row level security is off; it is switched on" for row in off]
    lines.append(f"{len(rows)} policies of {len(v2.TABLES)} tables are written again as defined")
    return Finding(len(v2.TABLES), tuple(lines), tuple(statements))


async def _preferences(context: Context) -> Finding:
    _, survey = await migrated_run(context.connection, context.state)
    if survey.preferences == "rows":
        return Finding(0, ("This project keeps a row per category; the app makes those itself.",), ())
    table = qualified(SCHEMA, v2.PREFERENCES)
    count = await context.connection.fetchval(
        f"select count(*) from auth.users u where not exists (select from {table} p where p.user_id = u.id)"
    )
    words = f"{count:,} users have no row; each gets a quiet one, with everything off"
    return Finding(count, (words,), (missing_preferences(survey),) if count else ())


def _strayed(context: Context) -> str:
    """Exercises whose day belongs to another plan than the one that v1 says, with the day that the mapping gives."""
    mapping = WorkoutMapping(context.shape, MappingOptions(repeat_exercises=context.settings.repeat_exercises))
    old = qualified(context.shape.schema, context.shape.tables[v1.EXERCISES].name)
    return (
        f"select e.id, e.name, e.day_id as former, x.day_id as day_id from {relation(v2.EXERCISES)} e "
        f"join {old} o on o.id = e.id "
        f"join {relation(v2.DAYS)} d on d.id = e.day_id join {relation(v2.WEEKS)} w on w.id = d.week_id "
        f"join (\n{mapping.select(v2.EXERCISES)}\n) x on x.id = e.id "
        "where w.plan_id is distinct from o.plan_id "
        f"and exists (select from {relation(v2.DAYS)} t where t.id = x.day_id)"
    )


async def _exercises(context: Context) -> Finding:
    query = _strayed(context)
    rows = await context.connection.fetch(f"select s.name, count(*) over () as n from ({query}) s limit 8")
    count = rows[0]["n"] if rows else 0
    update = f"update {relation(v2.EXERCISES)} e set day_id = s.day_id from (\n{query}\n) s where s.id = e.id"
    return Finding(count, tuple(str(row["name"]) for row in rows), (update,) if count else ())


REPAIRS: tuple[Repair, ...] = (
    Repair(
        id="exercises-to-their-day",
        issue="issue.exercises-without-day",
        title="Put exercises back on their day, within their own plan",
        undo="The former day of each row is kept in the journal.",
        look=_exercises,
        record="strayed",
    ),
    Repair(
        id="analyze-v2",
        issue="issue.slow",
        title="Fresh statistics for all v2 tables",
        undo="None needed.",
        look=_analyze,
        transaction=False,
    ),
    Repair(
        id="missing-indexes",
        issue="issue.slow",
        title="Create missing indexes without blocking writes",
        undo="An index can be dropped again.",
        look=_indexes,
        transaction=False,
    ),
    Repair(
        id="policies-as-defined",
        issue="issue.wrong-data",
        title="Row level security and every policy as defined",
        undo="The policies found are kept in the journal.",
        look=_policies,
        record="policies",
    ),
    Repair(
        id="quiet-preferences",
        issue="issue.notifications",
        title="A quiet row for users without preferences",
        undo="The rows added are named in the journal schema (preferences_added).",
        look=_preferences,
    ),
)
"""Every repair, by the trouble it helps with."""


def repairs_for(issue: str) -> tuple[Repair, ...]:
    """The repairs for one trouble."""
    return tuple(repair for repair in REPAIRS if repair.issue == issue)


async def look(repair: Repair, context: Context) -> Finding:
    """What the repair would do now.

    Raises:
        RefusedError: v2 is not in place, or nothing is on record of how it was made.
    """
    if context.state.state is not State.MIGRATED:
        raise RefusedError(
            "Repairs are for a migrated database.", next_step="Before the migration, the fixes are on Prerequisites."
        )
    return await repair.look(context)


async def _kept(repair: Repair, context: Context) -> object:
    """What the journal keeps of how it was before."""
    if repair.record == "strayed":
        rows = await context.connection.fetch(
            f"select id::text as id, former::text as day_id from ({_strayed(context)}) s"
        )
        return [dict(row) for row in rows]
    if repair.record == "policies":
        rows = await context.connection.fetch(
            "select tablename::text as table_name, policyname::text as name, permissive, roles::text[] as roles, cmd, "
            "qual, with_check from pg_policies where schemaname = $1 and tablename = any($2::text[])",
            SCHEMA,
            list(v2.TABLES),
        )
        return [dict(row) for row in rows]
    return []


async def apply(repair: Repair, context: Context) -> Finding:
    """Do it, and write into the journal what was done and how it was before; returns what was done.

    Raises:
        RefusedError: there is nothing to do, or v2 is not in place.
        UndoneError: the server refused. What runs in a transaction was undone; statistics and indexes made so far stay.
    """
    found = await look(repair, context)
    if not found.count:
        raise RefusedError("There is nothing to repair.")
    connection = context.connection
    await ensure_journal(connection)
    try:
        if repair.transaction:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = {context.settings.lock_timeout_ms}")
                before = await _kept(repair, context)
                for statement in found.statements:
                    await connection.execute(statement)
                await _record(repair, context, found, before)
        else:
            await connection.execute("set statement_timeout = 0")
            for statement in found.statements:
                await connection.execute(statement)
            await _record(repair, context, found, [])
    except asyncpg.PostgresError as error:
        raise UndoneError(
            f"The server refused: {error.args[0] if error.args else error.sqlstate}",
            state="What ran in a transaction was undone."
            if repair.transaction
            else "What was done before that statement stays; it does no harm.",
            next_step="Look again, then try once more when fewer users are on.",
        ) from error
    return found


async def _record(repair: Repair, context: Context, found: Finding, before: object) -> None:
    body = {"repair": repair.id, "count": found.count, "statements": list(found.statements), "before": before}
    await store.note(context.connection, "repair", body, operator=context.settings.operator)
