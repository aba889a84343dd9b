"""Why an exercise is on its day: which rule of the day key decided, and with which value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.schema.identifiers import literal
from vagus_tui.schema.mapping import WorkoutMapping


class Rule(StrEnum):
    """The rules of the day key; the first that applies decides."""

    WEEKDAY = "day_of_week"
    LABEL = "day_label"
    GROUP = "muscle group"
    OTHER_GROUP = "another muscle group"
    NO_GROUP = "nothing"


@dataclass(frozen=True, slots=True)
class Reason:
    """Which rule decided for one exercise.

    Attributes:
        rule: the deciding rule.
        value: what stands in v1: the weekday, the label, the muscle group.
        day: the day's name that the rule gives.
        label: the day as it is written in v2, where another spelling of the same label came first.
    """

    rule: Rule
    value: str
    day: str
    label: str

    @property
    def short(self) -> str:
        """The rule in a word or two, for a column."""
        return {
            Rule.WEEKDAY: "weekday",
            Rule.LABEL: "label",
            Rule.GROUP: "group",
            Rule.OTHER_GROUP: "other group",
            Rule.NO_GROUP: "no group",
        }[self.rule]

    @property
    def text(self) -> str:
        """The whole reason in a sentence."""
        value, day = self.value, self.day
        sentence = {
            Rule.WEEKDAY: f"day_of_week is “{value}”, so it is on {day}.",
            Rule.LABEL: f"It has no weekday; its day_label is “{value}”.",
            Rule.GROUP: f"No weekday, no label; the muscle group “{value}” belongs to {day}.",
            Rule.OTHER_GROUP: f"No weekday, no label; the muscle group “{value}” is in no list, so it is on {day}.",
            Rule.NO_GROUP: f"No weekday, no label, no muscle group, so it is on {day}.",
        }[self.rule]
        if self.label and self.label != day:
            sentence += f" The plan spells that day “{self.label}” first."
        return sentence


def rule_sql(mapping: WorkoutMapping, alias: str = "e") -> tuple[str, str]:
    """SQL for the deciding rule and for the value that decided, of one v1 exercise.

    It goes through the same columns in the same order as the mapping's own day name.
    """
    columns = mapping.shape.exercises
    rules: list[tuple[str, Rule, str]] = []
    if (weekday := mapping.weekday(alias)) is not None:
        rules.append((f"({weekday}) is not null", Rule.WEEKDAY, f"{alias}.day_of_week::text"))
    if columns.has("day_label"):
        rules.append((f"{mapping.trimmed(f'{alias}.day_label')} is not null", Rule.LABEL, f"{alias}.day_label::text"))
    if columns.has("muscle_group"):
        group = mapping.trimmed(f"{alias}.muscle_group")
        known = [name for names in mapping.options.day_by_muscle_group.values() for name in names]
        listed = ", ".join(literal(name).strip() for name in known)
        value = f"{alias}.muscle_group::text"
        if listed:
            rules.append((f"lower({group}) in ({listed})", Rule.GROUP, value))
        rules.append((f"{group} is not null", Rule.OTHER_GROUP, value))
    whens = [(condition, f"'{rule.value}'", value) for condition, rule, value in rules]

    def case(position: int, otherwise: str) -> str:
        if not whens:
            return otherwise
        parts = " ".join(f"when {when[0]} then {when[position]}" for when in whens)
        return f"case {parts} else {otherwise} end"

    return case(1, f"'{Rule.NO_GROUP.value}'"), case(2, "''")
