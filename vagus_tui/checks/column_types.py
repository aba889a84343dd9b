"""Which type each of v1's columns must have for the mapping's casts to hold for every value."""

from __future__ import annotations

from collections.abc import Mapping

from vagus_tui.schema import v1
from vagus_tui.schema.v1 import Column, V1Shape, V1Table

_WHOLE = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
_FLAG = ("boolean",)
_USER = ("uuid",)

EXPECTED: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    (v1.PLANS, "user_id"): ("uuid", _USER),
    (v1.PLANS, "created_by"): ("uuid", _USER),
    (v1.PLANS, "duration_weeks"): ("a number", _WHOLE),
    (v1.PLANS, "start_date"): ("a date", _TIMES),
    (v1.PLANS, "is_active"): ("boolean", _FLAG),
    (v1.PLANS, "is_template"): ("boolean", _FLAG),
    (v1.PLANS, "ai_generated"): ("boolean", _FLAG),
    (v1.PLANS, "created_at"): ("a timestamp", _TIMES),
    (v1.PLANS, "updated_at"): ("a timestamp", _TIMES),
    (v1.EXERCISES, "week_number"): ("a number", _WHOLE),
    (v1.EXERCISES, "sets"): ("a number", _WHOLE),
    (v1.EXERCISES, "reps_min"): ("a number", _WHOLE),
    (v1.EXERCISES, "reps_max"): ("a number", _WHOLE),
    (v1.EXERCISES, "weight"): ("a number", _WHOLE),
    (v1.EXERCISES, "rest_seconds"): ("a number", _WHOLE),
    (v1.EXERCISES, "order_index"): ("a number", _WHOLE),
    (v1.EXERCISES, "created_at"): ("a timestamp", _TIMES),
    (v1.EXERCISES, "updated_at"): ("a timestamp", _TIMES),
    (v1.SESSIONS, "user_id"): ("uuid", _USER),
    (v1.SESSIONS, "started_at"): ("a timestamp", _TIMES),
    (v1.SESSIONS, "completed_at"): ("a timestamp", _TIMES),
    (v1.SESSIONS, "created_at"): ("a timestamp", _TIMES),
    (v1.LOGS, "set_number"): ("a number", _WHOLE),
    (v1.LOGS, "reps"): ("a number", _WHOLE),
    (v1.LOGS, "weight"): ("a number", _WHOLE),
    (v1.LOGS, "rpe"): ("a number", _WHOLE),
    (v1.LOGS, "rest_seconds"): ("a number", _WHOLE),
    (v1.LOGS, "completed_at"): ("a timestamp", _TIMES),
}
"""Columns that are not listed become text, or are carried over as they are; any type does."""

INSTANTS = tuple(place for place, (wanted, _) in EXPECTED.items() if wanted == "a timestamp")
"""The columns that become timestamps."""

REFERENCES: Mapping[tuple[str, str], str] = {
    (v1.EXERCISES, "plan_id"): v1.PLANS,
    (v1.SESSIONS, "plan_id"): v1.PLANS,
    (v1.LOGS, "session_id"): v1.SESSIONS,
    (v1.LOGS, "exercise_id"): v1.EXERCISES,
}
"""Columns that hold another table's id."""


def described(column: Column) -> str:
    """A column's type, and what it is made of where it is a domain."""
    return f"{column.type}, a domain over {column.base}" if column.base else column.type


def misfit(table: V1Table, column: str) -> str | None:
    """Why a column's type cannot be mapped, in one sentence, or None when it can."""
    found = table.columns.get(column)
    wanted = EXPECTED.get((table.base, column))
    if found is None or wanted is None:
        return None
    plain = found.plain.split("(")[0].strip()
    # timestamp(3) with time zone keeps its precision in the middle of the name.
    if plain == "timestamp" and "zone" in found.plain:
        plain = f"timestamp {found.plain.split(') ')[-1]}" if "(" in found.plain else found.plain
    if plain in wanted[1]:
        return None
    return f"{table.name}.{column} is {described(found)}; {wanted[0]} is needed."


def reference_misfit(shape: V1Shape, base: str, column: str) -> str | None:
    """Why a column cannot hold the ids it is meant to hold, or None when it can."""
    table, other = shape.tables[base], shape.tables[REFERENCES[base, column]]
    found, ids = table.columns[column].plain, other.id_type
    if found == ids or {found, ids} <= {"smallint", "integer", "bigint"}:
        return None
    return f"{table.name}.{column} is {described(table.columns[column])}, but {other.name}.id is {ids}."


def misfits(shape: V1Shape) -> list[str]:
    """Every column that stands in the way by its type, one sentence each."""
    found = [reason for base, column in REFERENCES if (reason := reference_misfit(shape, base, column))]
    for base, column in EXPECTED:
        if reason := misfit(shape.tables[base], column):
            found.append(reason)
    return found
