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
from vagus_tui.database.connection import execute_all
from vagus_tui.errors import RefusedError, UndoneError, server_words
from vagus_tui.format import plural
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.journal.state import State
from vagus_tui.migration.cut_over import missing_preferences
from vagus_tui.remedies.repairs_record import keep_rows, open_note, policies_now
from vagus_tui.rollback.quick_plan import migrated_run
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.rules import MappingOptions


@dataclass(frozen=True, slots=True)
class Finding:
    """What a repair would do now.

    Attributes:
        count: how many things it would touch; 0 means that nothing is to be done.
        lines: what, for people; a few of them.
        statements: the SQL, in order.
        names: what each statement is about, where that is kept for an undo.
        signs: how many things are out of order; None where everything that would be touched is.
    """

    count: int
    lines: tuple[str, ...]
    statements: tuple[str, ...]
    names: tuple[str, ...] = ()
    signs: int | None = None

    @property
    def trouble(self) -> int:
        """How many signs of trouble there are: some repairs can always be made, which is none."""
        return self.count if self.signs is None else self.signs


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
        record: what is kept for an undo: `strayed` exercises, `policies`, `indexes`, `preferences`, or nothing.
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


STALE_SHARE = 0.2
STALE_ROWS = 500
"""Statistics are stale when more rows than this, and more than that share of the table, changed since. The server's own
housekeeping comes at a tenth: what is beyond twice that has been left behind."""

_STATISTICS = """
select relname::text as name, greatest(last_analyze, last_autoanalyze) as at, n_mod_since_analyze as changed,
  (greatest(last_analyze, last_autoanalyze) is null and n_live_tup > 0)
  or n_mod_since_analyze > greatest($3::float8, $4::float8 * n_live_tup) as stale
from pg_stat_user_tables where schemaname = $1 and relname = any($2::text[]) order by stale desc, relname
"""


def _statistics(table: str, at: datetime | None, changed: int, stale: bool) -> str:
    when = "never analysed" if at is None else f"analysed {at:%Y-%m-%d %H:%M}"
    return f"{table}: {when}, {plural(changed, 'row')} changed since{': stale' if stale else ''}"


async def _analyze(context: Context) -> Finding:
    rows = await context.connection.fetch(_STATISTICS, SCHEMA, list(v2.TABLES), float(STALE_ROWS), STALE_SHARE)
    lines = tuple(_statistics(row["name"], row["at"], row["changed"], row["stale"]) for row in rows)
    statements = tuple(f"analyze {relation(row['name'])}" for row in rows)
    return Finding(len(rows), lines, statements, signs=sum(row["stale"] for row in rows))


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
    names: list[str] = []
    for name in sorted(broken):
        names.append(name)
        lines.append(f"{name}: left unfinished; it is dropped")
        statements.append(f"drop index concurrently if exists {qualified(SCHEMA, name)}")
    for table in v2.TABLES:
        for index in ddl.indexes(table):
            if index.name not in usable:
                names.append(index.name)
                lines.append(f"{index.name} on {table}: missing; it is created while users go on")
                statements.append(re.sub(r"^create index ", "create index concurrently ", index.sql))
    return Finding(len(lines), tuple(lines), tuple(statements), tuple(names))


_VACUUM = """
select relname::text as name, n_dead_tup as dead, greatest(last_vacuum, last_autovacuum) as at
from pg_stat_user_tables where schemaname = $1 and relname = any($2::text[]) and n_dead_tup > 0 order by n_dead_tup desc
"""


async def _vacuum(context: Context) -> Finding:
    rows = await context.connection.fetch(_VACUUM, SCHEMA, list(v2.TABLES))
    lines = tuple(
        f"{row['name']}: {row['dead']:,} dead rows, "
        f"{'never tidied up' if row['at'] is None else format(row['at'], 'tidied up %Y-%m-%d %H:%M')}"
        for row in rows
    )
    return Finding(len(rows), lines, tuple(f"vacuum (analyze) {relation(row['name'])}" for row in rows), signs=0)


_POLICIES = """
select p.tablename::text as table_name, p.policyname::text as name
from pg_policies p where p.schemaname = $1 and p.tablename = any($2::text[]) order by 1, 2
"""


_NAME = re.compile(r"^create policy \"?(\w+)\"? on ", re.MULTILINE)


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
    found = {(row["table_name"], row["name"]) for row in rows}
    defined = {(table, name) for table in v2.TABLES for name in _NAME.findall("\n".join(ddl.policies(table)))}
    lines = [f"{row['name']}: row level security is off; it is switched on" for row in off]
    lines += [f"{name} on {table}: missing; it is written again" for table, name in sorted(defined - found)]
    lines += [f"{name} on {table}: not one of v2's; it goes" for table, name in sorted(found - defined)]
    signs = len(lines)
    lines.append(f"{len(rows)} policies of {len(v2.TABLES)} tables are written again as defined")
    return Finding(len(v2.TABLES), tuple(lines), tuple(statements), signs=signs)


async def _preferences(context: Context) -> Finding:
    _, survey = await migrated_run(context.connection, context.state)
    if survey.preferences == "rows":
        return Finding(0, ("This project keeps a row per category; the app makes those itself.",), ())
    table = qualified(SCHEMA, v2.PREFERENCES)
    count = await context.connection.fetchval(
        f"select count(*) from auth.users u where not exists (select from {table} p where p.user_id = u.id)"
    )
    words = f"{plural(count, 'user has', 'users have')} no row; each gets a quiet one, with everything off"
    return Finding(count, (words,), (missing_preferences(survey),) if count else ())


def _strayed(context: Context) -> str:
    """Exercises whose day belongs to another plan than the one that v1 says, with the day that the mapping gives."""
    mapping = WorkoutMapping(context.shape, MappingOptions(repeat_exercises=context.settings.repeat_exercises))
    old = qualified(context.shape.schema, context.shape.tables[v1.EXERCISES].name)
    return (
        "select e.id, e.name, e.day_id as former, x.day_id as day_id "
        f"from {relation(v2.EXERCISES)} e "
        f"join {old} o on o.id = e.id "
        f"join {relation(v2.DAYS)} d on d.id = e.day_id join {relation(v2.WEEKS)} w on w.id = d.week_id "
        f"join (\n{mapping.select(v2.EXERCISES)}\n) x on x.id = e.id "
        "where w.plan_id is distinct from o.plan_id "
        f"and exists (select from {relation(v2.DAYS)} t where t.id = x.day_id)"
    )


async def _exercises(context: Context) -> Finding:
    query = _strayed(context)
    day = "left(p.name, 40) as {0}_plan, w.week_number as {0}_week, d.day_label as {0}_day"
    joined = " ".join(
        f"left join lateral (select {day.format(key)} from {relation(v2.DAYS)} d join {relation(v2.WEEKS)} w "
        f"on w.id = d.week_id join {relation(v2.PLANS)} p on p.id = w.plan_id where d.id = s.{column}) {key} on true"
        for key, column in (("old", "former"), ("new", "day_id"))
    )
    rows = await context.connection.fetch(
        f"select left(s.name, 40) as name, old.*, new.*, count(*) over () as n from ({query}) s {joined} "
        "order by s.id limit 8"
    )
    count = rows[0]["n"] if rows else 0
    update = f"update {relation(v2.EXERCISES)} e set day_id = s.day_id from (\n{query}\n) s where s.id = e.id"
    lines = tuple(
        f"{row['name']}: from “{row['old_plan']}” week {row['old_week']} {row['old_day']} "
        f"to “{row['new_plan']}” week {row['new_week']} {row['new_day']}"
        for row in rows
    )
    return Finding(count, lines, (update,) if count else ())


REPAIRS: tuple[Repair, ...] = (
    Repair(
        id="exercises-to-their-day",
        issue="issue.exercises-without-day",
        title="Put exercises back on their day, within their own plan",
        undo="u puts each row back on its former day.",
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
        undo="u drops the indexes it made.",
        look=_indexes,
        transaction=False,
        record="indexes",
    ),
    Repair(
        id="vacuum-v2",
        issue="issue.slow",
        title="Tidy up dead rows (VACUUM, which blocks nobody)",
        undo="None needed.",
        look=_vacuum,
        transaction=False,
    ),
    Repair(
        id="policies-as-defined",
        issue="issue.wrong-data",
        title="Row level security and every policy as defined",
        undo="u brings the policies back that were found.",
        look=_policies,
        record="policies",
    ),
    Repair(
        id="quiet-preferences",
        issue="issue.notifications",
        title="A quiet row for users without preferences",
        undo="u takes the rows out again that it added.",
        look=_preferences,
        record="preferences",
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


async def _before(repair: Repair, context: Context, found: Finding) -> object:
    """What the journal's note keeps of how it was before; None where rows are kept, or nothing is."""
    if repair.record == "policies":
        return await policies_now(context)
    if repair.record == "indexes":
        return [name for name, statement in zip(found.names, found.statements, strict=True) if "create" in statement]
    return None


async def _missing_users(context: Context) -> str:
    table = qualified(SCHEMA, v2.PREFERENCES)
    return f"select u.id from auth.users u where not exists (select from {table} p where p.user_id = u.id)"


async def _keep(repair: Repair, context: Context, number: int) -> None:
    """Keep the rows that are about to be changed."""
    if repair.record == "strayed":
        query = f"select s.id::text, s.former::text, s.day_id::text from ({_strayed(context)}) s"
        await keep_rows(context, number, query)
    elif repair.record == "preferences":
        missing = await _missing_users(context)
        await keep_rows(context, number, f"select q.id::text, null::text, null::text from ({missing}) q")


async def _kept_after(repair: Repair, context: Context, number: int) -> None:
    """Note how the added rows are now, so that an undo knows them again."""
    if repair.record == "preferences":
        await context.connection.execute(
            "update vagus_migration.repaired r set after = p.preferences::text "
            f"from {qualified(SCHEMA, v2.PREFERENCES)} p where r.note_id = {number} and p.user_id::text = r.row_id"
        )


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
                number = await open_note(context, _body(repair, found, await _before(repair, context, found)))
                await _keep(repair, context, number)
                await execute_all(connection, found.statements)
                await _kept_after(repair, context, number)
        else:
            await connection.execute("set statement_timeout = 0")
            before = await _before(repair, context, found)
            for statement in found.statements:
                await connection.execute(statement)
            await open_note(context, _body(repair, found, before))
    except asyncpg.PostgresError as error:
        raise UndoneError(
            f"The server refused: {server_words(error)}",
            state="What ran in a transaction was undone."
            if repair.transaction
            else "What was done before that statement stays; it does no harm.",
            next_step="Look again, then try once more when fewer users are on.",
        ) from error
    return found


def _body(repair: Repair, found: Finding, before: object) -> dict[str, object]:
    return {"repair": repair.id, "count": found.count, "statements": list(found.statements), "before": before}
