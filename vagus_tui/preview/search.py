"""Finding plans among tens of thousands, in the server, a page at a time from where the last one ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.checks.base import Context
from vagus_tui.errors import RefusedError
from vagus_tui.preview.oddities import Oddity
from vagus_tui.preview.plan import MAY_READ_USERS
from vagus_tui.preview.sources import looking, mapping, migrated
from vagus_tui.preview.tree_sql import CELL
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified

PAGE = 100


class Order(StrEnum):
    """What plans are sorted by; sizes largest first."""

    NAME = "name"
    EXERCISES = "exercises"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHit:
    """One plan found. `key` is where the next page starts, with the id."""

    id: str
    name: str
    user_id: str
    email: str
    exercises: int
    sessions: int
    key: str


@dataclass(frozen=True, slots=True)
class Hits:
    """A page of plans."""

    plans: tuple[PlanHit, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for.

    Attributes:
        text: part of the plan's name or of its owner's address, or a whole id of either; empty for all.
        order: by what they are sorted.
        oddity: only plans that are odd in this way.
    """

    text: str = ""
    order: Order = Order.NAME
    oddity: Oddity | None = None


def like(text: str) -> str:
    """A pattern that finds the text anywhere, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def find_plans(context: Context, search: Search, *, after: PlanHit | None = None, limit: int = PAGE) -> Hits:
    """A page of plans, beginning after the one given.

    Raises:
        RefusedError: there are no plans here.
    """
    found = mapping(context)
    built = migrated(context)
    if found is None and not built:
        raise RefusedError("There are no plans here.", next_step="The overview says what was found.")
    async with looking(context):
        users = bool(await context.connection.fetchval(MAY_READ_USERS))
        query, arguments = _query(context, search, after, users=users)
        rows = await context.connection.fetch(query, *arguments, limit + 1)
    hits = tuple(PlanHit(**{name: row[name] for name in PlanHit.__slots__}) for row in rows[:limit])
    return Hits(hits, more=len(rows) > limit)


def _query(context: Context, search: Search, after: PlanHit | None, *, users: bool) -> tuple[str, list[str]]:
    found = mapping(context)
    built = migrated(context)
    if built:
        plans = qualified("public", v2.PLANS)
        weeks, days = qualified("public", v2.WEEKS), qualified("public", v2.DAYS)
        parents = f"{weeks} w join {days} d on d.week_id = w.id join {{table}} x on x.day_id = d.id"
        exercises = f"select w.plan_id, count(*) as n from {parents.format(table=qualified('public', v2.EXERCISES))}"
        sessions = f"select w.plan_id, count(*) as n from {parents.format(table=qualified('public', v2.SESSIONS))}"
        owner = "w"
    else:
        assert found is not None
        plans = found.source(v1.PLANS)
        exercises = f"select x.plan_id, count(*) as n from {found.source(v1.EXERCISES)} x"
        sessions = f"select x.plan_id, count(*) as n from {found.source(v1.SESSIONS)} x"
        owner = "x"
    conditions = []
    arguments: list[str] = []

    def argument(value: str) -> str:
        arguments.append(value)
        return f"${len(arguments)}::text"

    if search.text:
        pattern, whole = argument(like(search.text)), argument(search.text.strip())
        wanted = [f"p.name::text ilike {pattern}", f"p.id::text = {whole}", f"p.user_id::text = {whole}"]
        if users:
            wanted.append(f"p.user_id in (select u.id from auth.users u where u.email ilike {pattern})")
        conditions.append(f"({' or '.join(wanted)})")
    if search.oddity is not None and found is not None and (odd := search.oddity.condition(found)) is not None:
        # The condition speaks of v1; after the migration the plans it names are looked up in v2.
        conditions.append(f"p.id in (select p.id from {found.source(v1.PLANS)} p where {odd})")
    name = f"lower(left(coalesce(p.name::text, ''), {CELL}))"
    counted = {Order.EXERCISES: exercises, Order.SESSIONS: sessions}.get(search.order)
    if counted is None:
        key, join, direction, compare, cast = name, "", "", ">", "text"
    else:
        key, direction, compare, cast = "coalesce(c.n, 0)", " desc", "<", "bigint"
        join = f" left join ({counted} group by 1) c on c.plan_id = p.id"
    if after is not None:
        conditions.append(f"({key}, p.id::text) {compare} ({argument(after.key)}::{cast}, {argument(after.id)})")
    where = f" where {' and '.join(conditions)}" if conditions else ""
    email = "coalesce(left(u.email::text, 200), '')" if users else "''"
    accounts = " left join auth.users u on u.id = page.user_id" if users else ""
    within = f" where {owner}.plan_id in (select id from page) group by 1"
    query = (
        f"with page as materialized (select p.id, p.name, p.user_id, {key} as key from {plans} p{join}{where} "
        f"order by {key}{direction}, p.id::text{direction} limit ${len(arguments) + 1}),\n"
        f"its_exercises as ({exercises}{within}), its_sessions as ({sessions}{within})\n"
        f"select page.id::text as id, left(coalesce(page.name::text, ''), {CELL}) as name, "
        f"coalesce(page.user_id::text, '') as user_id, {email} as email, coalesce(e.n, 0)::int as exercises, "
        "coalesce(s.n, 0)::int as sessions, page.key::text as key\n"
        f"from page left join its_exercises e on e.plan_id = page.id left join its_sessions s on s.plan_id = page.id"
        f"{accounts}\norder by page.key{direction}, page.id::text{direction}"
    )
    return query, arguments
