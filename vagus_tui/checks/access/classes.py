"""Rows put into classes that policies cannot tell apart, v1's row beside v2's, in temporary tables.

A policy looks at a few columns of a row only (a log's session_id, a plan's user_id). Rows that agree in those, in v1
and in v2, are all reached or none is: measuring one person then looks at thousands of classes instead of at millions
of rows. Nothing of the database is changed by it; the tables are the connection's own and gone when it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.checks.access.guards import Guard
from vagus_tui.database.connection import Connection
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import V1Shape

COACHES = "pg_temp.vagus_access_coaches"
INNER = ("vagus_before", "vagus_now", "vagus_since", "vagus_owner", "vagus_rows", "vagus_id")
"""What every class says of itself: whether v1 has its rows, whether v2 has, whether they were written since the
cut-over; whose they are; how many; the id of one."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of a v2 table hang: joins up to their owner, and which ancestors' changes touch them."""

    joins: str
    owner: str
    ancestors: tuple[tuple[str, str], ...] = ()


_PLAN_OF_WEEK = "left join {plans} p on p.id = w.plan_id"
_UP_FROM_DAY = f"left join {{weeks}} w on w.id = d.week_id {_PLAN_OF_WEEK}"

SOURCES: dict[str, Source] = {
    v2.PLANS: Source("", "t.user_id"),
    v2.WEEKS: Source("left join {plans} p on p.id = t.plan_id", "p.user_id", ((v2.PLANS, "p.id"),)),
    v2.DAYS: Source(
        f"left join {{weeks}} w on w.id = t.week_id {_PLAN_OF_WEEK}",
        "p.user_id",
        ((v2.WEEKS, "w.id"), (v2.PLANS, "p.id")),
    ),
    **{
        table: Source(
            f"left join {{days}} d on d.id = t.day_id {_UP_FROM_DAY}",
            "p.user_id",
            ((v2.DAYS, "d.id"), (v2.WEEKS, "w.id"), (v2.PLANS, "p.id")),
        )
        for table in (v2.GROUPS, v2.EXERCISES)
    },
    v2.SESSIONS: Source("", "t.user_id"),
    v2.LOGS: Source("left join {sessions} s on s.id = t.session_id", "s.user_id", ((v2.SESSIONS, "s.id"),)),
}

_V1_OWNER: dict[str, tuple[str, str]] = {
    v1.PLANS: ("", "o.user_id"),
    v1.EXERCISES: ("left join {plans} op on op.id = o.plan_id", "op.user_id"),
    v1.SESSIONS: ("", "o.user_id"),
    v1.LOGS: ("left join {sessions} os on os.id = o.session_id", "os.user_id"),
}


def v1_base(table: str) -> str:
    """The v1 table whose access is v1's access to a v2 table: weeks, days and groups were part of the plan."""
    return v2.V1_BASES.get(table, v1.PLANS)


def class_table(table: str) -> str:
    """The temporary table of a v2 table's classes."""
    return f"pg_temp.{quote(f'vagus_access_{table}')}"


def _old_side(table: str, shape: V1Shape | None, columns: tuple[str, ...]) -> str:
    """v1's rows: id, owner and the columns that its policies look at."""
    if shape is None:
        return f"(select t.id, null::text as owner from {qualified('public', table)} t where false)"
    names = {base: qualified(shape.schema, found.name) for base, found in shape.tables.items()}
    base = v1_base(table)
    joins, owner = _V1_OWNER[base]
    joins = joins.format(plans=names[v1.PLANS], sessions=names[v1.SESSIONS])
    keys = "".join(f", o.{quote(column)} as o_{number}" for number, column in enumerate(columns))
    return f"(select o.id, {owner}::text as owner{keys} from {names[base]} o {joins})"


def class_statement(table: str, shape: V1Shape | None, old: Guard | None, new: Guard, *, captured: bool) -> str:
    """The statement that makes the classes of one v2 table."""
    source = SOURCES[table]
    here = {name: qualified("public", full) for name, full in _SHORT.items()}
    old_columns = old.columns if old is not None else ()
    touched = [(table, "coalesce(t.id::text, o.id::text)"), *((name, f"{row}::text") for name, row in source.ancestors)]
    since = " or ".join(
        f"coalesce({row} in (select c.row_id from {V2_CHANGES} c where c.table_name = {literal(name).strip()}), false)"
        for name, row in touched
    )
    keys = [*(f"o.o_{number}" for number in range(len(old_columns)))]
    keys += [f"t.{quote(column)} as t_{number}" for number, column in enumerate(new.columns)]
    # Weeks, days and groups have no row in v1: theirs is the plan's.
    derived = table not in v2.V1_BASES
    join = f"left join {_old_side(table, shape, old_columns)} o on o.id = p.id"
    if not derived:
        join = f"full join {_old_side(table, shape, old_columns)} o on o.id = t.id"
    inner = (
        f"select o.id is not null as vagus_before, t.id is not null as vagus_now,\n"
        f"  {since if captured else 'false'} as vagus_since,\n"
        f"  o.owner as owner_before, {source.owner}::text as owner_now, coalesce(t.id::text, o.id::text) as id"
        f"{''.join(f', {key}' for key in keys)}\n"
        f"from {qualified('public', table)} t {source.joins.format(**here)} {join}"
    )
    names = [f"o_{number}" for number in range(len(old_columns))] + [f"t_{n}" for n in range(len(new.columns))]
    listed = "".join(f", r.{name}" for name in names)
    return (
        f"create temporary table {quote(f'vagus_access_{table}')} as\n"
        "select r.vagus_before, r.vagus_now, r.vagus_since,\n"
        # Whose a row is, is what v1 said for as long as nobody has written to it since.
        "  case when r.vagus_before and not r.vagus_since then r.owner_before else r.owner_now end as vagus_owner,\n"
        f"  count(*) as vagus_rows, min(r.id) as vagus_id{listed}\n"
        f"from (\n{inner}\n) r\n"
        f"group by 1, 2, 3, 4{listed}"
    )


_SHORT = {"plans": v2.PLANS, "weeks": v2.WEEKS, "days": v2.DAYS, "sessions": v2.SESSIONS}


async def coach_columns(connection: Connection) -> set[str]:
    """The columns of the relation between coaches and clients; empty where there is none that can be read so."""
    rows = await connection.fetch(
        "select attname::text as name from pg_attribute where attrelid = to_regclass('public.coach_clients') "
        "and attnum > 0 and not attisdropped"
    )
    names = {row["name"] for row in rows}
    return names if {"coach_id", "client_id"} <= names else set()


async def coaches_statement(connection: Connection) -> str:
    """The statement that copies who coaches whom, and whether actively, to where every role may read it."""
    columns = await coach_columns(connection)
    body = "select null::text as coach, null::text as client, false as active where false"
    if columns:
        active = "lower(c.status::text) = 'active'" if "status" in columns else "true"
        body = (
            "select c.coach_id::text as coach, c.client_id::text as client, "
            f"coalesce({active}, false) as active from public.coach_clients c"
        )
    return f"create temporary table vagus_access_coaches as {body}"
