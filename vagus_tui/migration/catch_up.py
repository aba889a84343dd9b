"""Bringing captured changes over: what the touched plans and sessions must look like is worked out anew and put in.

Everything happens in one REPEATABLE READ transaction: the notes taken and the v1 rows read are of the same moment, so
no change can fall between two rounds, whatever order the writers committed in.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus_tui.migration.capture import CHANGE_LOG, CHOICES, PLAN, SESSION, STRUCTURE, captured
from vagus_tui.migration.difference import EXCUSED, differences
from vagus_tui.migration.unique import Apart, made_again, out_of_the_way
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.plan_parts import Scope
from vagus_tui.schema.preferences import chosen, preferences_upsert
from vagus_tui.schema.v1 import V1Shape

DELTA = Scope(plans="pg_temp.vagus_delta_plans", sessions="pg_temp.vagus_delta_sessions")
LOGGED = Scope(plans=DELTA.plans, sessions="pg_temp.vagus_delta_logged")
"""Sessions that were touched themselves. A plan that changes may move all its sessions to other days, but no log."""

TOUCHED = "pg_temp.vagus_touched"
"""What the notes of a round are about, until its transaction ends."""

FEW = 20
"""Where a round touches less than one in so many plans and sessions, it looks their rows up one by one."""

LOOKED_UP = {"seq_page_cost": "20", "random_page_cost": "1", "cpu_index_tuple_cost": "1"}
"""What the server reckons with then: a page of a table that is read whole is dear, and so is a whole index, entry by
entry; a few rows by their index are not, even where it expects fifty times as many as there are."""

AS_USUAL = "; ".join(f"set local {name} to default" for name in LOOKED_UP)
"""What follows a round, and its proof, in the same transaction is planned as usual again."""

MAPPED = (v2.PLANS, v2.WEEKS, v2.DAYS, v2.EXERCISES, v2.SESSIONS, v2.LOGS)
"""The tables that the mapping fills, parents before children."""


def expected(table: str) -> str:
    """The temporary table that holds what the touched rows of a v2 table must be."""
    return f"pg_temp.{quote(f'vagus_x_{table}')}"


def peek(mapping: WorkoutMapping, schema: str, table: str) -> list[str]:
    """Name the plans and sessions that waiting notes touch, and the rows of one table (`EXCUSED`); leave the notes."""
    return [
        *_collect(mapping, schema, f"select distinct unit, id from {CHANGE_LOG}"),
        few_by_index(mapping, schema),
        f"create temporary table vagus_excused on commit drop as\n{_excused_ids(mapping, schema, table)}",
        AS_USUAL,
        f"analyze {EXCUSED}",
    ]


def collect(mapping: WorkoutMapping, schema: str) -> list[str]:
    """Take the notes and name the plans and sessions they touch; first in its transaction, for it holds v1's tables."""
    shape = mapping.shape
    read = ", ".join(qualified(shape.schema, name) for name in captured(shape).values())
    # As everywhere, with a condition: pg_safeupdate, which a project may have switched on, refuses those without.
    taken = f"delete from {CHANGE_LOG} where true returning unit, id"
    return [
        # Before the snapshot, which this takes none of: of a table that somebody writes anew between the two (ALTER
        # TABLE, pg_repack) the snapshot sees no row, and all that was touched would be taken for deleted.
        f"lock table {read} in access share mode",
        *_collect(mapping, schema, f"with taken as ({taken}) select distinct unit, id from taken"),
    ]


def whole_round(mapping: WorkoutMapping, schema: str, kept_apart: Sequence[Apart]) -> list[str]:
    """Take the notes and bring over what they touch, however little it is: see `collect` and `apply`."""
    return [*collect(mapping, schema), *apply(mapping, schema, kept_apart)]


def few_by_index(mapping: WorkoutMapping, schema: str) -> str:
    """From here to `AS_USUAL`, have rows looked up by index, provided that few are touched and that v1 has the indexes.

    Left to its statistics, the server reads whole tables for a few hundred sessions: a sample of a large table finds
    a session's logs side by side, and takes a session for dozens of times as long as it is. Writers wait for that.
    """
    parents = {v1.LOGS: "session_id", v1.EXERCISES: "plan_id", v1.SESSIONS: "plan_id"}
    wanted = ", ".join(
        f"({literal(mapping.source(base)).strip()}::regclass, '{column}')" for base, column in parents.items()
    )

    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in LOOKED_UP.items())

    def few(touched: str, table: str) -> str:
        relation = literal(qualified(schema, table)).strip()
        rows = f"(select reltuples from pg_class where oid = {relation}::regclass)"
        return f"{FEW} * (select count(*) from {touched}) < {rows}"

    return (
        f"select {settings}\n"
        f"where {few(DELTA.plans, v2.PLANS)}\n"
        f"  and {few(DELTA.sessions, v2.SESSIONS)}\n"
        f"  and {len(parents)} = (select count(distinct i.indrelid)\n"
        f"    from (values {wanted}) w (relation, name)\n"
        "    join pg_attribute a on a.attrelid = w.relation and a.attname = w.name\n"
        "    join pg_index i on i.indrelid = a.attrelid and i.indkey[0] = a.attnum\n"
        "      and i.indisvalid and i.indpred is null\n"
        "    join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam and m.amname in ('btree', 'hash'))"
    )


def _excused_ids(mapping: WorkoutMapping, schema: str, table: str) -> str:
    """The ids of one table's rows, as they are or must be, that waiting notes touch."""
    return (
        f"select x.id::text as id from (\n{mapping.select(table, _scope(table))}\n) x "
        f"union select t.id::text from {_scoped(schema, table)}"
    )


def _scope(table: str) -> Scope:
    return LOGGED if table == v2.LOGS else DELTA


def _collect(mapping: WorkoutMapping, schema: str, touched: str) -> list[str]:
    types = v2.id_types(mapping.shape)
    plan, session = types["plan_id"], types["session_id"]
    weeks, days, sessions = (qualified(schema, name) for name in (v2.WEEKS, v2.DAYS, v2.SESSIONS))
    whole_plans = f"(select id::{plan} from {TOUCHED} where unit = '{PLAN}')"
    return [
        f"create temporary table vagus_touched on commit drop as\n{touched}",
        "create temporary table vagus_delta_plans on commit drop as\n"
        f"select distinct id::{plan} as id from {TOUCHED} where unit in ('{PLAN}', '{STRUCTURE}')",
        "create temporary table vagus_delta_logged on commit drop as\n"
        f"select id::{session} as id from {TOUCHED} where unit = '{SESSION}'",
        "create temporary table vagus_delta_sessions on commit drop as\n"
        f"select id from {LOGGED.sessions}\n"
        f"union select s.id::{session} from {mapping.source(v1.SESSIONS)} s where s.plan_id in {whole_plans}\n"
        f"union select s.id from {sessions} s join {days} d on d.id = s.day_id join {weeks} w on w.id = d.week_id\n"
        f"  where w.plan_id in {whole_plans}",
        "analyze pg_temp.vagus_delta_plans",
        "analyze pg_temp.vagus_delta_sessions",
        "analyze pg_temp.vagus_delta_logged",
    ]


def _upsert(mapping: WorkoutMapping, schema: str, table: str) -> str:
    columns = mapping.columns(table)
    listed = ", ".join(quote(name) for name in columns)
    sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in columns if name != "id")
    return (
        f"insert into {qualified(schema, table)} as t ({listed})\n"
        f"select {listed} from {expected(table)}\n"
        f"on conflict (id) do update set {sets}\n"
        f"where {mapping.compared(table, 't')} is distinct from {mapping.compared(table, 'excluded')}"
    )


def _scoped(schema: str, table: str) -> str:
    """FROM and WHERE that give the v2 rows (t) of the touched plans and sessions."""
    weeks, days = qualified(schema, v2.WEEKS), qualified(schema, v2.DAYS)
    plans = f"in (select id from {DELTA.plans})"
    sessions = f"in (select id from {DELTA.sessions})"
    of_plans = f"(select w.id from {weeks} w where w.plan_id {plans})"
    conditions = {
        v2.PLANS: f"t.id {plans}",
        v2.WEEKS: f"t.plan_id {plans}",
        v2.DAYS: f"t.week_id in {of_plans}",
        v2.EXERCISES: f"t.day_id in (select d.id from {days} d where d.week_id in {of_plans})",
        v2.SESSIONS: f"t.id {sessions}",
        v2.LOGS: f"t.session_id in (select id from {LOGGED.sessions})",
    }
    return f"{qualified(schema, table)} t where {conditions[table]}"


def expect(mapping: WorkoutMapping, logs: Scope = LOGGED) -> list[str]:
    """Work out what the touched rows of every v2 table must be; `logs` names the sessions whose logs are meant."""
    statements = []
    for table in MAPPED:
        wanted = mapping.select(table, logs if table == v2.LOGS else DELTA)
        statements.append(f"create temporary table {quote(f'vagus_x_{table}')} on commit drop as\n{wanted}")
        statements.append(f"analyze {expected(table)}")
    return statements


def apply(mapping: WorkoutMapping, schema: str, kept_apart: Sequence[Apart]) -> list[str]:
    """Make v2's rows of the touched plans and sessions what they must be: changed, added and taken away.

    Args:
        kept_apart: the unique indexes that v2's tables have from v1.
    """
    statements = [few_by_index(mapping, schema), *expect(mapping)]
    colliding = [one for one in kept_apart if one.table in MAPPED and one.table != v2.LOGS]
    statements.extend(out_of_the_way(one, schema, expected(one.table)) for one in colliding)
    logs = qualified(schema, v2.LOGS)
    listed = ", ".join(quote(name) for name in mapping.columns(v2.LOGS))
    # Logs that changed are taken out first and put in last: two sets may have swapped their numbers.
    statements.append(
        f"delete from {_scoped(schema, v2.LOGS)}\nand not exists (select from {expected(v2.LOGS)} x where x.id = t.id "
        f"and {mapping.compared(v2.LOGS, 'x')} is not distinct from {mapping.compared(v2.LOGS, 't')})"
    )
    statements.extend(_upsert(mapping, schema, table) for table in MAPPED if table != v2.LOGS)
    statements.append(
        f"insert into {logs} ({listed})\nselect {listed} from {expected(v2.LOGS)} x\n"
        f"where not exists (select from {logs} t where t.id = x.id)"
    )
    statements.extend(
        f"delete from {_scoped(schema, table)}\nand not exists (select from {expected(table)} x where x.id = t.id)"
        for table in (v2.SESSIONS, v2.EXERCISES, v2.DAYS, v2.WEEKS, v2.PLANS)
    )
    statements.extend(made_again(one, schema) for one in colliding)
    if v2.PREFERENCES in captured(mapping.shape):
        touched = f"(select id::uuid from {TOUCHED} where unit = '{CHOICES}')"
        relation = qualified(schema, v2.PREFERENCES)
        statements.append(preferences_upsert("rows", mapping.shape.schema, relation, only=f"u.id in {touched}"))
    return statements


def strays(schema: str) -> str:
    """Take away exercises on days that are not there, before references forbid them.

    The build read a plan's days before its exercises. One that came to a new day in between, and was gone before the
    first round, belongs to no plan that a round would find it by; what v1 still has, that round has put on its day.
    It has left notes: where that round, in the same transaction, found none, no exercise is looked at.
    """
    days = qualified(schema, v2.DAYS)
    return (
        f"delete from {qualified(schema, v2.EXERCISES)} t where exists (select from {TOUCHED})\n"
        f"and not exists (select from {days} d where d.id = t.day_id)"
    )


def delta_differences(mapping: WorkoutMapping, schema: str) -> dict[str, str]:
    """Per table, the query for what still differs among the touched plans and sessions; it must find nothing."""
    return {
        table: differences(
            mapping,
            table,
            mapping.select(table, _scope(table)),
            f"select t.* from {_scoped(schema, table)}",
            own=True,
        )
        for table in MAPPED
    }


def preference_differences(shape: V1Shape, schema: str) -> str:
    """How many users' preferences are not what they chose, but for those whom waiting notes name.

    Users who came since and chose nothing get their quiet ones after the cut-over.
    """
    old = qualified(shape.schema, v2.PREFERENCES)
    return (
        f"select count(*) from {v2.USERS} u left join {qualified(schema, v2.PREFERENCES)} p on p.user_id = u.id\n"
        f"where p.preferences is distinct from {chosen(old, 'u.id')}\n"
        f"  and (p.user_id is not null or exists (select from {old} o where o.user_id = u.id))\n"
        f"  and not exists (select from {CHANGE_LOG} n where n.unit = '{CHOICES}' and n.id = u.id::text)"
    )
