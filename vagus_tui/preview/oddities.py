"""What can be odd about a plan, as conditions on v1 that the search takes: the plans worth a look before moving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vagus_tui.preview.reasons import Rule, rule_sql
from vagus_tui.schema import v1
from vagus_tui.schema.mapping import WorkoutMapping


@dataclass(frozen=True, slots=True)
class Oddity:
    """One kind of odd plan.

    Attributes:
        id: kebab-case.
        title: what is odd, in a few words.
        condition: the condition on v1's plan `p`, or None where v1 has not the columns for it.
    """

    id: str
    title: str
    condition: Callable[[WorkoutMapping], str | None]


def _exercises(mapping: WorkoutMapping, condition: str) -> str:
    return f"exists (select from {mapping.source(v1.EXERCISES)} e where e.plan_id = p.id and {condition})"


def _empty(mapping: WorkoutMapping) -> str:
    return f"not {_exercises(mapping, 'true')}"


def _by_rule(*rules: Rule) -> Callable[[WorkoutMapping], str | None]:
    def condition(mapping: WorkoutMapping) -> str:
        wanted = ", ".join(f"'{rule.value}'" for rule in rules)
        return _exercises(mapping, f"{rule_sql(mapping)[0]} in ({wanted})")

    return condition


def _mixed_rules(mapping: WorkoutMapping) -> str:
    rule, _ = rule_sql(mapping)
    groups = f"('{Rule.GROUP.value}', '{Rule.OTHER_GROUP.value}', '{Rule.NO_GROUP.value}')"
    named = _exercises(mapping, f"{rule} not in {groups}")
    return f"{named} and {_exercises(mapping, f'{rule} in {groups}')}"


def _two_spellings(mapping: WorkoutMapping) -> str | None:
    if not mapping.shape.exercises.has("day_label"):
        return None
    name = mapping.day_name()
    return (
        f"(select count(distinct {name}) > count(distinct lower({name})) "
        f"from {mapping.source(v1.EXERCISES)} e where e.plan_id = p.id)"
    )


def _own_weeks(mapping: WorkoutMapping) -> str | None:
    return _exercises(mapping, "e.week_number <> 1") if mapping.shape.exercises.has("week_number") else None


def _no_start(mapping: WorkoutMapping) -> str | None:
    return "p.start_date is null" if mapping.shape.plans.has("start_date") else None


def _outside(mapping: WorkoutMapping) -> str | None:
    plans = mapping.shape.plans
    if not plans.has("start_date") or not plans.has("duration_weeks"):
        return None
    return (
        f"exists (select from {mapping.source(v1.SESSIONS)} s where s.plan_id = p.id and (s.started_at::date < "
        "p.start_date or s.started_at::date >= p.start_date + 7 * coalesce(p.duration_weeks::integer, 4)))"
    )


def _unlogged(mapping: WorkoutMapping) -> str:
    return (
        f"exists (select from {mapping.source(v1.SESSIONS)} s where s.plan_id = p.id "
        f"and not exists (select from {mapping.source(v1.LOGS)} l where l.session_id = s.id))"
    )


def _template(mapping: WorkoutMapping) -> str | None:
    return "p.is_template" if mapping.shape.plans.has("is_template") else None


def _goal(mapping: WorkoutMapping) -> str | None:
    if not mapping.shape.plans.has("goal"):
        return None
    return f"{mapping.goal()} is distinct from replace(lower({mapping.trimmed('p.goal')}), ' ', '_')"


def _name(_mapping: WorkoutMapping) -> str:
    return (
        "(coalesce(btrim(p.name::text), '') = '' or length(p.name::text) > 100 "
        r"or p.name::text ~ '[\x01-\x1f\x7f<>\[\]{}$]' or p.name::text ~ U&'[\200B-\200F\202A-\202E\2066-\2069]')"
    )


ODDITIES: tuple[Oddity, ...] = (
    Oddity("no-exercises", "no exercises", _empty),
    Oddity("by-muscle-group", "days formed from muscle groups", _by_rule(Rule.GROUP, Rule.OTHER_GROUP, Rule.NO_GROUP)),
    Oddity("unlisted-group", "a muscle group in no list", _by_rule(Rule.OTHER_GROUP)),
    Oddity("mixed-rules", "some days by name, some by muscle group", _mixed_rules),
    Oddity("two-spellings", "one day spelled in two ways", _two_spellings),
    Oddity("own-weeks", "exercises beyond week 1", _own_weeks),
    Oddity("no-start-date", "no start date", _no_start),
    Oddity("outside-sessions", "sessions outside the plan's weeks", _outside),
    Oddity("unlogged-sessions", "sessions without a logged set", _unlogged),
    Oddity("other-goal", "a goal that v2 does not know", _goal),
    Oddity("odd-name", "an odd name", _name),
    Oddity("template", "templates", _template),
)
"""In the order in which they are offered."""


def offered(mapping: WorkoutMapping | None) -> tuple[Oddity, ...]:
    """Those that can be looked for here; none where v1 is gone."""
    return () if mapping is None else tuple(one for one in ODDITIES if one.condition(mapping) is not None)
