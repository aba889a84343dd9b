"""What VAGUS's app asks of a v1 database, one request per function, as PostgREST would run it.

Every request sees and touches what row level security lets its user, and writes values that v2 accepts too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from vagus_tui.database.connection import Connection
from vagus_tui.schema.v1 import EXERCISES, LOGS, PLANS, SESSIONS


@dataclass(frozen=True, slots=True)
class Write:
    """One row written by a request; it counts once the request's transaction has been committed.

    `weight` is what a log's weight was set to, for telling whether the write is still there.
    """

    kind: Literal["insert", "update", "delete"]
    table: str
    id: Any
    weight: float | None = None


Request = Callable[[Connection, Any, Random], Awaitable[list[Write]]]

# Marks what the traffic made, so that it deletes its own plans and nobody's training history at large.
MARK = "made by traffic"


async def read_plans(conn: Connection, user: Any, random: Random) -> list[Write]:
    """The plan list with its exercises."""
    await conn.fetch(
        "SELECT p.id, p.name, e.name, e.day_label, e.sets, e.weight FROM workout_plans AS p"
        " LEFT JOIN exercises AS e ON e.plan_id = p.id WHERE p.user_id = $1"
        " ORDER BY p.created_at DESC, e.order_index LIMIT 200",
        user,
    )
    return []


async def read_history(conn: Connection, user: Any, random: Random) -> list[Write]:
    """The latest sessions with the volume of their logs."""
    await conn.fetch(
        "SELECT s.id, s.started_at, count(l.id), sum(l.reps * l.weight) FROM workout_sessions AS s"
        " LEFT JOIN exercise_logs AS l ON l.session_id = s.id WHERE s.user_id = $1"
        " GROUP BY s.id, s.started_at ORDER BY s.started_at DESC LIMIT 20",
        user,
    )
    return []


async def train(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Start a session of one of the user's plans and log its first set."""
    exercise = await conn.fetchrow(
        "SELECT e.id, e.plan_id FROM exercises AS e JOIN workout_plans AS p ON p.id = e.plan_id"
        " WHERE p.user_id = $1 ORDER BY random() LIMIT 1",
        user,
    )
    if exercise is None:
        return []
    session = await conn.fetchval(
        "INSERT INTO workout_sessions (user_id, plan_id, started_at, notes) VALUES ($1, $2, now(), $3) RETURNING id",
        user,
        exercise["plan_id"],
        MARK,
    )
    log = await conn.fetchval(
        "INSERT INTO exercise_logs (session_id, exercise_id, set_number, reps, weight, notes)"
        " VALUES ($1, $2, 1, $3, $4, $5) RETURNING id",
        session,
        exercise["id"],
        random.randint(3, 15),
        random.randint(0, 80) * 2.5,
        MARK,
    )
    return [Write("insert", SESSIONS, session), Write("insert", LOGS, log)]


async def log_set(conn: Connection, user: Any, random: Random) -> list[Write]:
    """One more set of an exercise in the user's latest session."""
    rows = await conn.fetch(
        "INSERT INTO exercise_logs (session_id, exercise_id, set_number, reps, weight, rpe, notes)"
        " SELECT l.session_id, l.exercise_id, max(l.set_number) + 1, $2, $3, $4, $5 FROM exercise_logs AS l"
        " WHERE l.session_id = (SELECT s.id FROM workout_sessions AS s WHERE s.user_id = $1 AND s.notes = $5"
        " ORDER BY s.started_at DESC LIMIT 1)"
        " AND l.exercise_id IS NOT NULL AND l.set_number > 0"
        " GROUP BY l.session_id, l.exercise_id LIMIT 1 RETURNING id",
        user,
        random.randint(3, 15),
        random.randint(0, 80) * 2.5,
        random.randint(12, 20) / 2,
        MARK,
    )
    return [Write("insert", LOGS, row["id"]) for row in rows]


async def finish_session(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Complete an open session."""
    rows = await conn.fetch(
        "UPDATE workout_sessions SET completed_at = now() WHERE id = (SELECT id FROM workout_sessions"
        " WHERE user_id = $1 AND notes = $2 AND completed_at IS NULL LIMIT 1) RETURNING id",
        user,
        MARK,
    )
    return [Write("update", SESSIONS, row["id"]) for row in rows]


async def correct_log(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Correct the weight of a logged set, new or old."""
    weight = random.randint(0, 80) * 2.5
    rows = await conn.fetch(
        "UPDATE exercise_logs SET weight = $2 WHERE id = (SELECT l.id FROM exercise_logs AS l"
        " JOIN workout_sessions AS s ON s.id = l.session_id WHERE s.user_id = $1 ORDER BY random() LIMIT 1)"
        " RETURNING id",
        user,
        weight,
    )
    return [Write("update", LOGS, row["id"], weight) for row in rows]


async def edit_exercise(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Change an exercise's target."""
    rows = await conn.fetch(
        "UPDATE exercises SET weight = $2, sets = $3 WHERE id = (SELECT e.id FROM exercises AS e"
        " JOIN workout_plans AS p ON p.id = e.plan_id WHERE p.user_id = $1 ORDER BY random() LIMIT 1) RETURNING id",
        user,
        random.randint(1, 80) * 2.5,
        random.randint(1, 6),
    )
    return [Write("update", EXERCISES, row["id"]) for row in rows]


async def edit_plan(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Change a plan's description, or set it aside or take it up again."""
    rows = await conn.fetch(
        "UPDATE workout_plans SET description = $2, is_active = NOT coalesce(is_active, true)"
        " WHERE id = (SELECT id FROM workout_plans WHERE user_id = $1 ORDER BY random() LIMIT 1) RETURNING id",
        user,
        f"edited {random.randint(0, 10**6)}",
    )
    return [Write("update", PLANS, row["id"]) for row in rows]


async def create_plan(conn: Connection, user: Any, random: Random) -> list[Write]:
    """A new plan with four exercises on two days."""
    plan = await conn.fetchval(
        "INSERT INTO workout_plans (user_id, created_by, name, description, goal, duration_weeks, start_date)"
        " VALUES ($1, $1, $2, $3, 'strength', $4, current_date) RETURNING id",
        user,
        f"Live plan {random.randint(0, 10**9)}",
        MARK,
        random.randint(1, 12),
    )
    exercises = await conn.fetch(
        "INSERT INTO exercises (plan_id, name, muscle_group, day_label, sets, reps_min, reps_max, weight,"
        " rest_seconds, order_index) SELECT $1, 'Live exercise ' || n, 'back', 'Live day ' || n % 2, 3, 5, 8, 40, 90, n"
        " FROM generate_series(1, 4) AS n RETURNING id",
        plan,
    )
    return [Write("insert", PLANS, plan), *(Write("insert", EXERCISES, row["id"]) for row in exercises)]


async def delete_log(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Take back a logged set, new or old."""
    rows = await conn.fetch(
        "DELETE FROM exercise_logs WHERE id = (SELECT l.id FROM exercise_logs AS l"
        " JOIN workout_sessions AS s ON s.id = l.session_id WHERE s.user_id = $1 ORDER BY random() LIMIT 1)"
        " RETURNING id",
        user,
    )
    return [Write("delete", LOGS, row["id"]) for row in rows]


async def delete_session(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Throw away a session, and by cascade its logs."""
    rows = await conn.fetch(
        "DELETE FROM workout_sessions WHERE id = (SELECT id FROM workout_sessions"
        " WHERE user_id = $1 AND notes = $2 LIMIT 1) RETURNING id",
        user,
        MARK,
    )
    return [Write("delete", SESSIONS, row["id"]) for row in rows]


async def delete_exercise(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Take an exercise out of a plan, and by cascade its logs."""
    rows = await conn.fetch(
        "DELETE FROM exercises WHERE id = (SELECT e.id FROM exercises AS e JOIN workout_plans AS p"
        " ON p.id = e.plan_id WHERE p.user_id = $1 AND e.name LIKE 'Live exercise %' LIMIT 1) RETURNING id",
        user,
    )
    return [Write("delete", EXERCISES, row["id"]) for row in rows]


async def delete_plan(conn: Connection, user: Any, random: Random) -> list[Write]:
    """Throw away a plan the traffic made, and by cascade its exercises; its sessions stay, of no plan."""
    sessions = await conn.fetch(
        "DELETE FROM workout_sessions WHERE plan_id = (SELECT id FROM workout_plans"
        " WHERE user_id = $1 AND name LIKE 'Live plan %' ORDER BY created_at LIMIT 1) RETURNING id",
        user,
    )
    plans = await conn.fetch(
        "DELETE FROM workout_plans WHERE id = (SELECT id FROM workout_plans"
        " WHERE user_id = $1 AND name LIKE 'Live plan %' ORDER BY created_at LIMIT 1) RETURNING id",
        user,
    )
    return [
        *(Write("delete", SESSIONS, row["id"]) for row in sessions),
        *(Write("delete", PLANS, row["id"]) for row in plans),
    ]


READS: tuple[tuple[Request, int], ...] = ((read_plans, 30), (read_history, 30))
WRITES: tuple[tuple[Request, int], ...] = (
    (train, 8),
    (log_set, 8),
    (finish_session, 4),
    (correct_log, 4),
    (edit_exercise, 4),
    (edit_plan, 3),
    (create_plan, 3),
    (delete_log, 2),
    (delete_session, 2),
    (delete_exercise, 1),
    (delete_plan, 1),
)

# What v1 and v2 understand alike: for the moment in which one becomes the other.
EITHER_READS: tuple[tuple[Request, int], ...] = ((read_history, 1),)
EITHER_WRITES: tuple[tuple[Request, int], ...] = (
    (log_set, 8),
    (finish_session, 4),
    (correct_log, 8),
    (delete_log, 2),
    (delete_session, 1),
)
