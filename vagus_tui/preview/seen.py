"""What one user sees: now, as the API lets them, and in v2, as its rules say."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import acting_as, undone
from vagus_tui.errors import RefusedError
from vagus_tui.preview.plan import email_of
from vagus_tui.preview.sources import mapping, migrated
from vagus_tui.preview.tree_sql import CELL
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified

PAGE = 200
TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True)
class Seen:
    """How many rows of a kind the user sees. None: not allowed to look at all.

    Attributes:
        what: plans, exercises, sessions, logged sets.
        now: what the API shows them now.
        rule: what v2's rules give them: their own, and those of their active clients.
        others: plans among `now` that belong to nobody they may look at; 0 for the other kinds.
    """

    what: str
    now: int | None
    rule: int
    others: int = 0

    @property
    def agrees(self) -> bool:
        """Whether they see neither more nor less than the rules give them."""
        return self.now == self.rule and not self.others


@dataclass(frozen=True, slots=True)
class SeenPlan:
    """One plan that the user sees."""

    id: str
    name: str
    user_id: str
    relation: str


@dataclass(frozen=True, slots=True)
class UserView:
    """All of it.

    Attributes:
        coaches: (id, address) of those who coach this user.
        clients: how many active clients this user has.
        plans: the first page of what they see, by name.
        built: it is v2 that they see now; otherwise v1.
    """

    user_id: str
    email: str
    coaches: tuple[tuple[str, str], ...]
    clients: int
    seen: tuple[Seen, ...]
    plans: tuple[SeenPlan, ...]
    built: bool


@dataclass(frozen=True, slots=True)
class _Tables:
    plans: str
    exercises: str
    sessions: str
    logs: str
    to_plan: str


def _tables(context: Context) -> _Tables:
    if migrated(context):
        names = {table: qualified("public", table) for table in v2.TABLES}
        to_plan = (
            f"x.day_id in (select d.id from {names[v2.DAYS]} d join {names[v2.WEEKS]} w on w.id = d.week_id "
            f"join {names[v2.PLANS]} p on p.id = w.plan_id where p.user_id::text = any($1::text[]))"
        )
        return _Tables(names[v2.PLANS], names[v2.EXERCISES], names[v2.SESSIONS], names[v2.LOGS], to_plan)
    found = mapping(context)
    if found is None:
        raise RefusedError("There are no plans here.", next_step="The overview says what was found.")
    plans, exercises, sessions, logs = (found.source(base) for base in v1.TABLES)
    to_plan = f"x.plan_id in (select p.id from {plans} p where p.user_id::text = any($1::text[]))"
    return _Tables(plans, exercises, sessions, logs, to_plan)


async def user_view(context: Context, user_id: str) -> UserView:
    """What this user sees, by being them in a transaction that is undone.

    Raises:
        RefusedError: there are no plans here, or this login may not act as the app's users do.
    """
    connection, tables = context.connection, _tables(context)
    email = await email_of(context, user_id)
    clients, coaches = await _relations(context, user_id)
    allowed = [user_id, *clients]
    async with undone(connection, timeout_ms=TIMEOUT_MS):
        rule = await _by_rule(connection, tables, allowed)
        now: list[int | None] = []
        plans: tuple[SeenPlan, ...] = ()
        others = 0
        try:
            async with acting_as(connection, "authenticated", user_id):
                rows = await connection.fetch(
                    f"select p.id::text as id, left(coalesce(p.name::text, ''), {CELL}) as name, "
                    f"coalesce(p.user_id::text, '') as user_id from {tables.plans} p "
                    f"order by lower(left(coalesce(p.name::text, ''), {CELL})), p.id limit {PAGE}"
                )
                plans = tuple(
                    SeenPlan(row["id"], row["name"], row["user_id"], _relation(row["user_id"], user_id, clients))
                    for row in rows
                )
                others = await connection.fetchval(
                    f"select count(*) from {tables.plans} p where (p.user_id::text = any($1::text[])) is not true",
                    allowed,
                )
        except asyncpg.InsufficientPrivilegeError:
            plans = ()
        for table in (tables.plans, tables.exercises, tables.sessions, tables.logs):
            now.append(await _count(connection, table, user_id))
    names = ("plans", "exercises", "sessions", "logged sets")
    seen = tuple(
        Seen(name, count, expected, others if name == "plans" else 0)
        for name, count, expected in zip(names, now, rule, strict=True)
    )
    return UserView(user_id, email, tuple(coaches), len(clients), seen, plans, migrated(context))


async def _count(connection: Connection, table: str, user_id: str) -> int | None:
    try:
        async with acting_as(connection, "authenticated", user_id):
            count: int = await connection.fetchval(f"select count(*) from {table}")
            return count
    except asyncpg.InsufficientPrivilegeError:
        return None


async def _by_rule(connection: Connection, tables: _Tables, allowed: list[str]) -> list[int]:
    row = await connection.fetchrow(
        f"select (select count(*) from {tables.plans} x where x.user_id::text = any($1::text[])) as plans, "
        f"(select count(*) from {tables.exercises} x where {tables.to_plan}) as exercises, "
        f"(select count(*) from {tables.sessions} x where x.user_id::text = any($1::text[])) as sessions, "
        f"(select count(*) from {tables.logs} x where x.session_id in "
        f"(select s.id from {tables.sessions} s where s.user_id::text = any($1::text[]))) as logs",
        allowed,
    )
    assert row is not None
    return list(row)


async def _relations(context: Context, user_id: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The user's active clients, and who coaches the user."""
    connection = context.connection
    columns = await connection.fetch(
        "select attname::text as name from pg_attribute where attrelid = to_regclass('public.coach_clients') "
        "and attnum > 0 and not attisdropped"
    )
    names = {row["name"] for row in columns}
    if not {"coach_id", "client_id"} <= names:
        return [], []
    active = " and c.status::text = 'active'" if "status" in names else ""
    clients = await connection.fetch(
        f"select distinct c.client_id::text as id from public.coach_clients c where c.coach_id::text = $1{active}",
        user_id,
    )
    coaches = await connection.fetch(
        f"select distinct c.coach_id::text as id from public.coach_clients c where c.client_id::text = $1{active}",
        user_id,
    )
    return [row["id"] for row in clients if row["id"]], [
        (row["id"], await email_of(context, row["id"])) for row in coaches[:5] if row["id"]
    ]


def _relation(owner: str, user_id: str, clients: list[str]) -> str:
    if owner == user_id:
        return "own"
    return "client's" if owner in clients else "somebody else's"
