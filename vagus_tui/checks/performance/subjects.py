"""Whose pages are timed: the people with the most data, chosen from the data itself (guide, Performance).

Three kinds are worth a measurement: the longest training history, the largest plan, and the coach whose clients have
trained most, because the policies look at every one of those clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from vagus_tui.checks.base import Context
from vagus_tui.checks.performance.tables import Tables
from vagus_tui.database.connection import Connection

CANDIDATES = 5
"""Users with many sessions whose logged sets are counted, to find the one with the most."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One person looking at one athlete's data: at their own, or as a coach at a client's.

    Attributes:
        kind: what they were chosen for, in words.
        actor: who looks.
        athlete: whose data it is.
        plan: the athlete's largest plan, by exercises and days.
        trained: the athlete's plan with the most logged sets; `plan` where nothing was logged.
        exercise: the name of the exercise the athlete logged most, or None.
        log: one of the athlete's logged sets, or None.
        first, last: the days of the athlete's first and last session.
        logs: how many sets the athlete has logged.
    """

    kind: str
    actor: str
    athlete: str
    plan: Any
    trained: Any
    exercise: str | None
    log: Any
    first: date
    last: date
    logs: int

    @property
    def own(self) -> bool:
        """Whether they look at their own data."""
        return self.actor == self.athlete

    @property
    def words(self) -> str:
        """Who it is, for the message: the kind, how much there is, and the id to look them up by."""
        return f"{self.kind}, {self.logs:,} logged sets, user {self.actor}"


async def subjects(context: Context, tables: Tables) -> list[Subject]:
    """The people to measure with, each once; empty where nobody has a plan."""
    key = "performance subjects"
    if key not in context.cache:
        context.cache[key] = await _choose(context.connection, tables)
    found: list[Subject] = context.cache[key]
    return found


async def _choose(connection: Connection, tables: Tables) -> list[Subject]:
    async with connection.transaction(readonly=True):
        await connection.execute("set local work_mem = '64MB'")
        wanted = [
            ("Longest history", await _most_logged(connection, tables)),
            ("Largest plan", await _largest_plan(connection, tables)),
            ("Busiest coach", await _busiest_coach(connection, tables)),
        ]
        found: list[Subject] = []
        for kind, pair in wanted:
            if pair is None or any((one.actor, one.athlete) == pair for one in found):
                continue
            subject = await _subject(connection, tables, kind, *pair)
            if subject is not None:
                found.append(subject)
    return found


async def _most_logged(connection: Connection, tables: Tables) -> tuple[str, str] | None:
    user = await connection.fetchval(
        f"with busy as (select user_id from {tables.sessions} where user_id is not null "
        "  group by 1 order by count(*) desc, 1 limit $1) "
        f"select b.user_id::text from busy b join {tables.sessions} s on s.user_id = b.user_id "
        f"join {tables.logs} l on l.session_id = s.id group by b.user_id order by count(*) desc, b.user_id limit 1",
        CANDIDATES,
    )
    return (user, user) if user else None


async def _largest_plan(connection: Connection, tables: Tables) -> tuple[str, str] | None:
    user = await connection.fetchval(
        f"select p.user_id::text from {tables.plans} p join ({tables.plan_sizes}) x on x.plan_id = p.id "
        "where p.user_id is not null order by x.size desc, p.id limit 1"
    )
    return (user, user) if user else None


async def _busiest_coach(connection: Connection, tables: Tables) -> tuple[str, str] | None:
    if tables.clients is None:
        return None
    row = await connection.fetchrow(
        f"with coach as (select c.coach from ({tables.clients}) c join {tables.sessions} s on s.user_id = c.client "
        "  group by 1 order by count(*) desc, 1 limit 1) "
        f"select c.coach::text as coach, c.client::text as client from ({tables.clients}) c "
        f"join coach on coach.coach = c.coach join {tables.sessions} s on s.user_id = c.client "
        "group by 1, 2 order by count(*) desc, 2 limit 1"
    )
    return (row["coach"], row["client"]) if row else None


async def _subject(connection: Connection, tables: Tables, kind: str, actor: str, athlete: str) -> Subject | None:
    row = await connection.fetchrow(_looked_up(tables), athlete)
    assert row is not None
    if row["plan"] is None:
        return None
    today = date.today()
    return Subject(
        kind=kind,
        actor=actor,
        athlete=athlete,
        plan=row["plan"],
        trained=row["plan"] if row["trained"] is None else row["trained"],
        exercise=row["exercise"],
        log=row["log"],
        first=row["first"] or today - timedelta(days=365),
        last=row["last"] or today,
        logs=row["logs"],
    )


def _looked_up(tables: Tables) -> str:
    """A query for what a subject is made of, of the athlete $1."""
    done = f"{tables.sessions} s join {tables.logs} l on l.session_id = s.id"
    return f"""
select (select p.id from {tables.plans} p left join ({tables.own_plan_sizes}) x on x.plan_id = p.id
    where p.user_id = $1::uuid order by x.size desc nulls last, p.id limit 1) as plan,
  (select l.id from {done} where s.user_id = $1::uuid order by s.started_at desc nulls last, l.id limit 1) as log,
  (select e.name from {done} join {tables.exercises} e on e.id = l.exercise_id where s.user_id = $1::uuid
    group by 1 order by count(*) desc, 1 limit 1) as exercise,
  ({tables.trained_plan}) as trained, w.*
from (select count(*) as logs, min(s.started_at)::date as first, max(s.started_at)::date as last
  from {done} where s.user_id = $1::uuid and isfinite(s.started_at)) w
"""
