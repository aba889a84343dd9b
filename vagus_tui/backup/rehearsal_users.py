"""Users at work on a migrated copy: they write through row level security, and every row is looked for afterwards.

The users are those who own plans in the backup. Each writes in a transaction of their own, as the app's API does it:
logged in as `authenticator`, with the role `authenticated` and the user's claims.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from vagus_tui.backup.digest import digest_sql
from vagus_tui.backup.folder import STOPPED
from vagus_tui.backup.manifest import Manifest
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, open_connection
from vagus_tui.database.identifiers import qualified
from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.schema import v1, v2
from vagus_tui.schema.v1 import V1Shape

USERS = 25
_MARK = "written in a rehearsal"
_SAME = {
    v2.PLANS: ("name",),
    v2.EXERCISES: ("name",),
    v2.SESSIONS: ("started_at",),
    v2.LOGS: ("session_id", "exercise_id", "set_number", "reps", "weight"),
}
"""Columns that v1 always has, by which a row in v1 is compared with that in v2's archive."""


@dataclass(slots=True)
class Writes:
    """What users wrote: ids (as text) by v2 table; what was refused, by SQLSTATE."""

    users: int = 0
    new: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    deleted: dict[str, list[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def written(self) -> int:
        """Rows that were written and committed."""
        return sum(len(ids) for kind in (self.new, self.changed, self.deleted) for ids in kind.values())

    def touched(self, table: str) -> list[str]:
        """The ids of one table that anything was done to."""
        return [row for kind in (self.new, self.changed, self.deleted) for row in kind.get(table, ())]

    def refusals(self) -> str:
        """What was refused, in words."""
        return ", ".join(f"{count} refused ({state})" for state, count in self.refused.most_common(3))

    def add(self, other: Writes) -> None:
        """Count in what one transaction committed."""
        for mine, theirs in ((self.new, other.new), (self.changed, other.changed), (self.deleted, other.deleted)):
            for table, ids in theirs.items():
                mine.setdefault(table, []).extend(ids)


@dataclass(frozen=True, slots=True)
class Traces:
    """Where the writes are after a rollback. `only_v2` of the archived ones are of tables that v1 does not have."""

    in_v1: int
    archived: int
    only_v2: int
    lost: list[str]


Request = Callable[[Connection, Any, Writes], Awaitable[None]]


async def _train(connection: Connection, user: Any, done: Writes) -> None:
    """A session on one of their days, with two sets, one of them with what only v2 can hold."""
    row = await connection.fetchrow(
        "select e.id as exercise, d.id as day from public.exercises e join public.workout_days d on d.id = e.day_id "
        "join public.workout_weeks w on w.id = d.week_id join public.workout_plans p on p.id = w.plan_id "
        "where p.user_id = $1 order by e.id limit 1",
        user,
    )
    if row is None:
        return
    session = await connection.fetchval(
        "insert into public.workout_sessions (user_id, day_id, started_at, notes) values ($1, $2, now(), $3) "
        "returning id",
        user,
        row["day"],
        _MARK,
    )
    done.new.setdefault(v2.SESSIONS, []).append(str(session))
    for number, rating in ((1, None), (2, 4)):
        log = await connection.fetchval(
            "insert into public.exercise_logs (session_id, exercise_id, set_number, reps, weight, form_rating) "
            "values ($1, $2, $3, 8, 42.5, $4) returning id",
            session,
            row["exercise"],
            number,
            rating,
        )
        done.new.setdefault(v2.LOGS, []).append(str(log))


async def _correct(connection: Connection, user: Any, done: Writes) -> None:
    """Another weight for a set that was logged before the migration."""
    log = await connection.fetchval(
        "update public.exercise_logs set weight = weight + 1 where id = (select l.id from public.exercise_logs l "
        "join public.workout_sessions s on s.id = l.session_id where s.user_id = $1 and l.weight < 9000 "
        "order by l.id limit 1) returning id",
        user,
    )
    if log is not None:
        done.changed.setdefault(v2.LOGS, []).append(str(log))


async def _rename(connection: Connection, user: Any, done: Writes) -> None:
    """Another name for a plan."""
    plan = await connection.fetchval(
        "update public.workout_plans set name = left(name, 60) || $2 where id = (select id from public.workout_plans "
        "where user_id = $1 order by id limit 1) returning id",
        user,
        " (rehearsed)",
    )
    if plan is not None:
        done.changed.setdefault(v2.PLANS, []).append(str(plan))


async def _plan(connection: Connection, user: Any, done: Writes) -> None:
    """A new plan with a week, a day and an exercise."""
    plan = await connection.fetchval(
        "insert into public.workout_plans (user_id, name, total_weeks) values ($1, $2, 1) returning id", user, _MARK
    )
    week = await connection.fetchval(
        "insert into public.workout_weeks (plan_id, week_number) values ($1, 1) returning id", plan
    )
    day = await connection.fetchval(
        "insert into public.workout_days (week_id, day_label, day_number) values ($1, 'Full Body', 1) returning id",
        week,
    )
    exercise = await connection.fetchval(
        "insert into public.exercises (day_id, name, muscle_group, sets, order_index) "
        "values ($1, $2, 'general', 3, 1) returning id",
        day,
        _MARK,
    )
    for table, row in ((v2.PLANS, plan), (v2.WEEKS, week), (v2.DAYS, day), (v2.EXERCISES, exercise)):
        done.new.setdefault(table, []).append(str(row))


async def _delete(connection: Connection, user: Any, done: Writes) -> None:
    """One logged set taken back; by default a rollback keeps it in v1."""
    log = await connection.fetchval(
        "delete from public.exercise_logs where id = (select l.id from public.exercise_logs l "
        "join public.workout_sessions s on s.id = l.session_id where s.user_id = $1 and s.notes is distinct from $2 "
        "order by l.id desc limit 1) returning id",
        user,
        _MARK,
    )
    if log is not None:
        done.deleted.setdefault(v2.LOGS, []).append(str(log))


_REQUESTS: tuple[Request, ...] = (_train, _correct, _rename, _plan, _delete)


async def write_as_users(authenticator_url: str, operator_url: str, control: Control) -> Writes:
    """Let users write on the migrated copy, one after the other.

    Raises:
        CancelledByOperatorError: a stop was asked for.
    """
    done = Writes()
    users = await _owners(operator_url)
    connection = await open_connection(authenticator_url, statement_cache_size=0)
    try:
        for user in users:
            done.users += 1
            for request in _REQUESTS:
                if control.cancelled:
                    raise CancelledByOperatorError(STOPPED)
                await _make(connection, request, user, done)
    finally:
        await connection.close()
    return done


async def _make(connection: Connection, request: Request, user: Any, done: Writes) -> None:
    """One request in its own transaction; it counts once that was committed."""
    wrote = Writes()
    try:
        async with connection.transaction():
            await connection.execute("set local role authenticated")
            await connection.execute(
                "select set_config('request.jwt.claims', $1, true), set_config('statement_timeout', '8s', true)",
                json.dumps({"sub": str(user), "role": "authenticated"}),
            )
            await request(connection, user, wrote)
    except asyncpg.PostgresError as error:
        done.refused[error.sqlstate or type(error).__name__] += 1
    else:
        done.add(wrote)


async def _owners(operator_url: str) -> Sequence[Any]:
    """Some users who own plans, those with logged sets first."""
    connection = await open_connection(operator_url)
    try:
        rows = await connection.fetch(
            "select user_id from (select p.user_id, exists (select from public.workout_sessions s "
            "join public.exercise_logs l on l.session_id = s.id where s.user_id = p.user_id) as trained "
            "from (select distinct user_id from public.workout_plans where user_id is not null limit 500) p) o "
            "order by trained desc, user_id limit $1",
            USERS,
        )
    finally:
        await connection.close()
    return [row[0] for row in rows]


async def look_for(connection: Connection, shape: V1Shape, archive: str, writes: Writes) -> Traces:
    """Find every row that was written: in v1 with the values that v2 had, else in the archive, else lost."""
    in_v1, archived, only_v2 = 0, 0, 0
    lost: list[str] = []
    for table in dict.fromkeys((*writes.new, *writes.changed)):
        ids = list(dict.fromkeys(writes.new.get(table, []) + writes.changed.get(table, [])))
        kept = qualified(archive, table)
        present = {
            row[0] for row in await connection.fetch(f"select id::text from {kept} where id::text = any($1)", ids)
        }
        back: set[str] = set()
        if table in shape.tables:
            same = " and ".join(f"o.{name} is not distinct from a.{name}" for name in _SAME[table])
            old = qualified(shape.schema, shape.tables[table].name)
            back = {
                row[0]
                for row in await connection.fetch(
                    f"select a.id::text from {kept} a join {old} o on o.id = a.id and {same} "
                    "where a.id::text = any($1)",
                    ids,
                )
            }
        else:
            only_v2 += len(present)
        in_v1 += len(back)
        archived += len(present - back)
        lost += [f"{table} {row}" for row in ids if row not in present and row not in back]
    return Traces(in_v1, archived, only_v2, lost)


async def untouched(connection: Connection, shape: V1Shape, manifest: Manifest, writes: Writes) -> dict[str, str]:
    """A digest of the rows of each v1 table that nobody wrote to."""
    found = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(SESSION)
        for base in v1.TABLES:
            name = shape.tables[base].name
            entry = next(
                (table for table in manifest.tables if table.workout and table.name in (base, base + v1.SUFFIX)), None
            )
            if entry is None:
                continue
            columns = entry.as_table().columns
            row = await connection.fetchrow(
                digest_sql(shape.schema, name, columns, partitioned=entry.partitioned)
                + " where t.id::text <> all($1::text[])",
                writes.touched(base),
            )
            assert row is not None
            found[base] = f"{row['rows']} {row['total']}"
    return found
