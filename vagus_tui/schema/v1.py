"""Workout v1, the flat schema: what is looked for, what must be there, and what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PLANS = "workout_plans"
EXERCISES = "exercises"
SESSIONS = "workout_sessions"
LOGS = "exercise_logs"
TABLES = (PLANS, EXERCISES, SESSIONS, LOGS)
SUFFIX = "_v1"

REQUIRED: Mapping[str, tuple[str, ...]] = {
    PLANS: ("id", "user_id", "name"),
    EXERCISES: ("id", "plan_id", "name"),
    SESSIONS: ("id", "user_id", "plan_id", "started_at"),
    LOGS: ("id", "session_id", "exercise_id", "set_number", "reps", "weight"),
}
"""Without these a table is not v1's."""

OPTIONAL: Mapping[str, tuple[str, ...]] = {
    PLANS: (
        "description",
        "goal",
        "duration_weeks",
        "start_date",
        "is_active",
        "is_template",
        "template_category",
        "created_by",
        "ai_generated",
        "metadata",
        "created_at",
        "updated_at",
    ),
    EXERCISES: (
        "muscle_group",
        "day_of_week",
        "day_label",
        "week_number",
        "sets",
        "reps_min",
        "reps_max",
        "weight",
        "rest_seconds",
        "tempo",
        "equipment",
        "video_url",
        "notes",
        "order_index",
        "created_at",
        "updated_at",
    ),
    SESSIONS: ("completed_at", "notes", "created_at"),
    LOGS: ("rpe", "tempo", "rest_seconds", "notes", "completed_at"),
}
"""Used where they are there, done without where they are not."""


_COUNTED = ("smallint", "integer", "bigint")
_NEXT = re.compile(r"nextval\('(?:[^']|'')+'::regclass\)")
"""A default that is the next number of a sequence and nothing else."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the catalog has it; `type` is format_type's text, such as `numeric(6,2)`.

    Args:
        not_null: by the column or by its domain.
        collation: quoted and qualified, and "" where it is the type's own.
        base: what its domain, or that one's domain, is made of; "" where the type is no domain.
        rules: the conditions of its domains, in which VALUE stands for the value.
        serial: its default draws from a sequence that belongs to a column.
    """

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    generated: bool = False
    identity: str = ""
    collation: str = ""
    base: str = ""
    rules: tuple[str, ...] = ()
    serial: bool = False

    @property
    def plain(self) -> str:
        """The type behind all domains: what its values are."""
        return self.base or self.type

    @property
    def numbered(self) -> bool:
        """Whether every row gets a number of its own from a sequence that belongs to the column.

        What is made of such a number, like a text that begins with a letter, is not numbered: v2 cannot count it on.
        """
        plain = self.type in _COUNTED and _NEXT.fullmatch(self.default or "") is not None
        return bool(self.identity) or (self.serial and self.not_null and plain)


@dataclass(frozen=True, slots=True)
class V1Table:
    """One v1 table as found. `base` is its v1 name, `name` the name it has now (perhaps with `_v1`)."""

    base: str
    name: str
    columns: Mapping[str, Column]

    def has(self, column: str) -> bool:
        """Whether the optional column is there."""
        return column in self.columns

    @property
    def id_type(self) -> str:
        """uuid or bigint: the type of the table's ids, which v2 keeps."""
        return self.columns["id"].plain

    @property
    def carried(self) -> tuple[Column, ...]:
        """Columns that v2 does not know: carried over under their own name and type."""
        known = {*REQUIRED[self.base], *OPTIONAL[self.base]}
        return tuple(column for column in self.columns.values() if column.name not in known)


@dataclass(frozen=True, slots=True)
class V1Shape:
    """The whole of v1 as found in one database, under either name.

    Args:
        renamed: somebody has already renamed the tables to `*_v1` by hand.
        coach_clients: columns of the coach–client relation, or None when there is none.
        preferences: columns of `notification_preferences`, or None when there is none.
    """

    tables: Mapping[str, V1Table]
    renamed: bool = False
    schema: str = "public"
    coach_clients: Mapping[str, Column] | None = None
    preferences: Mapping[str, Column] | None = None

    @property
    def plans(self) -> V1Table:
        """workout_plans, or workout_plans_v1."""
        return self.tables[PLANS]

    @property
    def exercises(self) -> V1Table:
        """exercises, or exercises_v1."""
        return self.tables[EXERCISES]

    @property
    def sessions(self) -> V1Table:
        """workout_sessions, or workout_sessions_v1."""
        return self.tables[SESSIONS]

    @property
    def logs(self) -> V1Table:
        """exercise_logs, or exercise_logs_v1."""
        return self.tables[LOGS]


@dataclass(frozen=True, slots=True)
class NotV1:
    """Why the tables found are not v1: one plain sentence per reason."""

    reasons: tuple[str, ...] = field(default_factory=tuple)
    empty: bool = False


ID_TYPES = ("uuid", "bigint", "integer")
HIERARCHY = ("workout_weeks", "workout_days", "exercise_groups")
"""v2's own tables: where they stand beside unsuffixed v1 tables, the shape is another one."""


def recognise(found: Mapping[str, Mapping[str, Column]], *, suffix: str = "") -> V1Shape | NotV1:
    """Recognise v1 among the tables of a schema, by their columns, under its own names or with a suffix.

    Args:
        found: columns by column name, by table name, for every table and view of the schema.
        suffix: "" for v1's own names, "_v1" for tables renamed already.
    """
    missing = [base for base in TABLES if base + suffix not in found]
    if len(missing) == len(TABLES):
        return NotV1(("None of v1's four workout tables is here.",), empty=True)
    reasons = [f"The table {base + suffix} is missing." for base in missing]
    for base in TABLES:
        columns = found.get(base + suffix)
        if columns is None:
            continue
        gaps = [name for name in REQUIRED[base] if name not in columns]
        if gaps:
            reasons.append(f"{base + suffix} has no column {', '.join(gaps)}.")
        elif columns["id"].plain not in ID_TYPES:
            reasons.append(f"{base + suffix}.id is {columns['id'].type}; uuid or bigint is needed.")
    if not suffix:
        reasons.extend(
            f"There is a table {name} already: this plan structure is not v1's flat one."
            for name in HIERARCHY
            if name in found
        )
    if reasons:
        return NotV1(tuple(reasons))
    return V1Shape(
        tables={base: V1Table(base, base + suffix, found[base + suffix]) for base in TABLES},
        renamed=bool(suffix),
        coach_clients=found.get("coach_clients"),
        preferences=found.get("notification_preferences"),
    )
