"""One fault per data-quality rule: SQL that makes exactly one sound row of the sample data offend it."""

from __future__ import annotations

from dataclasses import dataclass

NOWHERE = "'00000000-0000-4000-8000-000000000bad'"
HOSTILE = "'[/red] '';drop table x;--' || chr(27) || '[31m' || chr(8238)"


@dataclass(frozen=True, slots=True)
class Fault:
    """How to break one rule.

    Args:
        plant: statements; they run as a superuser for whom no keys and triggers fire.
        status: what the check must then say.
        rows: how many rows offend.
        says: words for it that have to be among the check's.
    """

    check_id: str
    plant: str
    status: str = "fail"
    rows: int = 1
    says: str = ""


def _set(table: str, assignment: str, pick: str = "") -> str:
    return f"update {table} set {assignment} where id = (select id from {table} {pick} order by id limit 1)"


BY_CATEGORY = (
    "create table notification_preferences (user_id uuid, category text, enabled boolean, "
    "id uuid primary key default gen_random_uuid()); alter table notification_preferences owner to postgres"
)
PREFERENCES = "notification_preferences (user_id, category, enabled)"

_NAMED = f", name = {HOSTILE}"

FAULTS = (
    Fault(
        "plans-ids",
        "alter publication supabase_realtime drop table workout_plans;"
        "alter table workout_plans drop constraint workout_plans_pkey cascade;"
        "insert into workout_plans (id, user_id, name) select id, user_id, name || ' again' from workout_plans "
        "order by id limit 1",
    ),
    Fault(
        "exercises-ids",
        "alter table exercises drop constraint exercises_pkey cascade; alter table exercises alter id drop not null;"
        + _set("exercises", "id = null"),
    ),
    Fault(
        "sessions-ids",
        "alter publication supabase_realtime drop table workout_sessions;"
        "alter table workout_sessions drop constraint workout_sessions_pkey cascade;"
        "insert into workout_sessions select * from workout_sessions order by id limit 1",
    ),
    Fault(
        "logs-ids",
        "alter table exercise_logs drop constraint exercise_logs_pkey cascade;"
        "update exercise_logs set id = (select max(id::text)::uuid from exercise_logs) "
        "where id = (select min(id::text)::uuid from exercise_logs)",
    ),
    Fault("plans-null-owner", _set("workout_plans", "user_id = null" + _NAMED)),
    Fault("plans-unknown-owner", _set("workout_plans", f"user_id = {NOWHERE}" + _NAMED)),
    Fault("plans-unknown-creator", _set("workout_plans", f"created_by = {NOWHERE}" + _NAMED)),
    Fault(
        "plans-null-name",
        "alter table workout_plans alter name drop not null;" + _set("workout_plans", "name = null"),
    ),
    Fault("plans-goal", _set("workout_plans", f"goal = {HOSTILE}"), "warn"),
    Fault("plans-weeks", _set("workout_plans", "duration_weeks = 53" + _NAMED)),
    Fault("plans-start-date", _set("workout_plans", "start_date = 'infinity'" + _NAMED)),
    Fault(
        "plans-metadata",
        "alter table workout_plans alter metadata drop default, alter metadata type json;"
        + _set("workout_plans", 'metadata = \'{"é": "\\\\ \\u0000"}\'' + _NAMED),
    ),
    Fault("plans-null-active", _set("workout_plans", "is_active = null" + _NAMED), "warn"),
    Fault(
        "duplicate-plan-names",
        f"update workout_plans set name = {HOSTILE}, user_id = (select user_id from workout_plans order by id limit 1) "
        "where id in (select id from workout_plans order by id limit 2)",
        "warn",
        rows=2,
    ),
    Fault("orphaned-exercises", _set("exercises", f"plan_id = {NOWHERE}" + _NAMED)),
    Fault("exercises-null-name", "alter table exercises alter name drop not null;" + _set("exercises", "name = null")),
    Fault(
        "exercises-long-text",
        _set(
            "exercises",
            "name = (select string_agg(md5(n::text), '') from generate_series(1, 3000) n)",
        ),
    ),
    Fault("exercises-sets", _set("exercises", "sets = null" + _NAMED)),
    Fault("exercises-reps", _set("exercises", "reps_min = 12, reps_max = 8" + _NAMED)),
    Fault("exercises-weight", _set("exercises", "weight = 10000" + _NAMED)),
    Fault("exercises-rest", _set("exercises", "rest_seconds = -1" + _NAMED)),
    Fault("exercises-week", _set("exercises", "week_number = 53" + _NAMED)),
    Fault("exercises-order", _set("exercises", "order_index = 2147483647" + _NAMED)),
    Fault("exercises-day-of-week", _set("exercises", "day_of_week = '7'" + _NAMED), "warn"),
    Fault(
        "exercises-muscle-group",
        _set("exercises", f"day_of_week = null, day_label = ' ', muscle_group = {HOSTILE}"),
        "warn",
    ),
    Fault("sessions-null-user", _set("workout_sessions", "user_id = null")),
    Fault("sessions-unknown-user", _set("workout_sessions", f"user_id = {NOWHERE}")),
    Fault("sessions-unknown-plan", _set("workout_sessions", f"plan_id = {NOWHERE}")),
    Fault("sessions-without-plan", _set("workout_sessions", "plan_id = null"), "warn"),
    Fault("sessions-null-start", _set("workout_sessions", f"started_at = null, notes = {HOSTILE}")),
    Fault(
        "abandoned-sessions",
        _set("workout_sessions", "completed_at = null, started_at = now() - interval '25 hours'"),
        "warn",
    ),
    Fault("sessions-volume", _set("exercise_logs", "reps = 20000, weight = 9999")),
    Fault("orphaned-logs", _set("exercise_logs", f"exercise_id = {NOWHERE}, notes = {HOSTILE}")),
    Fault("logs-set-number", _set("exercise_logs", "set_number = null")),
    Fault("logs-reps", _set("exercise_logs", "reps = -1")),
    Fault("logs-weight", _set("exercise_logs", "weight = null")),
    Fault("logs-rpe", _set("exercise_logs", "rpe = 10.5")),
    Fault(
        "logs-rest",
        "alter table exercise_logs alter rest_seconds type bigint;"
        + _set("exercise_logs", "rest_seconds = 3000000000"),
    ),
    Fault(
        "logs-duplicate-sets",
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight, completed_at) "
        "select session_id, exercise_id, set_number, reps, weight, completed_at + interval '1 s' "
        "from exercise_logs order by id limit 1",
    ),
    Fault(
        "logs-other-plan",
        "update exercise_logs set exercise_id = (select e.id from exercises e where e.plan_id <> "
        "(select plan_id from exercises where id = exercise_logs.exercise_id) order by e.id limit 1), set_number = 999 "
        "where id = (select l.id from exercise_logs l join workout_sessions s on s.id = l.session_id "
        "where s.plan_id is not null order by l.id limit 1)",
        "warn",
    ),
    Fault(
        "notification-preferences", f"{BY_CATEGORY}; insert into {PREFERENCES} values ({NOWHERE}, 'a', true)", "warn"
    ),
    Fault(
        "coach-clients",
        "drop table coach_clients cascade; create table coach_clients (coach_id text, client_id text, status text);"
        "alter table coach_clients owner to postgres;"
        f"insert into coach_clients select id, id, 'active' from auth.users; "
        f"insert into coach_clients values ({HOSTILE}, {NOWHERE})",
    ),
)

FURTHER = (
    Fault("plans-goal", _set("workout_plans", "goal = ' '"), "warn"),
    Fault("plans-weeks", _set("workout_plans", "duration_weeks = 0")),
    Fault(
        "plans-weeks",
        "alter table workout_plans alter duration_weeks type numeric;" + _set("workout_plans", "duration_weeks = 4.5"),
    ),
    Fault(
        "plans-metadata",
        "alter table workout_plans alter metadata drop default, alter metadata type json;"
        "update workout_plans set metadata = (array['{\"a\": \"cut \\uD83D\"}', '[1e131072]', '[-1E-16384]'])[n]::json "
        "from (select id, row_number() over (order by id) as n from workout_plans) o "
        "where o.id = workout_plans.id and n < 4;"
        # And what only looks like it.
        'update workout_plans set metadata = \'{"\\\\u0000": "\\ud83d\\ude00 1e999999", "n": 1e-9}\' '
        "where metadata::text not like '%cut%' and metadata::text not like '[%'",
        rows=3,
    ),
    Fault("orphaned-exercises", _set("exercises", "plan_id = null")),
    Fault("exercises-sets", _set("exercises", "sets = 0")),
    Fault("exercises-sets", "alter table exercises alter sets type real;" + _set("exercises", "sets = 2147483647")),
    Fault("exercises-sets", "alter table exercises alter sets type real;" + _set("exercises", "sets = 100000.5")),
    Fault(
        "exercises-reps",
        "alter table exercises alter reps_min type real, alter reps_max type real;"
        + _set("exercises", "reps_min = 1073741823, reps_max = 1073741823"),
    ),
    Fault("exercises-reps", _set("exercises", "reps_min = 0")),
    Fault("exercises-reps", _set("exercises", "reps_min = 2000000000, reps_max = 2000000000")),
    Fault("exercises-weight", _set("exercises", "weight = -0.5")),
    Fault("exercises-weight", _set("exercises", "weight = 9999.995")),
    Fault("exercises-weight", _set("exercises", "weight = 'NaN'"), says="no number (NaN)"),
    Fault("exercises-weight", _set("exercises", "weight = 20.125"), "warn"),
    Fault("exercises-week", _set("exercises", "week_number = 0")),
    Fault(
        "exercises-week",
        "update workout_plans set duration_weeks = 6; " + _set("exercises", "week_number = 7"),
        "warn",
    ),
    Fault("exercises-order", _set("exercises", "order_index = null"), "warn"),
    Fault("orphaned-logs", _set("exercise_logs", "session_id = null")),
    Fault("sessions-null-start", _set("workout_sessions", "started_at = '-infinity'"), says="infinite"),
    Fault("logs-set-number", _set("exercise_logs", "set_number = 0")),
    Fault("logs-reps", _set("exercise_logs", "reps = null")),
    Fault("logs-weight", _set("exercise_logs", "weight = -1")),
    Fault("logs-weight", _set("exercise_logs", "weight = 10000")),
    Fault("logs-weight", _set("exercise_logs", "weight = 42.005"), "warn"),
    Fault("logs-rpe", _set("exercise_logs", "rpe = 0.9")),
    Fault("logs-rpe", _set("exercise_logs", "rpe = 7.25"), "warn"),
    Fault(
        "notification-preferences",
        f"{BY_CATEGORY}; insert into {PREFERENCES} select id, null, true from auth.users order by id limit 1",
        "warn",
    ),
    Fault(
        "notification-preferences",
        f"{BY_CATEGORY}; insert into {PREFERENCES} select u.id, 'a', e from (select id from auth.users order by id "
        "limit 1) u, unnest(array[true, false]) e",
        "warn",
        rows=2,
    ),
)
"""Other ways to break the same rules."""
