"""The mapping restated in plain Python, from what it is meant to be: v1's rows in, v2's rows out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import md5
from typing import Any
from uuid import UUID

V1_TABLES = ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
V2_TABLES = (
    "workout_plans",
    "workout_weeks",
    "workout_days",
    "exercise_groups",
    "exercises",
    "workout_sessions",
    "exercise_logs",
)

Row = dict[str, Any]

GOALS = {"strength", "hypertrophy", "endurance", "powerlifting", "general_fitness", "weight_loss"}
WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
PUSH = {"chest", "pectorals", "shoulders", "delts", "triceps"}
PULL = {"back", "lats", "traps", "biceps", "forearms"}
LEGS = {"quads", "hamstrings", "glutes", "calves", "legs"}
WHOLE = {"core", "abs", "full_body", "cardio"}

KNOWN = {
    "workout_plans": "id user_id name description goal duration_weeks start_date is_active is_template "
    "template_category created_by ai_generated metadata created_at updated_at",
    "exercises": "id plan_id name muscle_group day_of_week day_label week_number sets reps_min reps_max weight "
    "rest_seconds tempo equipment video_url notes order_index created_at updated_at",
    "workout_sessions": "id user_id plan_id started_at completed_at notes created_at",
    "exercise_logs": "id session_id exercise_id set_number reps weight rpe tempo rest_seconds notes completed_at",
}
MEANT_OTHERWISE = {
    "workout_plans": {"total_weeks", "current_week", "status"},
    "exercises": {
        *("day_id", "group_id", "target_reps_min", "target_reps_max", "target_reps_avg", "target_weight"),
        *("target_rpe_min", "target_rpe_max", "client_comment", "attachments"),
    },
    "workout_sessions": {"day_id", "total_volume", "total_sets", "average_rpe", "energy_level"},
    "exercise_logs": {"form_rating"},
}
"""Columns of v2 that a column of the same name in v1 has nothing to do with."""


def derived(*parts: object) -> UUID:
    """The id of a generated row."""
    return UUID(md5(":".join(str(part) for part in parts).encode()).hexdigest())


def fold(text: str) -> str:
    """Lower case, letter by letter as the server does it."""
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def blank(value: Any) -> str:
    """A text without blanks around it; empty for NULL."""
    return "" if value is None else str(value).strip()


def rounded(value: Any, digits: int) -> Decimal | None:
    """A numeric with so many decimals, halves away from zero."""
    if value is None:
        return None
    return Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def day_name(exercise: Row) -> str:
    """The day an exercise belongs on, as its own row spells it."""
    number = exercise.get("day_of_week")
    weekday = fold(blank(f"{float(number):g}" if isinstance(number, Decimal | float) else number))
    for number, name in enumerate(WEEKDAYS):
        if weekday in (str(number), name.lower(), name[:3].lower()):
            return name
    if label := blank(exercise.get("day_label")):
        return label
    group = fold(blank(exercise.get("muscle_group")))
    if not group or group in WHOLE:
        return "Full Body"
    return (
        "Push Day" if group in PUSH else "Pull Day" if group in PULL else "Leg Day" if group in LEGS else "Upper Body"
    )


@dataclass
class _Day:
    label: str
    key: str
    first: int | None
    groups: set[str] = field(default_factory=set)
    number: int = 0


def _order(value: int | None) -> tuple[bool, int]:
    return (value is None, value or 0)


def _days_of(exercises: Sequence[Row]) -> list[_Day]:
    """The days of one plan, numbered."""
    days: dict[str, _Day] = {}
    for exercise in sorted(exercises, key=lambda row: (_order(row.get("order_index")), row["id"])):
        name = day_name(exercise)
        day = days.setdefault(fold(name), _Day(name, fold(name), exercise.get("order_index")))
        day.groups.add("general" if exercise.get("muscle_group") is None else exercise["muscle_group"])
    ordered = sorted(days.values(), key=lambda day: (_order(day.first), day.label))
    for number, day in enumerate(ordered, start=1):
        day.number = number
    return ordered


def _places(exercises: Sequence[Row]) -> dict[Any, int]:
    """order_index of one plan's exercises; those without come after the others, in order of arrival."""
    given = [row["order_index"] for row in exercises if row.get("order_index") is not None]
    highest = max(given, default=0)
    never = datetime.max.replace(tzinfo=UTC)
    late = sorted(
        (row for row in exercises if row.get("order_index") is None),
        key=lambda row: (row.get("created_at") or never, row["id"]),
    )
    places = {row["id"]: row["order_index"] for row in exercises if row.get("order_index") is not None}
    places.update({row["id"]: highest + number for number, row in enumerate(late, start=1)})
    return places


def _carried(table: str, row: Row) -> Row:
    """Columns that v2 does not know, under their own name or, where v2 means another thing by it, as v1_…"""
    others = [name for name in row if name not in KNOWN[table].split()]
    made = {}
    for name in others:
        aside = f"v1_{name}_2" if f"v1_{name}" in others else f"v1_{name}"
        made[aside if name in MEANT_OTHERWISE[table] else name] = row[name]
    return made


def _copied(row: Row, names: str) -> Row:
    return {name: row[name] for name in names.split() if name in row}


def expected_v2(rows: Mapping[str, Sequence[Row]], *, repeat: bool = False) -> dict[str, dict[Any, Row]]:
    """The rows that v2 must hold, by table and id, given every row of v1, with the columns that v1 determines."""
    v2: dict[str, dict[Any, Row]] = {table: {} for table in V2_TABLES}
    exercises_of: dict[Any, list[Row]] = defaultdict(list)
    for exercise in rows["exercises"]:
        exercises_of[exercise["plan_id"]].append(exercise)
    trained = {session["plan_id"] for session in rows["workout_sessions"]}
    logs_of: dict[Any, list[Row]] = defaultdict(list)
    for log in rows["exercise_logs"]:
        logs_of[log["session_id"]].append(log)
    exercise_by_id = {row["id"]: row for row in rows["exercises"]}
    total: dict[Any, int] = {}
    start: dict[Any, date | None] = {}
    days_of: dict[Any, list[_Day]] = {}

    for plan in rows["workout_plans"]:
        key = plan["id"]
        mine = exercises_of[key]
        numbers = [row["week_number"] for row in mine if row.get("week_number") is not None]
        weeks = plan.get("duration_weeks")
        total[key] = weeks if weeks is not None else max(numbers, default=4)
        start[key] = plan.get("start_date")
        active = plan.get("is_active", True)
        goal = re.sub(r"\s+", "_", fold(blank(plan.get("goal"))))
        v2["workout_plans"][key] = {
            "id": key,
            "user_id": plan["user_id"],
            "name": plan["name"],
            "goal": goal if goal in GOALS else "general_fitness",
            "total_weeks": total[key],
            "current_week": 1,
            "status": "draft" if active is None else "active" if active else "completed",
            "is_template": bool(plan.get("is_template")),
            "ai_generated": bool(plan.get("ai_generated")),
            **_copied(plan, "description template_category created_by metadata created_at updated_at"),
            **_carried("workout_plans", plan),
        }
        days_of[key] = _days_of(mine)
        if not mine and key in trained:
            days_of[key] = [_Day("Full Body", "full body", None, set(), 1)]
        places = _places(mine)
        for week in range(1, total[key] + 1):
            begins = start[key]
            v2["workout_weeks"][derived(key, week)] = {
                "id": derived(key, week),
                "plan_id": key,
                "week_number": week,
                "start_date": begins and begins + timedelta(days=7 * (week - 1)),
                "end_date": begins and begins + timedelta(days=7 * week - 1),
                "notes": None,
                "deload": False,
                "attachments": None,
            }
            for day in days_of[key]:
                v2["workout_days"][derived(key, week, day.key)] = {
                    "id": derived(key, week, day.key),
                    "week_id": derived(key, week),
                    "day_label": day.label,
                    "day_number": day.number,
                    "muscle_groups": sorted(day.groups),
                    "date": None,
                    "notes": None,
                    "client_comment": None,
                    "estimated_duration": None,
                    "attachments": None,
                }
        for exercise in mine:
            for row in _exercises(exercise, total[key], places, repeat=repeat):
                v2["exercises"][row["id"]] = row

    for session in rows["workout_sessions"]:
        v2["workout_sessions"][session["id"]] = _session(
            session, logs_of[session["id"]], exercise_by_id, days_of, total, start
        )
    for log in rows["exercise_logs"]:
        v2["exercise_logs"][log["id"]] = {
            **_copied(log, "id session_id exercise_id set_number reps tempo rest_seconds notes completed_at"),
            "weight": rounded(log["weight"], 2),
            "rpe": rounded(log.get("rpe"), 1),
            "form_rating": None,
            **_carried("exercise_logs", log),
        }
    return v2


def _exercises(exercise: Row, total: int, places: Mapping[Any, int], *, repeat: bool) -> list[Row]:
    """One exercise in its own week, and in the later ones when exercises are repeated."""
    own = max(1, min(exercise.get("week_number") or 1, total))
    low, high = exercise.get("reps_min"), exercise.get("reps_max")
    made = []
    for week in range(own, total + 1 if repeat else own + 1):
        key = exercise["id"]
        if week != own:
            key = derived(key, week) if isinstance(key, UUID) else -(key * 64 + week)
        made.append(
            {
                "id": key,
                "day_id": derived(exercise["plan_id"], week, fold(day_name(exercise))),
                "group_id": None,
                "name": exercise["name"],
                "muscle_group": "general" if exercise.get("muscle_group") is None else exercise["muscle_group"],
                "sets": exercise.get("sets", 1),
                "target_reps_min": low,
                "target_reps_max": high,
                "target_reps_avg": None if low is None or high is None else (low + high) // 2,
                "target_weight": rounded(exercise.get("weight"), 2),
                "target_rpe_min": None,
                "target_rpe_max": None,
                "rest_seconds": 90 if exercise.get("rest_seconds") is None else exercise["rest_seconds"],
                "order_index": places[exercise["id"]],
                "client_comment": None,
                "attachments": None,
                **_copied(exercise, "equipment tempo notes video_url created_at updated_at"),
                **_carried("exercises", exercise),
            }
        )
    return made


def _session(
    session: Row,
    logs: Sequence[Row],
    exercises: Mapping[Any, Row],
    days_of: Mapping[Any, Sequence[_Day]],
    total: Mapping[Any, int],
    start: Mapping[Any, date | None],
) -> Row:
    plan = session["plan_id"]
    day_id = None
    if plan is not None:
        begins = start[plan]
        week = 1
        if begins is not None:
            elapsed = (session["started_at"].astimezone(UTC).date() - begins).days
            week = max(1, min(elapsed // 7 + 1, total[plan]))
        days = {day.key: day for day in days_of[plan]}
        votes: Counter[str] = Counter()
        for log in logs:
            exercise = exercises[log["exercise_id"]]
            if exercise["plan_id"] == plan:
                votes[fold(day_name(exercise))] += 1
        first = min(days.values(), key=lambda day: day.number).key
        most = max(votes.values(), default=0)
        chosen = min((key for key in votes if votes[key] == most), key=lambda key: days[key].number, default=first)
        day_id = derived(plan, week, chosen)
    return {
        "id": session["id"],
        "user_id": session["user_id"],
        "day_id": day_id,
        "started_at": session["started_at"],
        "total_volume": rounded(sum((log["reps"] * log["weight"] for log in logs), Decimal(0)), 2),
        "total_sets": len(logs),
        "average_rpe": None,
        "energy_level": None,
        **_copied(session, "completed_at notes created_at"),
        **_carried("workout_sessions", session),
    }
