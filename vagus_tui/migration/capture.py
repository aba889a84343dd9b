"""Change capture: row triggers that note which plans and sessions were touched, on v1 before and on v2 after.

Staging has them too from when it refers to auth.users: a user who leaves takes rows along there that v1 may have given
to somebody else meanwhile, and nobody but us has a reason to change it. What others change there is made anew from v1.

Only ids are noted, in the writer's own transaction. What a touched plan or session must look like is worked out anew
from the tables themselves, so the order of the notes does not matter and a note too many does no harm.
"""

from __future__ import annotations

from vagus_tui.migration.maintenance import FROM_THE_APP
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.preferences import preferences_kind
from vagus_tui.schema.v1 import V1Shape

CHANGE_LOG = "vagus_migration.change_log"
V2_CHANGES = "vagus_migration.v2_changes"
V2_UNNOTED = "vagus_migration.v2_unnoted"
"""Rows of v2 that a rollback found to be otherwise than v1 has them though no write of theirs was noted."""
CAPTURE_TRIGGER = "vagus_capture"

PLAN, SESSION, STRUCTURE, CHOICES = "p", "s", "d", "n"
"""Units of change: a plan with all its sessions, a session with its logs, a plan's days alone; what a user chose to be
notified of."""

_TOUCHED: dict[str, tuple[tuple[str, str], ...]] = {
    v1.PLANS: ((PLAN, "id"),),
    v1.EXERCISES: ((PLAN, "plan_id"),),
    v1.SESSIONS: ((SESSION, "id"), (STRUCTURE, "plan_id")),
    v1.LOGS: ((SESSION, "session_id"),),
    v2.PREFERENCES: ((CHOICES, "user_id"),),
}
"""Per v1 table: which unit a row belongs to, and the column that names it.

A session touches its plan's days too: a plan without exercises has its days only while it has sessions. Preferences
are noted where v1 has a row per category (`captured`): v2's are made of all rows of a user.
"""


def captured(shape: V1Shape) -> dict[str, str]:
    """The tables whose changes are noted before the cut-over: the names that they have, by v1 name."""
    names = {base: table.name for base, table in shape.tables.items()}
    if preferences_kind(shape) == "rows":
        names[v2.PREFERENCES] = v2.PREFERENCES
    return names


V1_FUNCTIONS = (*(f"capture_{base}" for base in _TOUCHED), "capture_truncate")
"""The functions of the triggers that v1's tables have before the cut-over."""


def _note(table: str, row: str, units: tuple[tuple[str, str], ...]) -> str:
    values = ", ".join(f"({literal(unit).strip()}, {row}.{quote(column)}::text)" for unit, column in units)
    return f"insert into {table} (unit, id) select u, i from (values {values}) as touched (u, i) where i is not null;"


def install_functions() -> str:
    """The change log and the trigger functions. SECURITY DEFINER, since API roles may not write the journal."""
    functions = []
    for base, units in _TOUCHED.items():
        functions.append(
            f"create or replace function vagus_migration.capture_{base}() returns trigger\n"
            "language plpgsql security definer set search_path = '' as $$\n"
            "begin\n"
            f"  if tg_op <> 'INSERT' then {_note(CHANGE_LOG, 'old', units)} end if;\n"
            f"  if tg_op <> 'DELETE' then {_note(CHANGE_LOG, 'new', units)} end if;\n"
            "  return null;\n"
            "end $$"
        )
    return ";\n".join(
        [
            f'create table if not exists {CHANGE_LOG} (unit "char" not null, id text not null)',
            # Where a publication carries all tables, rows can be deleted only from tables that can tell them apart.
            f"alter table {CHANGE_LOG} replica identity full",
            V2_LOG,
            *functions,
            "create or replace function vagus_migration.capture_truncate() returns trigger\n"
            "language plpgsql set search_path = '' as $$\n"
            "begin\n"
            "  raise exception 'workout data is being upgraded: TRUNCATE of % is not possible now', tg_table_name\n"
            "    using hint = 'Stop the migration first, or delete the rows.';\n"
            "end $$",
            *install_v2_functions(),
        ]
    )


V2_LOG = f"create table if not exists {V2_CHANGES} (table_name text not null, row_id text not null)"

V2_BODIES = {
    "capture_v2": "\n"
    "begin\n"
    "  if tg_op <> 'INSERT' then\n"
    f"    insert into {V2_CHANGES} values (tg_table_name, old.id::text);\n"
    "  end if;\n"
    "  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and new.id is distinct from old.id) then\n"
    f"    insert into {V2_CHANGES} values (tg_table_name, new.id::text);\n"
    "  end if;\n"
    "  return null;\n"
    "end ",
    # What is emptied at a stroke fires no trigger per row, and counts as deleted all the same.
    "capture_v2_truncate": "\n"
    "begin\n"
    f"  execute format('insert into {V2_CHANGES} select %L, id::text from %s', tg_table_name, "
    "tg_relid::regclass);\n"
    "  return null;\n"
    "end ",
}
"""The bodies of the functions that note what is written to v2, by name."""


def install_v2_functions() -> list[str]:
    """The functions behind the triggers on v2."""
    return [
        f"create or replace function vagus_migration.{name}() returns trigger\n"
        f"language plpgsql security definer set search_path = '' as $${body}$$"
        for name, body in V2_BODIES.items()
    ]


def always(relation: str, *triggers: str) -> str:
    """Let triggers fire for imports and replication too, which switch the ordinary ones off for their session."""
    return f"alter table {relation} " + ", ".join(f"enable always trigger {name}" for name in triggers)


def install_triggers(shape: V1Shape, base: str) -> list[str]:
    """The capture triggers of one v1 table: SHARE ROW EXCLUSIVE on it, for an instant."""
    relation = qualified(shape.schema, captured(shape)[base])
    return [
        f"create or replace trigger {CAPTURE_TRIGGER} after insert or update or delete on {relation} "
        f"for each row execute function vagus_migration.capture_{base}()",
        f"create or replace trigger {CAPTURE_TRIGGER}_truncate before truncate on {relation} "
        "for each statement execute function vagus_migration.capture_truncate()",
        always(relation, CAPTURE_TRIGGER, f"{CAPTURE_TRIGGER}_truncate"),
    ]


def remove_triggers(relation: str) -> list[str]:
    """Take the capture triggers off a v1 table: ACCESS EXCLUSIVE on it, for an instant."""
    return [
        f"drop trigger if exists {CAPTURE_TRIGGER} on {relation}",
        f"drop trigger if exists {CAPTURE_TRIGGER}_truncate on {relation}",
    ]


def v2_triggers(relation: str) -> list[str]:
    """The triggers that note what is written to one table of v2. Safe to repeat."""
    return [
        f"create or replace trigger {CAPTURE_TRIGGER} after insert or update or delete on {relation} "
        "for each row execute function vagus_migration.capture_v2()",
        f"create or replace trigger {CAPTURE_TRIGGER}_truncate before truncate on {relation} "
        "for each statement execute function vagus_migration.capture_v2_truncate()",
        always(relation, CAPTURE_TRIGGER, f"{CAPTURE_TRIGGER}_truncate"),
    ]


def install_v2_triggers(schema: str) -> list[str]:
    """The triggers that note what is written to v2 after the cut-over, so that a rollback can carry it back."""
    return [statement for table in v2.TABLES for statement in v2_triggers(qualified(schema, table))]


OWN = "vagus_tui.own"
"""The setting by which our own sessions are told from others: what they do to staging need not be noted."""

_STAGED_WEEK = "select w.plan_id from {weeks} w where w.id"
_STAGED: dict[str, tuple[str, str]] = {
    v2.PLANS: (PLAN, "{row}.id"),
    v2.WEEKS: (PLAN, "{row}.plan_id"),
    # Where the week or the day is gone too, that has been noted itself, up to the plan.
    v2.DAYS: (PLAN, f"({_STAGED_WEEK} = {{row}}.week_id)"),
    v2.EXERCISES: (PLAN, f"({_STAGED_WEEK} = (select d.week_id from {{days}} d where d.id = {{row}}.day_id))"),
    v2.SESSIONS: (SESSION, "{row}.id"),
    v2.LOGS: (SESSION, "{row}.session_id"),
}
"""Per table of staging: which unit a row belongs to, and the expression that names it."""


def install_staged_triggers(schema: str) -> list[str]:
    """The triggers that note what others do to staging. Those of v2 take their place in the cut-over."""
    weeks, days = qualified(schema, v2.WEEKS), qualified(schema, v2.DAYS)
    statements = []
    for table, (unit, of) in _STAGED.items():

        def note(row: str, unit: str = unit, of: str = of) -> str:
            named = f"select {literal(unit).strip()}, ({of.format(row=row, weeks=weeks, days=days)})::text"
            return f"insert into {CHANGE_LOG} (unit, id) select u, i from ({named}) touched (u, i) where i is not null;"

        relation, function = qualified(schema, table), f"vagus_migration.capture_staged_{table}()"
        statements += [
            f"create or replace function {function} returns trigger\n"
            "language plpgsql security definer set search_path = '' as $$\n"
            "begin\n"
            f"  if tg_op <> 'INSERT' then {note('old')} end if;\n"
            f"  if tg_op <> 'DELETE' then {note('new')} end if;\n"
            "  return null;\n"
            "end $$",
            f"create trigger {CAPTURE_TRIGGER} after insert or update or delete on {relation} for each row "
            f"when (current_setting('{OWN}', true) is distinct from 'on') execute function {function}",
            f"create trigger {CAPTURE_TRIGGER}_truncate before truncate on {relation} "
            "for each statement execute function vagus_migration.capture_truncate()",
            always(relation, CAPTURE_TRIGGER, f"{CAPTURE_TRIGGER}_truncate"),
        ]
    return statements


def install_preferences_trigger(schema: str, *, patiently: bool = False) -> str:
    """Note whose preferences the app changes after the cut-over; what others change there is nobody's choice.

    Args:
        patiently: the table is v1's own and in use: give up when it does not come free soon, or may not be given a
            trigger. Then nothing is noted, which a check of the preferences says.
    """
    relation = qualified(schema, v2.PREFERENCES)
    name = literal(v2.PREFERENCES).strip()
    firing = always(relation, CAPTURE_TRIGGER)
    wait = "  perform set_config('lock_timeout', '2s', true);\n" if patiently else ""
    reasons = "lock_not_available or deadlock_detected or insufficient_privilege or wrong_object_type"
    give_up = f"exception when {reasons} then null;\n" if patiently else ""
    return (
        "create or replace function vagus_migration.capture_preferences() returns trigger\n"
        "language plpgsql security definer set search_path = '' as $$\n"
        "begin\n"
        f"  if {FROM_THE_APP} then\n"
        f"    insert into {V2_CHANGES} values ({name}, coalesce(new.user_id, old.user_id)::text);\n"
        "  end if;\n"
        "  return null;\n"
        "end $$;\n"
        "do $vagus$ begin\n"
        f"{wait}"
        f"  create or replace trigger {CAPTURE_TRIGGER} after insert or update or delete on {relation}\n"
        "    for each row execute function vagus_migration.capture_preferences();\n"
        f"  {firing};\n"
        f"{give_up}"
        "end $vagus$"
    )
