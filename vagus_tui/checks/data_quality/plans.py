"""Rules about v1's plans."""

from __future__ import annotations

from vagus_tui.checks.data_quality.rule import USERS, Names, Rule
from vagus_tui.schema import v1

NULL_OWNERS = "Pre-Migration Checklist · Data Quality Checks 1"
DUPLICATE_NAMES = "Pre-Migration Checklist · Data Quality Checks 3"
PLAN_FIELDS = "Data Transformation · Field Mapping"
LAST_START = "9000-01-01"
"""Dates past this are typing mistakes, and the weeks after them could leave the calendar."""

LONGEST_NUMBER = 16_383
"""Digits that a number in jsonb surely may have, before or after its point."""


def _goal_changes(names: Names) -> str:
    trimmed = names.mapping.trimmed("t.goal")
    # Whatever does not fit becomes general_fitness, so only what says general_fitness itself is left as it was.
    return (
        f"t.goal is not null and {names.mapping.goal('t')} = 'general_fitness' and "
        f"regexp_replace(lower({trimmed}), '\\s+', '_', 'g') is distinct from 'general_fitness'"
    )


def _weeks_outside(names: Names) -> str:
    return f"{names.unfit(v1.PLANS, 'duration_weeks')} or t.duration_weeks not between 1 and 52"


def _no_jsonb(names: Names) -> str:
    """Metadata kept as json, which takes what jsonb does not: the character 0, half of a pair, endless numbers."""
    if names.columns(v1.PLANS)["metadata"].plain != "json":
        return "false"
    # Escaped backslashes aside, so that what looks like an escape is one; and numbers only outside of texts.
    escapes = r"replace(t.metadata::text, '\\', '')"
    alone = rf"regexp_replace({escapes}, '\\ud[89ab][0-9a-f]{{2}}\\ud[c-f][0-9a-f]{{2}}', '', 'gi')"
    numbers = r"""regexp_replace(t.metadata::text, '"([^"\\]|\\.)*"', '', 'g')"""
    longest = f"(select max(length(digits[1])) from regexp_matches({numbers}, '([0-9]+)', 'g') digits)"
    return (
        rf"({escapes} ~ '\\u0000' or {alone} ~* '\\ud[89a-f][0-9a-f]{{2}}' "
        rf"or {numbers} ~ '[0-9][eE]([+]?[0-9]{{6}}|-[0-9]{{5}})' or {longest} > {LONGEST_NUMBER})"
    )


RULES = (
    Rule(
        id="plans-null-owner",
        table=v1.PLANS,
        title="Plans without an owner",
        why="In v2 a plan belongs to somebody: without an owner nobody could see it, and the row is refused.",
        guide=NULL_OWNERS,
        fails=lambda names: "t.user_id is null",
        failing="without an owner (user_id is NULL)",
    ),
    Rule(
        id="plans-unknown-owner",
        table=v1.PLANS,
        title="Plans of unknown users",
        why="v2 ties a plan's owner to auth.users; an owner who is not there is refused.",
        fails=lambda names: f"t.user_id is not null and not exists (select from {USERS} u where u.id = t.user_id)",
        failing="of a user who is not in auth.users",
        alone=True,
    ),
    Rule(
        id="plans-unknown-creator",
        table=v1.PLANS,
        title="Plans made by unknown users",
        why="v2 ties created_by to auth.users; a creator who is not there is refused.",
        columns=("created_by",),
        fails=lambda names: (
            f"t.created_by is not null and not exists (select from {USERS} u where u.id = t.created_by)"
        ),
        failing="created by a user who is not in auth.users",
        alone=True,
    ),
    Rule(
        id="plans-null-name",
        table=v1.PLANS,
        title="Plans without a name",
        why="A plan's name is required in v2.",
        fails=lambda names: "t.name is null",
        failing="without a name",
    ),
    Rule(
        id="plans-goal",
        table=v1.PLANS,
        title="Goals that v2 does not know",
        why="v2 has six goals. Any other text becomes general_fitness; v1 keeps the original.",
        guide=PLAN_FIELDS,
        columns=("goal",),
        warns=_goal_changes,
        warning="with a goal that v2 does not know: general_fitness takes its place",
        values=lambda names: "t.goal",
    ),
    Rule(
        id="plans-weeks",
        table=v1.PLANS,
        title="Plan lengths not 1 to 52 weeks",
        why="v2 holds plans of 1 to 52 weeks and refuses others.",
        guide="Data Transformation · Step 1",
        columns=("duration_weeks",),
        fails=_weeks_outside,
        failing="not 1 to 52 whole weeks long",
        values=lambda names: "t.duration_weeks",
    ),
    Rule(
        id="plans-start-date",
        table=v1.PLANS,
        title="Start dates beyond the calendar",
        why="The weeks of v2 get their dates from the plan's start; past the calendar there are none.",
        columns=("start_date",),
        fails=lambda names: f"not isfinite(t.start_date) or t.start_date > date '{LAST_START}'",
        failing="with a start from which no weeks can be counted",
    ),
    Rule(
        id="plans-metadata",
        table=v1.PLANS,
        title="Metadata that jsonb refuses",
        why="v2 keeps metadata as jsonb, which refuses the character 0, half of an emoji and endless numbers; a column "
        "of json takes them.",
        columns=("metadata",),
        fails=_no_jsonb,
        failing="with metadata that cannot become jsonb",
    ),
    Rule(
        id="plans-null-active",
        table=v1.PLANS,
        title="Plans neither active nor ended",
        why="v2's status is made from is_active; where that is NULL the plan becomes a draft.",
        guide=PLAN_FIELDS,
        columns=("is_active",),
        warns=lambda names: "t.is_active is null",
        warning="with no word in is_active: to be drafts",
    ),
    Rule(
        id="duplicate-plan-names",
        table=v1.PLANS,
        title="Plans of the same name",
        why="Users may name two plans alike, and v2 takes both. They are worth a look, never a reason to delete.",
        guide=DUPLICATE_NAMES,
        warns=lambda names: (
            "t.id in (select d.id from (select x.id, count(*) over (partition by x.user_id, x.name) as alike "
            f"from {names.plans} x where x.user_id is not null and x.name is not null) d where d.alike > 1)"
        ),
        warning="named like another plan of the same user: all are kept",
        alone=True,
    ),
)
