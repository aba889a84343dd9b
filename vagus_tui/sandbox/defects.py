"""The faults planted in sample data that is not clean: a handful of each that a real v1 can hold.

Every fault has rows of its own, so that each can be looked at, and mended, alone. They sit in plans 1 to 40.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.schema.v1 import EXERCISES, LOGS, PLANS, SESSIONS

_ID_FUNCTIONS = {PLANS: "plan_id", EXERCISES: "exercise_id", SESSIONS: "session_id", LOGS: "log_id"}

# Markup, SQL, terminal escapes (colour, title, cursor), a right-to-left override, a zero-width joiner, a line break.
HOSTILE_NAMES = (
    "[/red] \"x'; DROP TABLE workout_plans;--",
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x1b[2J",
    "\u202egnirts desrever\u202c \u200d [bold]x[/]",
    "$$ %s {0} \\ \t two\nlines `id` <b>&amp;",
)

_HOSTILE_FOUND = r"t.name ~ '[\x01-\x1f\[$]|\u202e'"
_NOBODY = "NOT EXISTS (SELECT FROM auth.users AS u WHERE u.id = t.user_id)"


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of fault.

    Attributes:
        id: its name.
        table: the v1 table its rows are in.
        changes: what is done to which row: the row's numbers (plan; plan, exercise; plan, session; plan, session,
            log) and the assignment. Exercises are counted from 0, the others from 1.
        found: a condition on the table's rows, alias t, which holds for the fault's rows and for no sound one.
    """

    id: str
    table: str
    changes: tuple[tuple[tuple[int, ...], str], ...]
    found: str


def _same(assignment: str, *rows: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    return tuple((row, assignment) for row in rows)


def _unknown(column: str, function: str, arity: int, *rows: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Point rows at something that never existed."""
    made = []
    for number, row in enumerate(rows, start=900_000_001):
        arguments = ", ".join([str(number)] + ["1"] * (arity - 1))
        made.append((row, f"{column} = pg_temp.{function}({arguments})"))
    return tuple(made)


def _hostile(column: str, *rows: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    return tuple((row, f"{column} = {_text(name)}") for row, name in zip(rows, HOSTILE_NAMES, strict=True))


def _moved(interval: str) -> str:
    return ", ".join(f"{column} = {column} + interval '{interval}'" for column in ("started_at", "completed_at"))


def _text(value: str) -> str:
    escaped = "".join(f"\\U{ord(char):08X}" for char in value)
    return f"E'{escaped}'"


_PLAN_DEFECTS = (
    Defect("plan-without-owner", PLANS, _same("user_id = NULL", (9,), (24,), (39,)), "t.user_id IS NULL"),
    Defect(
        "plan-of-unknown-user",
        PLANS,
        _unknown("user_id", "user_id", 1, (10,), (26,)),
        f"t.user_id IS NOT NULL AND {_NOBODY}",
    ),
    Defect("plan-status-unknown", PLANS, _same("is_active = NULL", (14,), (29,)), "t.is_active IS NULL"),
    Defect(
        "plan-goal-free-text",
        PLANS,
        (
            ((16,), "goal = 'Get beach-ready 🏖️'"),
            ((17,), "goal = 'bygge muskler og bli sterk'"),
            ((18,), "goal = 'خسارة الوزن'"),
            ((19,), "goal = ''"),
        ),
        "replace(lower(btrim(t.goal)), ' ', '_') NOT IN ('strength', 'hypertrophy', 'endurance', 'powerlifting',"
        " 'general_fitness', 'weight_loss')",
    ),
    Defect("plan-without-goal", PLANS, _same("goal = NULL", (30,)), "t.goal IS NULL"),
    Defect(
        "plan-weeks-out-of-range",
        PLANS,
        (((20,), "duration_weeks = 0"), ((21,), "duration_weeks = 80"), ((22,), "duration_weeks = -3")),
        "t.duration_weeks NOT BETWEEN 1 AND 52",
    ),
    Defect("plan-name-hostile", PLANS, _hostile("name", (31,), (32,), (33,), (34,)), _HOSTILE_FOUND),
    Defect(
        "plan-description-huge",
        PLANS,
        _same("description = repeat('VAGUS 🏋️ ', 100000)", (35,)),
        "length(t.description) > 100000",
    ),
)

_EXERCISE_DEFECTS = (
    Defect(
        "exercise-of-unknown-plan",
        EXERCISES,
        _unknown("plan_id", "plan_id", 1, (2, 0), (2, 1), (3, 0)),
        "t.plan_id IS NOT NULL AND NOT EXISTS (SELECT FROM workout_plans AS p WHERE p.id = t.plan_id)",
    ),
    Defect("exercise-without-plan", EXERCISES, _same("plan_id = NULL", (3, 1)), "t.plan_id IS NULL"),
    Defect("exercise-sets-too-few", EXERCISES, (((4, 0), "sets = 0"), ((4, 1), "sets = -2")), "t.sets <= 0"),
    Defect("exercise-sets-missing", EXERCISES, _same("sets = NULL", (4, 2), (5, 0)), "t.sets IS NULL"),
    Defect(
        "exercise-reps-too-few", EXERCISES, (((5, 1), "reps_min = 0"), ((5, 2), "reps_min = -5")), "t.reps_min <= 0"
    ),
    Defect(
        "exercise-reps-reversed",
        EXERCISES,
        _same("reps_max = reps_min - 2", (6, 0), (6, 1)),
        "t.reps_max < t.reps_min",
    ),
    Defect("exercise-weight-negative", EXERCISES, _same("weight = -20", (6, 2), (9, 0)), "t.weight < 0"),
    Defect(
        "exercise-weight-too-large",
        EXERCISES,
        (((10, 0), "weight = 12000"), ((10, 1), "weight = 99999.99")),
        "t.weight >= 10000",
    ),
    Defect(
        "exercise-weight-rounded",
        EXERCISES,
        (((10, 2), "weight = 22.125"), ((11, 0), "weight = 60.005")),
        "t.weight <> round(t.weight, 2)",
    ),
    Defect("exercise-rest-negative", EXERCISES, _same("rest_seconds = -30", (11, 1), (11, 2)), "t.rest_seconds < 0"),
    Defect(
        "exercise-rest-missing", EXERCISES, _same("rest_seconds = NULL", (12, 0), (12, 1)), "t.rest_seconds IS NULL"
    ),
    Defect(
        "exercise-week-out-of-range",
        EXERCISES,
        (((13, 0), "week_number = 0"), ((13, 1), "week_number = 60"), ((14, 0), "week_number = -1")),
        "t.week_number NOT BETWEEN 1 AND 52",
    ),
    Defect(
        "exercise-muscle-group-missing",
        EXERCISES,
        _same("muscle_group = NULL", (15, 0), (15, 1), (16, 0)),
        "t.muscle_group IS NULL",
    ),
    Defect(
        "exercise-muscle-group-unknown",
        EXERCISES,
        (((17, 1), "muscle_group = 'neck'"), ((18, 0), "muscle_group = 'Mobility Flow'")),
        "lower(t.muscle_group) IN ('neck', 'mobility flow')",
    ),
    Defect("exercise-order-missing", EXERCISES, _same("order_index = NULL", (16, 1), (17, 0)), "t.order_index IS NULL"),
    Defect(
        "exercise-day-blank",
        EXERCISES,
        _same("day_label = '   '", (18, 1)),
        "btrim(t.day_label) = ''",
    ),
    Defect(
        "exercise-name-hostile",
        EXERCISES,
        _hostile("name", (19, 0), (19, 1), (19, 2), (19, 3)),
        _HOSTILE_FOUND,
    ),
)

_SESSION_DEFECTS = (
    Defect(
        "session-of-unknown-plan",
        SESSIONS,
        _unknown("plan_id", "plan_id", 1, (20, 1), (20, 2)),
        "t.plan_id IS NOT NULL AND NOT EXISTS (SELECT FROM workout_plans AS p WHERE p.id = t.plan_id)",
    ),
    Defect("session-without-plan", SESSIONS, _same("plan_id = NULL", (21, 1), (21, 2), (22, 1)), "t.plan_id IS NULL"),
    Defect(
        "session-of-unknown-user",
        SESSIONS,
        _unknown("user_id", "user_id", 1, (22, 2), (23, 1)),
        f"t.user_id IS NOT NULL AND {_NOBODY}",
    ),
    Defect("session-without-user", SESSIONS, _same("user_id = NULL", (23, 2)), "t.user_id IS NULL"),
    Defect("session-without-start", SESSIONS, _same("started_at = NULL", (24, 1), (24, 2)), "t.started_at IS NULL"),
    Defect(
        "session-outside-weeks",
        SESSIONS,
        (
            (
                (25, 1),
                "started_at = started_at + interval '500 days', completed_at = completed_at + interval '500 days'",
            ),
            ((25, 2), "started_at = started_at - interval '90 days', completed_at = completed_at - interval '90 days'"),
        ),
        "EXISTS (SELECT FROM workout_plans AS p WHERE p.id = t.plan_id AND (t.started_at < p.start_date"
        " OR t.started_at >= p.start_date + 7 * greatest(p.duration_weeks, 16)))",
    ),
    Defect(
        "session-abandoned",
        SESSIONS,
        _same("completed_at = NULL", (26, 1), (26, 2), (29, 1), (30, 1)),
        "t.completed_at IS NULL",
    ),
)

_LOG_DEFECTS = (
    Defect(
        "log-of-unknown-session",
        LOGS,
        _unknown("session_id", "session_id", 2, (31, 1, 1), (31, 1, 2), (31, 2, 1)),
        "NOT EXISTS (SELECT FROM workout_sessions AS s WHERE s.id = t.session_id)",
    ),
    Defect(
        "log-of-unknown-exercise",
        LOGS,
        _unknown("exercise_id", "exercise_id", 2, (32, 1, 1), (32, 1, 2)),
        "NOT EXISTS (SELECT FROM exercises AS e WHERE e.id = t.exercise_id)",
    ),
    Defect("log-reps-missing", LOGS, _same("reps = NULL", (33, 1, 1), (33, 1, 2)), "t.reps IS NULL"),
    Defect("log-reps-negative", LOGS, _same("reps = -1", (33, 2, 1), (33, 2, 2)), "t.reps < 0"),
    Defect("log-weight-missing", LOGS, _same("weight = NULL", (34, 1, 1), (34, 1, 2)), "t.weight IS NULL"),
    Defect("log-weight-negative", LOGS, _same("weight = -2.5", (34, 2, 1), (34, 2, 2)), "t.weight < 0"),
    Defect("log-weight-too-large", LOGS, _same("weight = 10000", (34, 3, 1), (34, 3, 2)), "t.weight >= 10000"),
    Defect(
        "log-weight-rounded", LOGS, _same("weight = 61.235", (34, 4, 1), (34, 4, 2)), "t.weight <> round(t.weight, 2)"
    ),
    Defect("log-set-missing", LOGS, _same("set_number = NULL", (36, 1, 1), (36, 1, 4)), "t.set_number IS NULL"),
    Defect(
        "log-set-out-of-range",
        LOGS,
        (((36, 2, 1), "set_number = 0"), ((36, 2, 4), "set_number = -1")),
        "t.set_number <= 0",
    ),
    Defect(
        "log-set-duplicate",
        LOGS,
        _same("set_number = 1", (35, 1, 2), (35, 2, 2)),
        "EXISTS (SELECT FROM exercise_logs AS o WHERE o.session_id = t.session_id AND o.exercise_id = t.exercise_id"
        " AND o.set_number = t.set_number AND o.id <> t.id)",
    ),
    Defect(
        "log-rpe-out-of-range",
        LOGS,
        (((37, 1, 1), "rpe = 0"), ((37, 1, 2), "rpe = 11"), ((37, 2, 1), "rpe = 15")),
        "t.rpe NOT BETWEEN 1 AND 10",
    ),
    Defect("log-rpe-rounded", LOGS, _same("rpe = 7.25", (37, 2, 2), (37, 3, 1)), "t.rpe <> round(t.rpe, 1)"),
)

# Plans of one owner under one name: legitimate, but worth a word.
_DUPLICATE_NAMES = """
UPDATE public.workout_plans SET name = 'Push Pull Legs'
WHERE id IN (SELECT id FROM shapes
             WHERE NOT is_template AND owner = (SELECT owner FROM shapes WHERE n = 1) ORDER BY n LIMIT 3)
"""
DUPLICATE_NAMES_FOUND = (
    "EXISTS (SELECT FROM workout_plans AS o WHERE o.user_id = t.user_id AND o.name = t.name AND o.id <> t.id)"
)

DEFECTS = (
    *_PLAN_DEFECTS,
    Defect("plan-name-duplicate", PLANS, (), DUPLICATE_NAMES_FOUND),
    *_EXERCISE_DEFECTS,
    *_SESSION_DEFECTS,
    *_LOG_DEFECTS,
)


async def plant_defects(conn: Connection) -> None:
    """Plant every defect, while the sample data's helpers and the primary keys exist and no foreign key does."""
    statements = [_DUPLICATE_NAMES]
    for defect in DEFECTS:
        function = _ID_FUNCTIONS[defect.table]
        for row, assignment in defect.changes:
            identity = f"pg_temp.{function}({', '.join(map(str, row))})"
            statements.append(f"UPDATE public.{defect.table} SET {assignment} WHERE id = {identity}")
    await conn.execute(";\n".join(statements))
