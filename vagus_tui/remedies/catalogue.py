"""Every guided fix there is, as data: by check, the gentlest first."""

from __future__ import annotations

from vagus_tui.checks.data_quality.logs import arrival
from vagus_tui.checks.data_quality.related import UUID, text_ids
from vagus_tui.checks.data_quality.rule import LARGEST_INTEGER, USERS, Names
from vagus_tui.database.identifiers import literal
from vagus_tui.remedies.model import Part, Remedy
from vagus_tui.schema import v1
from vagus_tui.schema.rules import WHITESPACE

LONGEST_NAME = 500


def _aside(check_id: str, what: str, *, part: Part = "fails") -> Remedy:
    return Remedy(
        id=f"{check_id}-set-aside",
        check_id=check_id,
        title="Set aside",
        description=f"{what} Nothing is deleted: the rows go whole into the journal and can be put back.",
        part=part,
    )


def _whole(column: str, least: int) -> str:
    return f"least(greatest(round(t.{column}::numeric), {least}), {LARGEST_INTEGER})"


def _sole_trainee(names: Names) -> str:
    """The one known user who trained by a plan, or NULL when there is none or more than one."""
    return (
        f"(select case when count(distinct s.user_id) = 1 then (array_agg(s.user_id))[1] end from {names.sessions} s "
        f"join {USERS} u on u.id = s.user_id where s.plan_id = t.id)"
    )


def _plan_owner(names: Names) -> str:
    return f"(select p.user_id from {names.plans} p join {USERS} u on u.id = p.user_id where p.id = t.plan_id)"


def _next_set(names: Names) -> str:
    """Numbers after the highest of the same session and exercise, in the order in which the sets came."""
    return (
        f"(select greatest(coalesce(max(x.set_number), 0), 0) from {names.logs} x where x.session_id = t.session_id "
        "and x.exercise_id = t.exercise_id) + row_number() over (partition by t.session_id, t.exercise_id "
        f"order by t.set_number nulls last, {arrival(names, 't')})"
    )


def _start(names: Names) -> str:
    choices = [f"t.{name}" for name in ("created_at", "completed_at") if names.has(v1.SESSIONS, name)]
    if names.has(v1.LOGS, "completed_at"):
        choices.append(f"(select min(l.completed_at) from {names.logs} l where l.session_id = t.id)")
    finite = [f"case when isfinite({choice}) then {choice} end" for choice in choices]
    return f"coalesce({', '.join([*finite, 'null'])})"


def _last_week(names: Names) -> str:
    weeks = "p.duration_weeks" if names.has(v1.PLANS, "duration_weeks") else "null"
    return (
        f"least(52, greatest(1, coalesce((select {weeks}::numeric from {names.plans} p where p.id = t.plan_id), 52)))"
    )


def _user_meant(names: Names, column: str) -> str:
    """The id that a text stands for, as text, or NULL where that is not certain."""
    text = f"btrim(t.{column}::text, {literal(WHITESPACE).strip()})"
    return (
        f"(case when {text} ~ '{UUID}' then {text} else (select min(u.id::text) from {USERS} u "
        f"where lower(u.email) = lower({text}) having count(*) = 1) end)"
    )


REMEDIES: tuple[Remedy, ...] = (
    *(
        _aside(f"{short}-ids", f"Of {many} with the same id the first stays; the others are set aside.")
        for short, many in (("plans", "plans"), ("exercises", "exercises"), ("sessions", "sessions"), ("logs", "sets"))
    ),
    Remedy(
        id="plans-null-owner-trainee",
        check_id="plans-null-owner",
        title="Give to whoever trained by it",
        description="Where all sessions of a plan are one user's, that user becomes the owner. Look at them first.",
        changes=lambda names: {"user_id": _sole_trainee(names)},
        where=lambda names: f"{_sole_trainee(names)} is not null",
    ),
    _aside("plans-null-owner", "The plans, with their exercises, sessions and logged sets, are taken out of v1."),
    _aside("plans-unknown-owner", "The plans, with their exercises, sessions and logged sets, are taken out of v1."),
    Remedy(
        id="plans-unknown-creator-clear",
        check_id="plans-unknown-creator",
        title="Clear the creator",
        description="The plan stays with its owner; that an unknown user created it is no longer said.",
        safe=True,
        changes=lambda names: {"created_by": "null"},
    ),
    Remedy(
        id="plans-null-name-name",
        check_id="plans-null-name",
        title="Name them “Unnamed plan”",
        description="v2 requires a name; the owner can change it.",
        safe=True,
        changes=lambda names: {"name": "'Unnamed plan'"},
    ),
    Remedy(
        id="plans-weeks-clamp",
        check_id="plans-weeks",
        title="Bring into 1 to 52 weeks",
        description="Fewer than one week becomes one, more than 52 become 52, parts of weeks are rounded.",
        changes=lambda names: {"duration_weeks": f"least({_whole('duration_weeks', 1)}, 52)"},
    ),
    Remedy(
        id="plans-weeks-clear",
        check_id="plans-weeks",
        title="Clear the length",
        description="The plan gets as many weeks as its exercises name, or four, which is the default.",
        changes=lambda names: {"duration_weeks": "null"},
    ),
    _aside("plans-weeks", "The plans, with their exercises, sessions and logged sets, are taken out of v1."),
    Remedy(
        id="plans-start-date-clear",
        check_id="plans-start-date",
        title="Clear the start date",
        description="The plan's weeks get no dates, as in any plan that was never given a start.",
        safe=True,
        changes=lambda names: {"start_date": "null"},
    ),
    Remedy(
        id="plans-metadata-clear",
        check_id="plans-metadata",
        title="Clear the metadata",
        description="The plan stays, without its metadata; they stay whole in the journal.",
        changes=lambda names: {"metadata": "null"},
    ),
    _aside("plans-metadata", "The plans, with their exercises, sessions and logged sets, are taken out of v1."),
    _aside("orphaned-exercises", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-null-name-name",
        check_id="exercises-null-name",
        title="Name them “Unnamed exercise”",
        description="v2 requires a name; whoever owns the plan can change it.",
        safe=True,
        changes=lambda names: {"name": "'Unnamed exercise'"},
    ),
    Remedy(
        id="exercises-long-text-shorten",
        check_id="exercises-long-text",
        title=f"Shorten to {LONGEST_NAME} characters",
        description="Names and muscle groups keep their beginning. The whole text stays in the journal.",
        changes=lambda names: {
            column: f"left(t.{column}, {LONGEST_NAME})"
            for column in ("name", "muscle_group")
            if names.has(v1.EXERCISES, column)
        },
    ),
    _aside("exercises-long-text", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-sets-one",
        check_id="exercises-sets",
        title="Set to one set",
        description="No sets, zero or fewer become one; parts of sets are rounded.",
        changes=lambda names: {"sets": f"coalesce({_whole('sets', 1)}, 1)"},
    ),
    _aside("exercises-sets", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-reps-swap",
        check_id="exercises-reps",
        title="Swap minimum and maximum",
        description="Where both are there and only their order is wrong.",
        safe=True,
        changes=lambda names: {"reps_min": "t.reps_max", "reps_max": "t.reps_min"},
        where=lambda names: "t.reps_min > t.reps_max and t.reps_max > 0",
        columns=((v1.EXERCISES, "reps_min"), (v1.EXERCISES, "reps_max")),
    ),
    Remedy(
        id="exercises-reps-clear",
        check_id="exercises-reps",
        title="Clear the repetitions",
        description="The exercise stays, without a target for its repetitions.",
        changes=lambda names: {
            column: "null" for column in ("reps_min", "reps_max") if names.has(v1.EXERCISES, column)
        },
    ),
    _aside("exercises-reps", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-weight-round",
        check_id="exercises-weight",
        title="Round to two decimals",
        description="What v2 would do by itself, done now and on record.",
        safe=True,
        part="warns",
        changes=lambda names: {"weight": "round(t.weight::numeric, 2)"},
    ),
    Remedy(
        id="exercises-weight-clear",
        check_id="exercises-weight",
        title="Clear the weight",
        description="The exercise stays, without a target weight.",
        part="fails",
        changes=lambda names: {"weight": "null"},
    ),
    _aside("exercises-weight", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-rest-clear",
        check_id="exercises-rest",
        title="Clear the rest",
        description="A negative rest becomes none, for which v2 takes its default of 90 seconds; parts are rounded.",
        safe=True,
        changes=lambda names: {"rest_seconds": f"case when t.rest_seconds >= 0 then {_whole('rest_seconds', 0)} end"},
    ),
    _aside("exercises-rest", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-week-clamp",
        check_id="exercises-week",
        title="Bring into the plan's weeks",
        description="A week before the first becomes the first, one after the last becomes the last.",
        changes=lambda names: {"week_number": f"least({_whole('week_number', 1)}, {_last_week(names)})"},
    ),
    _aside("exercises-week", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="exercises-order-clear",
        check_id="exercises-order",
        title="Clear the order",
        description="The exercises come after the others of their plan.",
        safe=True,
        part="fails",
        changes=lambda names: {"order_index": "null"},
    ),
    _aside("exercises-order", "The exercises, with the sets that were logged for them, are taken out of v1."),
    Remedy(
        id="sessions-null-user-owner",
        check_id="sessions-null-user",
        title="Give to the plan's owner",
        description="Where the session's plan has a known owner. Look at them first.",
        changes=lambda names: {"user_id": _plan_owner(names)},
        where=lambda names: f"{_plan_owner(names)} is not null",
    ),
    _aside("sessions-null-user", "The sessions, with their logged sets, are taken out of v1."),
    _aside("sessions-unknown-user", "The sessions, with their logged sets, are taken out of v1."),
    Remedy(
        id="sessions-unknown-plan-clear",
        check_id="sessions-unknown-plan",
        title="Keep them without a plan",
        description="The sessions and their logged sets stay, as training that belongs to no plan.",
        safe=True,
        changes=lambda names: {"plan_id": "null"},
    ),
    _aside("sessions-unknown-plan", "The sessions, with their logged sets, are taken out of v1."),
    Remedy(
        id="sessions-null-start-known",
        check_id="sessions-null-start",
        title="Take the earliest time that is known",
        description="When the row was made, when the session ended, or when its first set was logged.",
        safe=True,
        changes=lambda names: {"started_at": _start(names)},
        where=lambda names: f"{_start(names)} is not null",
    ),
    _aside("sessions-null-start", "The sessions, with their logged sets, are taken out of v1."),
    _aside("sessions-volume", "The sessions, with their logged sets, are taken out of v1."),
    _aside("orphaned-logs", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-set-number-next",
        check_id="logs-set-number",
        title="Number them after the others",
        description="They get the numbers after the highest of the same session and exercise.",
        safe=True,
        changes=lambda names: {"set_number": _next_set(names)},
    ),
    _aside("logs-set-number", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-reps-zero",
        check_id="logs-reps",
        title="Set to zero repetitions",
        description="No repetitions or fewer than zero become zero; parts are rounded.",
        changes=lambda names: {"reps": f"coalesce({_whole('reps', 0)}, 0)"},
    ),
    _aside("logs-reps", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-weight-round",
        check_id="logs-weight",
        title="Round to two decimals",
        description="What v2 would do by itself, done now and on record.",
        safe=True,
        part="warns",
        changes=lambda names: {"weight": "round(t.weight::numeric, 2)"},
    ),
    Remedy(
        id="logs-weight-zero",
        check_id="logs-weight",
        title="Set to no weight",
        description="Where there is none, or a negative one: zero, as for an exercise with the body's own weight.",
        part="fails",
        changes=lambda names: {"weight": "0"},
        where=lambda names: "t.weight is null or t.weight < 0",
    ),
    _aside("logs-weight", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-rpe-round",
        check_id="logs-rpe",
        title="Round to one decimal",
        description="What v2 would do by itself, done now and on record.",
        safe=True,
        part="warns",
        changes=lambda names: {"rpe": "round(t.rpe::numeric, 1)"},
    ),
    Remedy(
        id="logs-rpe-clear",
        check_id="logs-rpe",
        title="Clear the effort",
        description="The set stays, without an effort: a figure outside 1 to 10 says nothing.",
        safe=True,
        part="fails",
        changes=lambda names: {"rpe": "null"},
    ),
    _aside("logs-rpe", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-rest-clear",
        check_id="logs-rest",
        title="Round or clear the rest",
        description="Parts of seconds are rounded; what is too large for an integer is cleared.",
        safe=True,
        changes=lambda names: {
            "rest_seconds": f"case when abs(t.rest_seconds::numeric) <= {LARGEST_INTEGER} "
            "then round(t.rest_seconds::numeric) end"
        },
    ),
    _aside("logs-rest", "The logged sets are taken out of v1."),
    Remedy(
        id="logs-duplicate-sets-next",
        check_id="logs-duplicate-sets",
        title="Number them after the others",
        description="The first keeps its number; the others get numbers after the highest of the exercise.",
        safe=True,
        changes=lambda names: {"set_number": _next_set(names)},
    ),
    _aside("logs-duplicate-sets", "The first of each stays; the others are taken out of v1."),
    Remedy(
        id="coach-clients-user",
        check_id="coach-clients",
        title="Put the users' ids there",
        description="Where an id has only blanks around it, or is the e-mail address of exactly one user. "
        "Look at them first.",
        changes=lambda names: {column: _user_meant(names, column) for column in text_ids(names.shape)},
        where=lambda names: (
            " and ".join(f"{_user_meant(names, column)} is not null" for column in text_ids(names.shape)) or "false"
        ),
    ),
    _aside("coach-clients", "The relations are taken out of coach_clients: nobody coaches anybody by them."),
)
"""In the order in which "fix all safe ones" applies them: what decides a session's or a set's place comes last."""
