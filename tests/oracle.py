"""What must be true after a migration or a rollback, worked out without the engine's SQL.

`catalog_fingerprint` says everything about a schema, `v1_rows` every row of v1, and `expected_v2` restates the mapping
in plain Python: rows in, rows out.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import md5
from typing import Any
from uuid import UUID

from vagus_tui.database.connection import Connection

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

# ── the catalog ──────────────────────────────────────────────────────────────────────────────────────────────────

_CATALOG = {
    "relations": """
        select c.relname as key, c.relkind::text, pg_get_userbyid(c.relowner), c.relpersistence::text,
          c.relrowsecurity, c.relforcerowsecurity, c.relreplident::text, c.reloptions,
          array(select a::text from unnest(c.relacl) a order by 1) as acl
        from pg_class c where c.relnamespace = $1::regnamespace and c.relkind not in ('i', 'I')""",
    "columns": """
        select c.relname || '.' || a.attname as key,
          (select count(*) from pg_attribute b where b.attrelid = a.attrelid and b.attnum <= a.attnum
            and b.attnum > 0 and not b.attisdropped) as place,
          format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
          a.attidentity::text, a.attgenerated::text, a.attcollation::regcollation::text, a.attstorage::text,
          array(select x::text from unnest(a.attacl) x order by 1) as acl
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm')""",
    "indexes": """
        select i.relname as key, t.relname, pg_get_indexdef(i.oid), x.indisvalid, x.indisprimary, x.indisunique,
          x.indisreplident
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
        where t.relnamespace = $1::regnamespace""",
    "constraints": """
        select c.relname || '.' || k.conname as key, k.contype::text, k.convalidated, k.condeferrable,
          k.condeferred, pg_get_constraintdef(k.oid)
        from pg_constraint k join pg_class c on c.oid = k.conrelid where c.relnamespace = $1::regnamespace""",
    "policies": """
        select c.relname || '.' || p.polname as key, p.polcmd::text, p.polpermissive,
          array(select r::regrole::text from unnest(p.polroles) r order by 1) as roles,
          pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = $1::regnamespace""",
    "triggers": """
        select c.relname || '.' || t.tgname as key, t.tgenabled::text, pg_get_triggerdef(t.oid)
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = $1::regnamespace and not t.tgisinternal""",
    "views": """
        select c.relname as key, pg_get_viewdef(c.oid), c.reloptions
        from pg_class c where c.relnamespace = $1::regnamespace and c.relkind in ('v', 'm')""",
    "functions": """
        select p.oid::regprocedure::text as key, pg_get_userbyid(p.proowner), pg_get_functiondef(p.oid),
          array(select a::text from unnest(p.proacl) a order by 1) as acl
        from pg_proc p where p.pronamespace = $1::regnamespace and p.prokind in ('f', 'p')""",
    "sequences": """
        select c.relname as key, s.seqtypid::regtype::text, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcycle,
          (select d.refobjid::regclass::text || '.' || a.attname from pg_depend d
           join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
           where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')) as owned_by
        from pg_sequence s join pg_class c on c.oid = s.seqrelid where c.relnamespace = $1::regnamespace""",
    "comments": """
        select o.identity || ' (' || o.type || ')' as key, d.description
        from pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) o
        where (o.schema = $1 or o.identity like $1 || '.%' or o.identity like '% on ' || $1 || '.%')""",
    "schema": """
        select nspname as key, pg_get_userbyid(nspowner), array(select a::text from unnest(nspacl) a order by 1) as acl
        from pg_namespace where nspname = $1""",
}

_PUBLICATIONS = """
select p.pubname || ': ' || c.relname as key, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, {details}
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join pg_class c on c.oid = r.prrelid
where c.relnamespace = $1::regnamespace
"""

OURS = re.compile(r"^system_maintenance|system_maintenance_|\.system_maintenance")


async def catalog_fingerprint(conn: Connection, schema: str = "public") -> dict[str, dict[str, Any]]:
    """Everything the catalog says about a schema, by kind and name, without oids. `system_maintenance` is left out."""
    found: dict[str, dict[str, Any]] = {}
    with_filters = conn.get_server_version().major >= 15
    details = (
        "array(select attname from pg_attribute where attrelid = c.oid and attnum = any(r.prattrs) order by 1), "
        "pg_get_expr(r.prqual, r.prrelid)"
        if with_filters
        else "null, null"
    )
    publications = _PUBLICATIONS.format(details=details)
    async with conn.transaction(readonly=True):
        # The same text whoever asks: names are always qualified.
        await conn.execute("set local search_path = ''")
        for kind, query in [*_CATALOG.items(), ("publications", publications)]:
            rows = await conn.fetch(query, schema)
            found[kind] = {row["key"]: tuple(row.values())[1:] for row in rows if not OURS.search(row["key"])}
    return found


def changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What two fingerprints, or two sets of rows, say differently, one line each."""
    lines = []
    for kind in sorted({*before, *after}):
        old, new = before.get(kind, {}), after.get(kind, {})
        for key in sorted({*old, *new}, key=str):
            if key not in new:
                lines.append(f"{kind} {key}: gone, was {old[key]}")
            elif key not in old:
                lines.append(f"{kind} {key}: new: {new[key]}")
            elif old[key] != new[key]:
                lines.append(f"{kind} {key}: was {old[key]}, is {new[key]}")
    return lines


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def rows_as_text(conn: Connection, schema: str, table: str) -> dict[str, str]:
    """Every row of a table by id, each as the server writes it."""
    rows = await conn.fetch(f'select t.id::text as id, (t.*)::text as row from "{schema}"."{table}" t')
    return {row["id"]: row["row"] for row in rows}


async def v1_rows(conn: Connection, suffix: str = "") -> dict[str, dict[str, str]]:
    """Every row of the four v1 tables as text, by id."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("set local timezone = 'UTC'")
        return {table: await rows_as_text(conn, "public", table + suffix) for table in V1_TABLES}


async def read_rows(
    conn: Connection, tables: Sequence[str], suffix: str = "", schema: str = "public"
) -> dict[str, list[Row]]:
    """Every row of tables, as Python values."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return {
            table: [dict(row) for row in await conn.fetch(f'select * from "{schema}"."{table}{suffix}"')]
            for table in tables
        }


# ── the mapping ──────────────────────────────────────────────────────────────────────────────────────────────────

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


def _comparable(value: Any) -> Any:
    """Values that mean the same compare as the same: json by what it says."""
    if isinstance(value, str) and value[:1] in '{["' and value:
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def differences(expected: Mapping[str, Mapping[Any, Row]], found: Mapping[str, Sequence[Row]]) -> list[str]:
    """What v2's rows say otherwise than they must, one line each."""
    lines: list[str] = []
    for table, wanted in expected.items():
        actual = {row["id"]: row for row in found[table]}
        lines.extend(f"{table} {key}: missing" for key in wanted.keys() - actual.keys())
        lines.extend(f"{table} {key}: not in v1" for key in actual.keys() - wanted.keys())
        for key in wanted.keys() & actual.keys():
            for column, value in wanted[key].items():
                if column not in actual[key]:
                    lines.append(f"{table} {key}: has no column {column}")
                elif _comparable(actual[key][column]) != _comparable(value):
                    lines.append(f"{table} {key}.{column}: {actual[key][column]!r}, must be {value!r}")
    return lines


async def v2_differences(
    conn: Connection, *, suffix: str = "_v1", repeat: bool = False, schema: str = "public"
) -> list[str]:
    """How v2, where it is now, differs from what the kept v1 rows say it must be."""
    expected = expected_v2(await read_rows(conn, V1_TABLES, suffix), repeat=repeat)
    return differences(expected, await read_rows(conn, V2_TABLES, schema=schema))
