"""Whom to ask for the acceptance test: people from the data who fit the profiles (guide, User Acceptance Testing)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus_tui.checks.base import Context
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.journal.state import State
from vagus_tui.runbook.acceptance import TESTER_PROFILES
from vagus_tui.schema import v1

SPARE = 12
"""Read beyond those wanted, so that nobody has to stand for two profiles."""


@dataclass(frozen=True, slots=True)
class Tester:
    """One person proposed.

    Attributes:
        profile: the id of the profile they fit.
        user_id: their id in auth.users.
        email: how to reach them; empty where the users cannot be read.
        figures: what makes them fit, in words.
    """

    profile: str
    user_id: str
    email: str
    figures: str


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the workout data is now, v1 or v2, and the conditions that differ between them."""

    plans: str
    sessions: str
    active: str
    ended: str
    template: str
    coaches: str | None
    coach_active: str


def _sources(context: Context) -> _Sources | None:
    state = context.state
    shape = state.shape
    coaches = "public.coach_clients" if shape is not None and shape.coach_clients is not None else None
    with_status = shape is not None and shape.coach_clients is not None and "status" in shape.coach_clients
    coach_active = "c.status = 'active'" if with_status else "true"
    if state.state in (State.MIGRATED, State.CLEANED):
        return _Sources(
            qualified("public", v1.PLANS),
            qualified("public", v1.SESSIONS),
            "p.status = 'active' and not p.is_template",
            "p.status = 'completed'",
            "p.is_template",
            coaches or ("public.coach_clients" if shape is None else None),
            coach_active,
        )
    if shape is None:
        return None
    plans = shape.plans
    active = f"p.{quote('is_active')}" if plans.has("is_active") else "true"
    template = f"p.{quote('is_template')}" if plans.has("is_template") else "false"
    return _Sources(
        qualified(shape.schema, plans.name),
        qualified(shape.schema, shape.sessions.name),
        f"{active} and {template} is not true",
        f"{active} is false" if plans.has("is_active") else "false",
        template,
        coaches,
        coach_active,
    )


_HAS_USERS = """
select exists(select from pg_attribute a where a.attrelid = to_regclass('auth.users') and a.attname = 'email')
       and has_table_privilege('auth.users', 'select')
"""


def _queries(found: _Sources) -> dict[str, str]:
    """Per profile a query for (user_id, figures), the most active first; $1 limits it."""
    sessions = f"(select user_id, count(*) as n from {found.sessions} group by user_id) s"
    by_plan = (
        "select p.user_id::text as user_id, count(*) || {what} || coalesce(max(s.n), 0) || ' sessions' as figures "
        f"from {found.plans} p left join {sessions} on s.user_id = p.user_id "
        "where p.user_id is not null and {which} "
        "group by p.user_id order by coalesce(max(s.n), 0) desc, p.user_id limit $1"
    )
    queries = {
        "testers.clients": by_plan.format(what="' active plans, '", which=f"({found.active})"),
        "testers.history": by_plan.format(what="' completed plans, '", which=f"({found.ended})"),
        "testers.templates": by_plan.format(what="' templates, '", which=f"({found.template})"),
    }
    if found.coaches is not None:
        queries["testers.coaches"] = (
            "select c.coach_id::text as user_id, count(*) || ' active clients' as figures "
            f"from {found.coaches} c where {found.coach_active} "
            "group by c.coach_id order by count(*) desc, c.coach_id limit $1"
        )
    return queries


async def suggest_testers(context: Context, begun: Mapping[str, str] | None = None) -> dict[str, tuple[Tester, ...]]:
    """For every profile as many people as it wants, or as there are; nobody stands for two.

    The choice is the same every time as long as the data is.

    Args:
        begun: the profile, by id, of people who have begun to test: they stay, and nobody takes their place.
    """
    found = _sources(context)
    if found is None:
        return {}
    if found.coaches is not None and not await context.connection.fetchval(
        "select to_regclass($1) is not null", found.coaches
    ):
        found = _Sources(
            found.plans, found.sessions, found.active, found.ended, found.template, None, found.coach_active
        )
    queries = _queries(found)
    candidates = {
        profile: await context.connection.fetch(queries[profile.id], SPARE) if profile.id in queries else []
        for profile in TESTER_PROFILES
    }
    begun = dict(begun or {})
    taken = set(begun)
    chosen: dict[str, tuple[Tester, ...]] = {profile.id: () for profile in TESTER_PROFILES}
    # Whoever alone has templates is not spent on a profile that many others fit.
    for profile, rows in sorted(candidates.items(), key=lambda found: len(found[1]) - found[0].wanted):
        figures = {row["user_id"]: row["figures"] for row in rows}
        picked = sorted(person for person, theirs in begun.items() if theirs == profile.id)
        picked += [person for person in figures if person not in taken][: max(0, profile.wanted - len(picked))]
        taken.update(picked)
        emails = await _emails(context, picked)
        chosen[profile.id] = tuple(
            Tester(profile.id, person, emails.get(person, ""), figures.get(person, "has begun to test"))
            for person in picked
        )
    return chosen


async def _emails(context: Context, user_ids: list[str]) -> dict[str, str]:
    """Addresses by user id; empty where auth.users cannot be read."""
    if not user_ids or not await context.connection.fetchval(_HAS_USERS):
        return {}
    rows = await context.connection.fetch(
        "select id::text as id, coalesce(email::text, '') as email from auth.users where id::text = any($1::text[])",
        user_ids,
    )
    return {row["id"]: row["email"] for row in rows}
