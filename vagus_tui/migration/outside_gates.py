"""Gates about what acts on a database from outside its tables: event triggers, jobs by the clock, subscriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import undone
from vagus_tui.errors import server_words
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.migration import function_text
from vagus_tui.migration.trial import TRIAL
from vagus_tui.schema.identifiers import free_name, literal, quote

_EVENT_TRIGGERS = """
select t.evtname::text as name, t.evtevent::text as event, pg_get_userbyid(t.evtowner)::text as owner,
  pg_catalog.format('%I.%I', n.nspname, p.proname) as function, p.prosrc as source
from pg_event_trigger t join pg_proc p on p.oid = t.evtfoid join pg_namespace n on n.oid = p.pronamespace
where t.evtenabled in ('O', 'A') and t.evtevent in ('ddl_command_start', 'ddl_command_end', 'sql_drop') order by 1
"""

_READABLE = """
select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'cron' and c.relname = 'job'
"""

_JOBS = """
select jobid::text as id, coalesce(jobname, '') as name, schedule, command, username, active
from cron.job where database = current_database() order by jobid
"""

_SUBSCRIPTIONS = """
select s.subname::text as name, s.subenabled as enabled, pg_get_userbyid(s.subowner)::text as owner,
  array_agg(c.relname::text order by c.relname) as tables
from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid join pg_class c on c.oid = r.srrelid
join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])
group by 1, 2, 3 order by 1
"""

_BESIDES = """
select pg_catalog.concat_ws(' and ',
  (select 'column ' || string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a
   where a.attrelid = $1::regclass and a.attnum > 2 and not a.attisdropped),
  (select 'trigger ' || string_agg(t.tgname, ', ' order by t.tgname) from pg_trigger t
   where t.tgrelid = $1::regclass and t.tgname <> $2 and not t.tgisinternal),
  (select 'policy ' || string_agg(p.polname, ', ' order by p.polname) from pg_policy p
   where p.polrelid = $1::regclass and p.polname <> $2))
"""

_UPKEEP = re.compile(r"\s*(?:(?:vacuum|analyze|reindex|cluster)\b[^;]*;?\s*)+", re.IGNORECASE)


async def _refused(connection: Connection, schema: str) -> str:
    """What becomes of statements of the kinds that a migration runs, on things of its own, in a few words: they are
    refused, or what they make is added to; "" for neither.

    All is taken back: tables are made, changed and dropped in a schema of their own and in v1's, with functions and
    triggers on them.
    """
    taken = {row[0] for row in await connection.fetch("select relname::text from pg_class")}
    name = free_name("workout_v2_trial", taken)
    there, here = f"{quote(TRIAL)}.{quote(name)}", f"{quote(schema)}.{quote(name)}"
    function = f"{quote(TRIAL)}.{quote(name)}()"
    statements = (
        f"create schema {quote(TRIAL)}",
        f"create table {there} (id uuid primary key, name text not null)",
        f"create function {function} returns trigger language plpgsql as $$ begin return null; end $$",
        f"create trigger {quote(name)} after insert on {there} for each statement execute function {function}",
        f"create index on {there} (name)",
        f"comment on table {there} is {literal('tried')}",
        f"alter table {there} enable row level security",
        f"create policy {quote(name)} on {there} using (true)",
        f"grant select on {there} to public",
        f"create view {quote(TRIAL)}.tried as select id from {there}",
        f"drop view {quote(TRIAL)}.tried",
        f"alter table {there} set schema {quote(schema)}",
        f"drop trigger {quote(name)} on {here}",
        f"alter table {here} rename to {quote(name + '_v1')}",
        f"drop table {quote(schema)}.{quote(name + '_v1')}",
        f"drop schema {quote(TRIAL)} cascade",
    )
    try:
        async with undone(connection):
            for statement in statements:
                await connection.execute(statement)
                if statement.startswith("grant ") and (besides := await connection.fetchval(_BESIDES, there, name)):
                    # With such a table for its notes, a rollback could not be sure of them.
                    return f"and a table of its own got more than was asked for: {besides}"
    except asyncpg.InsufficientPrivilegeError:
        # The check of rights says what is missing.
        return ""
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
        raise
    except asyncpg.PostgresError as error:
        return f"and refused: {server_words(error)}"
    return ""


async def _event_triggers(context: Context) -> Outcome:
    rows = await context.connection.fetch(_EVENT_TRIGGERS)
    if not rows:
        return Outcome(Status.PASS, "none")
    counted = plural(len(rows), "event trigger")
    listed = tuple(
        f"{row['name']} on {row['event']}, function {row['function']}, belongs to {row['owner']}" for row in rows
    )
    if refused := await _refused(context.connection, context.shape.schema):
        return Outcome(
            Status.FAIL,
            counted,
            f"What a migration does was tried on things of its own, {refused}",
            rows=len(rows),
            detail=(*listed, *_switched(row["name"] for row in rows)),
            overridable=False,
        )
    names = [table.name for table in context.shape.tables.values()]
    naming = [row for row in rows if function_text.mentions(function_text.words(row["source"]), names)]
    if naming:
        detail = list(listed)
        for row in naming:
            detail.append(f"{row['name']} names v1's tables, which have no name for a moment in the cut-over:")
            detail += [f"    {line}" for line in function_text.lines(row["source"], names)]
        detail += _switched(row["name"] for row in naming)
        return Outcome(
            Status.FAIL, counted, "They run with the migration's own statements:", len(naming), tuple(detail)
        )
    return Outcome(Status.PASS, counted, "What a migration does was tried, and let through.", detail=listed)


def _switched(names: Iterable[str]) -> tuple[str, ...]:
    listed = [quote(name) for name in names]
    return (
        "A superuser, or the owner, switches them off for the migration, and on again after it:",
        *(f"    alter event trigger {name} disable;" for name in listed),
        *(f"    alter event trigger {name} enable;" for name in listed),
    )


async def _jobs(context: Context) -> Outcome:
    connection = context.connection
    readable = await connection.fetchval(_READABLE)
    if readable is None:
        return Outcome(Status.PASS, "none", "pg_cron is not here.")
    if not readable:
        return Outcome(
            Status.WARN, "not to be seen", "pg_cron is here, but its jobs are not ours to read: look yourself."
        )
    names = [table.name for table in context.shape.tables.values()]
    rows = [
        row
        for row in await connection.fetch(_JOBS)
        if function_text.mentions(function_text.words(row["command"]), names)
    ]
    if not rows:
        return Outcome(Status.PASS, "none", "No job that we can see names v1's tables.")
    stuck: list[list[str]] = []
    rest = []
    for row in rows:
        title = f"job {row['id']} {row['name']}".strip() + f" ({row['schedule']}, as {row['username']})"
        if _UPKEEP.fullmatch(function_text.words(row["command"])):
            rest.append(f"{title}: finds v2's tables by name after the cut-over: {row['command'].strip()}")
        elif not row["active"]:
            rest.append(f"{title}: not active; rewrite it for v2 before it is: {row['command'].strip()}")
        else:
            stop, again = "active := false", "command := '…', active := true"
            stuck.append(
                [
                    f"{title}:",
                    *(f"    {line}" for line in row["command"].strip().splitlines()),
                    f"  Before the cut-over: select cron.alter_job({row['id']}, {stop});",
                    f"  Then, in words that v2 knows: select cron.alter_job({row['id']}, {again});",
                ]
            )
    if not stuck:
        return Outcome(Status.PASS, f"{len(rows)}", "", detail=tuple(rest))
    return Outcome(
        Status.FAIL,
        f"{len(stuck)} of {len(rows)}",
        "They find tables by name when they run: v2's after the cut-over, whose columns and meaning are others.",
        rows=len(stuck),
        detail=(*chain.from_iterable(stuck), *rest),
    )


async def _subscriptions(context: Context) -> Outcome:
    shape = context.shape
    names = [table.name for table in shape.tables.values()]
    rows = await context.connection.fetch(_SUBSCRIPTIONS, shape.schema, names)
    if not rows:
        return Outcome(Status.PASS, "none")
    detail = []
    for row in rows:
        state = "" if row["enabled"] else ", disabled"
        detail += [
            f"{row['name']} of {row['owner']}{state} writes to {', '.join(row['tables'])}. Once it has caught up:",
            f"    alter subscription {quote(row['name'])} disable;",
            f"    alter subscription {quote(row['name'])} set (slot_name = none);",
            f"    drop subscription {quote(row['name'])};",
        ]
    detail.append("Then, on the server that publishes, its replication slot has to go as well.")
    return Outcome(
        Status.FAIL,
        plural(len(rows), "subscription"),
        "What they bring is noted and comes over until the cut-over. After it they find v2's tables by v1's names: "
        "they stop with an error, or pass over every row without a word.",
        rows=len(rows),
        detail=tuple(detail),
    )


OUTSIDE_GATES: tuple[Check, ...] = (
    Check(
        id="event-triggers",
        group=Group.PREREQUISITES,
        title="Event triggers let the migration through",
        why="They run with every statement that makes or drops something. One that refuses such statements, or looks "
        "for tables whose names just change hands, stops a migration in its middle, or its undoing.",
        expected="all let it through",
        probe=_event_triggers,
        needs_v1=True,
    ),
    Check(
        id="scheduled-jobs",
        group=Group.PREREQUISITES,
        title="Scheduled jobs that name v1's tables",
        why="A job of pg_cron finds tables by name when it runs, at night as a rule: on v2 it breaks, or works on the "
        "wrong thing, and nobody is there to see it.",
        expected="none",
        probe=_jobs,
        needs_v1=True,
    ),
    Check(
        id="subscriptions",
        group=Group.PREREQUISITES,
        title="Nothing is replicated into v1's tables",
        why="A subscription writes to tables by their names, which v2's have after the cut-over. What another server "
        "sends for v1 then comes nowhere, and it is told that it arrived.",
        expected="none",
        probe=_subscriptions,
        needs_v1=True,
        sql=lambda _: _SUBSCRIPTIONS.strip(),
    ),
)
"""The gates about event triggers, jobs and subscriptions."""
