"""Workout v2 as data: tables, keys, indexes, policies, functions, and the DDL made from them.

All DDL is for a given schema (the staging one), so that v2 can be built aside and moved into place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus_tui.schema import v1
from vagus_tui.schema.v1 import V1Shape, V1Table

PLANS = "workout_plans"
WEEKS = "workout_weeks"
DAYS = "workout_days"
GROUPS = "exercise_groups"
EXERCISES = "exercises"
SESSIONS = "workout_sessions"
LOGS = "exercise_logs"
PREFERENCES = "notification_preferences"

TABLES = (PLANS, WEEKS, DAYS, GROUPS, EXERCISES, SESSIONS, LOGS)
"""v2's workout tables, parents before children. `notification_preferences` comes beside them where v1 has none."""

MOST_WEEKS = 52
"""How long a plan may last."""

GOALS = ("strength", "hypertrophy", "endurance", "powerlifting", "general_fitness", "weight_loss")

API_ROLES = ("anon", "authenticated", "service_role")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} in ({', '.join(repr(value) for value in values)})"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `type` may hold {plan_id}, {exercise_id}, {session_id}, {log_id}: the type v1's ids have."""

    name: str
    type: str
    rest: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another v2 table, or to auth.users when `references` says so."""

    column: str
    references: str
    on_delete: str = "cascade"


@dataclass(frozen=True, slots=True)
class Index:
    """One index; `body` is what follows ON table."""

    name: str
    body: str
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One v2 table. `checks` are by constraint name; `unique` are column lists."""

    name: str
    columns: tuple[Column, ...]
    checks: Mapping[str, str] = field(default_factory=dict)
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    primary_key: str = "id"
    touch: bool = False
    grants_like: str = v1.PLANS


USERS = "auth.users"
_CREATED = Column("created_at", "timestamptz", "default now()")
_UPDATED = Column("updated_at", "timestamptz", "default now()")
_GENERATED_ID = Column("id", "uuid", "not null default gen_random_uuid()")

MODEL: Mapping[str, Table] = {
    PLANS: Table(
        PLANS,
        (
            Column("id", "{plan_id}", "not null"),
            Column("user_id", "uuid", "not null"),
            Column("name", "text", "not null"),
            Column("description", "text"),
            Column("goal", "text"),
            Column("total_weeks", "integer", "not null"),
            Column("current_week", "integer", "default 1"),
            Column("status", "text", "default 'active'"),
            Column("is_template", "boolean", "default false"),
            Column("template_category", "text"),
            Column("created_by", "uuid"),
            Column("ai_generated", "boolean", "default false"),
            Column("metadata", "jsonb"),
            _CREATED,
            _UPDATED,
        ),
        checks={
            "workout_plans_goal_check": _one_of("goal", GOALS),
            "workout_plans_total_weeks_check": f"total_weeks between 1 and {MOST_WEEKS}",
            "workout_plans_current_week_check": "current_week > 0",
            "workout_plans_status_check": _one_of("status", ("draft", "active", "completed", "archived")),
        },
        foreign_keys=(ForeignKey("user_id", USERS), ForeignKey("created_by", USERS, "set null")),
        indexes=(
            Index("idx_workout_plans_user_id", "(user_id)"),
            Index("idx_workout_plans_status", "(status) where status = 'active'"),
            Index("idx_workout_plans_is_template", "(is_template) where is_template"),
        ),
        touch=True,
    ),
    WEEKS: Table(
        WEEKS,
        (
            _GENERATED_ID,
            Column("plan_id", "{plan_id}", "not null"),
            Column("week_number", "integer", "not null"),
            Column("start_date", "date"),
            Column("end_date", "date"),
            Column("notes", "text"),
            Column("deload", "boolean", "default false"),
            Column("attachments", "jsonb"),
            _CREATED,
            _UPDATED,
        ),
        checks={"workout_weeks_week_number_check": "week_number > 0"},
        unique=(("plan_id", "week_number"),),
        foreign_keys=(ForeignKey("plan_id", PLANS),),
        indexes=(
            Index("idx_workout_weeks_plan_id", "(plan_id)"),
            Index("idx_workout_weeks_dates", "(start_date, end_date)"),
        ),
        touch=True,
    ),
    DAYS: Table(
        DAYS,
        (
            _GENERATED_ID,
            Column("week_id", "uuid", "not null"),
            Column("day_label", "text", "not null"),
            Column("day_number", "integer"),
            Column("date", "date"),
            Column("notes", "text"),
            Column("client_comment", "text"),
            Column("estimated_duration", "integer"),
            Column("muscle_groups", "text[]"),
            Column("attachments", "jsonb"),
            _CREATED,
            _UPDATED,
        ),
        foreign_keys=(ForeignKey("week_id", WEEKS),),
        indexes=(
            Index("idx_workout_days_week_id", "(week_id)"),
            Index("idx_workout_days_date", "(date)"),
            Index("idx_workout_days_muscle_groups", "using gin (muscle_groups)"),
        ),
        touch=True,
    ),
    GROUPS: Table(
        GROUPS,
        (
            _GENERATED_ID,
            Column("day_id", "uuid", "not null"),
            Column("type", "text", "not null"),
            Column("rest_between_rounds", "integer", "default 90"),
            Column("rounds", "integer", "default 1"),
            Column("order_index", "integer", "not null"),
            _CREATED,
        ),
        checks={
            "exercise_groups_type_check": _one_of("type", ("superset", "triset", "giant_set", "circuit", "drop_set"))
        },
        foreign_keys=(ForeignKey("day_id", DAYS),),
        indexes=(Index("idx_exercise_groups_day_id", "(day_id)"),),
    ),
    EXERCISES: Table(
        EXERCISES,
        (
            Column("id", "{exercise_id}", "not null"),
            Column("day_id", "uuid", "not null"),
            Column("group_id", "uuid"),
            Column("name", "text", "not null"),
            Column("muscle_group", "text", "not null"),
            Column("equipment", "text"),
            Column("sets", "integer", "not null"),
            Column("target_reps_min", "integer"),
            Column("target_reps_max", "integer"),
            Column(
                "target_reps_avg",
                "integer",
                "generated always as ((target_reps_min + target_reps_max) / 2) stored",
            ),
            Column("target_weight", "numeric(6,2)"),
            Column("target_rpe_min", "numeric(3,1)"),
            Column("target_rpe_max", "numeric(3,1)"),
            Column("rest_seconds", "integer", "default 90"),
            Column("tempo", "text"),
            Column("notes", "text"),
            Column("video_url", "text"),
            Column("order_index", "integer", "not null"),
            Column("client_comment", "text"),
            Column("attachments", "jsonb"),
            _CREATED,
            _UPDATED,
        ),
        checks={
            "exercises_sets_check": "sets > 0",
            "exercises_target_reps_min_check": "target_reps_min > 0",
            "exercises_target_reps_max_check": "target_reps_max >= target_reps_min",
            "exercises_target_rpe_min_check": "target_rpe_min between 1 and 10",
            "exercises_target_rpe_max_check": "target_rpe_max between 1 and 10 and target_rpe_max >= target_rpe_min",
            "exercises_rest_seconds_check": "rest_seconds >= 0",
        },
        foreign_keys=(ForeignKey("day_id", DAYS), ForeignKey("group_id", GROUPS, "set null")),
        indexes=(
            Index("idx_exercises_day_id", "(day_id)"),
            Index("idx_exercises_group_id", "(group_id) where group_id is not null"),
            Index("idx_exercises_muscle_group", "(muscle_group)"),
            Index("idx_exercises_name", "(name)"),
        ),
        touch=True,
        grants_like=v1.EXERCISES,
    ),
    SESSIONS: Table(
        SESSIONS,
        (
            Column("id", "{session_id}", "not null"),
            Column("user_id", "uuid", "not null"),
            Column("day_id", "uuid"),
            Column("started_at", "timestamptz", "not null"),
            Column("completed_at", "timestamptz"),
            Column("total_volume", "numeric(10,2)"),
            Column("total_sets", "integer"),
            Column("average_rpe", "numeric(3,1)"),
            Column("notes", "text"),
            Column("energy_level", "integer"),
            _CREATED,
        ),
        checks={"workout_sessions_energy_level_check": "energy_level between 1 and 5"},
        foreign_keys=(ForeignKey("user_id", USERS), ForeignKey("day_id", DAYS)),
        indexes=(
            Index("idx_workout_sessions_user_id", "(user_id)"),
            Index("idx_workout_sessions_day_id", "(day_id)"),
            Index("idx_workout_sessions_started_at", "(started_at)"),
            Index("idx_workout_sessions_completed_at", "(completed_at) where completed_at is not null"),
        ),
        grants_like=v1.SESSIONS,
    ),
    LOGS: Table(
        LOGS,
        (
            Column("id", "{log_id}", "not null"),
            Column("session_id", "{session_id}", "not null"),
            Column("exercise_id", "{exercise_id}", "not null"),
            Column("set_number", "integer", "not null"),
            Column("reps", "integer", "not null"),
            Column("weight", "numeric(6,2)", "not null"),
            Column("rpe", "numeric(3,1)"),
            Column("tempo", "text"),
            Column("rest_seconds", "integer"),
            Column("notes", "text"),
            Column("form_rating", "integer"),
            Column("completed_at", "timestamptz"),
        ),
        checks={
            "exercise_logs_set_number_check": "set_number > 0",
            "exercise_logs_reps_check": "reps >= 0",
            "exercise_logs_weight_check": "weight >= 0",
            "exercise_logs_rpe_check": "rpe between 1 and 10",
            "exercise_logs_form_rating_check": "form_rating between 1 and 5",
        },
        unique=(("session_id", "exercise_id", "set_number"),),
        foreign_keys=(ForeignKey("session_id", SESSIONS), ForeignKey("exercise_id", EXERCISES)),
        indexes=(
            Index("idx_exercise_logs_session_id", "(session_id)"),
            Index("idx_exercise_logs_exercise_id", "(exercise_id)"),
            Index("idx_exercise_logs_completed_at", "(completed_at)"),
        ),
        grants_like=v1.LOGS,
    ),
    PREFERENCES: Table(
        PREFERENCES,
        (
            Column("user_id", "uuid", "not null"),
            Column("preferences", "jsonb", "not null"),
            _CREATED,
            _UPDATED,
        ),
        foreign_keys=(ForeignKey("user_id", USERS),),
        primary_key="user_id",
    ),
}
"""Every v2 table by name."""

V1_BASES: Mapping[str, str] = {
    PLANS: v1.PLANS,
    EXERCISES: v1.EXERCISES,
    SESSIONS: v1.SESSIONS,
    LOGS: v1.LOGS,
}
"""The v2 tables that have a v1 table of rows with the same ids."""

ID_PLACEHOLDERS = {v1.PLANS: "plan_id", v1.EXERCISES: "exercise_id", v1.SESSIONS: "session_id", v1.LOGS: "log_id"}


def id_types(shape: V1Shape) -> dict[str, str]:
    """The types that v2's ids take: v1's own, with integer widened to bigint."""
    return {
        placeholder: "uuid" if shape.tables[base].id_type == "uuid" else "bigint"
        for base, placeholder in ID_PLACEHOLDERS.items()
    }


def carried_columns(table: str, source: V1Table) -> dict[str, str]:
    """Carried-over columns of a v1 table: v2 name by v1 name.

    A column keeps its name; where v2 means another thing by it, it is called v1_…, or v1_…_2 if that is taken too.
    """
    meant = {item.name for item in MODEL[table].columns}
    taken = meant | {column.name for column in source.carried}
    names = {}
    for column in source.carried:
        name, number = column.name, 1
        while name in taken and (number > 1 or name in meant):
            name = f"v1_{column.name}" if number == 1 else f"v1_{column.name}_{number}"
            number += 1
        taken.add(name)
        names[column.name] = name
    return names


def known_columns(shape: V1Shape, table: str) -> list[str]:
    """The columns that a table of v2 has by the migration."""
    known = [column.name for column in MODEL[table].columns]
    if table in V1_BASES:
        known += carried_columns(table, shape.tables[V1_BASES[table]]).values()
    return known
