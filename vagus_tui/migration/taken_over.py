"""What may change about v1 after the plan was made without asking for another one: settings, comments, marks.

Nothing of it changes what v2's tables hold. The cut-over takes it over as it is by then; what somebody took away from
v1 stays with v2, and is named.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.events import Phase
from vagus_tui.migration import tuning
from vagus_tui.migration.steps import Plan
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.tuning import fate_of, settings_of
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified

_MADE_BEFOREHAND = (Kind.MATERIALIZED_VIEW, Kind.STATISTICS)
"""What is built beside v2 with all that hangs on it."""

_SET_BEFOREHAND = (
    tuning.TARGETS,
    tuning.DISTINCT,
    tuning.STORAGE,
    tuning.COMPRESSION,
    tuning.COMMENTS,
    tuning.PARAMETERS,
)

_FILLED = ("populated", "keyed")


def without(survey: Survey) -> Survey:
    """A survey without all that: what decides whether an interrupted run can go on as it was planned."""
    return replace(
        survey,
        whole_rows=frozenset(),
        dependents=tuple(
            replace(one, facts=_without(one, "notes"))
            if one.kind in _MADE_BEFOREHAND
            else replace(one, validated=True, facts=_without(one, "comment"))
            for one in survey.dependents
            if one.kind is not Kind.SETTING
        ),
    )


def taken_over(planned: Survey, now: Survey, ddl: V2Ddl) -> Survey:
    """The survey that a plan was made from, with settings, comments and marks as another survey found them.

    Args:
        now: of a v1 that differs in nothing else.
    """
    fresh = {key(one): one for one in now.dependents}
    places = planned.places(ddl)
    dependents = [_as_now(one, fresh.get(key(one), one)) for one in planned.dependents if one.kind is not Kind.SETTING]
    for one in now.dependents:
        if one.kind is Kind.SETTING:
            fate, reason = fate_of(one, places)
            dependents.append(replace(one, fate=fate, reason=reason))
    return replace(planned, dependents=tuple(dependents), whole_rows=now.whole_rows, otherwise=now.otherwise)


def key(one: Dependent) -> tuple[str, ...]:
    """What tells a dependent from others: argument types do for functions; what a view reads is no part of its name."""
    return (one.kind, one.schema, one.name, one.on, one.base, one.detail if one.fact("prokind") else "")


def added(new: Plan, old: Plan, steps: Container[str] | None = None) -> list[str]:
    """Statements about what stands in staging that a plan has and another one has not.

    Args:
        steps: the ids of the steps that are looked at; None for all.
    """
    had = {step.id: set(step.statements) for step in old.steps}
    return [
        statement
        for step in new.steps
        if step.phase in (Phase.PREPARE, Phase.BUILD) and (steps is None or step.id in steps)
        for statement in step.statements
        if statement not in had.get(step.id, set())
    ]


def told(planned: Survey, now: Survey) -> tuple[list[str], list[str]]:
    """What is taken over, and what stays on v2 though v1 has it no more; a few words each."""
    taken, left = _settings(planned, now)
    fresh = {key(one): one for one in now.dependents}
    for before in planned.dependents:
        after = fresh.get(key(before))
        if after is None or before.kind is Kind.SETTING:
            continue
        name = f"{before.kind.value} {before.title}"
        if before.validated != after.validated:
            taken.append(f"{name}: whether its rows are checked")
        for word in ("comment", "index", "statistics"):
            if set(after.all(word)) - set(before.all(word)) or (
                word != "index" and before.all(word) != after.all(word)
            ):
                taken.append(f"{name}: {word}")
        built_anew = before.kind is Kind.MATERIALIZED_VIEW and before.all("table")
        if built_anew and before.all("notes") != after.all("notes") and before.all("index") == after.all("index"):
            taken.append(f"{name}: comments and settings of its columns and indexes")
        if set(before.all("index")) - set(after.all("index")):
            left.append(f"{name}: an index")
        if before.fact("populated") != after.fact("populated"):
            filled = "" if after.fact("populated") else " with no data"
            left.append(
                f"{name}: whether it is filled (refresh materialized view {qualified(before.schema, before.name)}"
                f"{filled})"
            )
    taken += [f"replica identity full on {base}" for base in sorted(now.whole_rows - planned.whole_rows)]
    left += [f"replica identity full on {base}" for base in sorted(planned.whole_rows - now.whole_rows)]
    return taken, left


def _settings(planned: Survey, now: Survey) -> tuple[list[str], list[str]]:
    before, after = (_items(survey.dependents) for survey in (planned, now))
    taken: list[str] = []
    left: list[str] = []
    for item in sorted({*before, *after}):
        if before.get(item) == after.get(item):
            continue
        name, on, about = item
        words = f"{name} on {on}" + (f" ({about})" if about else "")
        # The others are set in the cut-over alone.
        (left if item not in after and name in _SET_BEFOREHAND else taken).append(words)
    return taken, left


def _items(dependents: Iterable[Dependent]) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in dependents:
        if one.kind is Kind.SETTING:
            for setting in settings_of(one):
                found.setdefault((one.name, one.on, setting.item), []).append(setting.value)
    return found


def _without(one: Dependent, name: str) -> tuple[tuple[str, str], ...]:
    return tuple(fact for fact in one.facts if fact[0] != name)


def _as_now(one: Dependent, fresh: Dependent) -> Dependent:
    facts = [fact for fact in fresh.facts if fact[0] not in _FILLED]
    facts += [fact for fact in one.facts if fact[0] in _FILLED]
    return replace(one, validated=fresh.validated, facts=tuple(facts))
