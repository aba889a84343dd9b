"""The mapping's rules: what a weekday, a label, a goal or an id of v2 is made of, as SQL expressions over v1's rows.

The session's time zone must be UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import V1Shape

WHITESPACE = "".join(map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)))) + (
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What is trimmed from labels: every blank that Unicode knows, since people paste them."""

COPIES_PER_EXERCISE = 64
"""Ids set aside for the copies of an exercise with a numbered id: more than a plan has weeks."""

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

DAY_BY_MUSCLE_GROUP: Mapping[str, tuple[str, ...]] = {
    "Push Day": ("chest", "pectorals", "shoulders", "delts", "triceps"),
    "Pull Day": ("back", "lats", "traps", "biceps", "forearms"),
    "Leg Day": ("quads", "hamstrings", "glutes", "calves", "legs"),
    "Full Body": ("core", "abs", "full_body", "cardio"),
}
"""Which day an exercise goes on by its muscle group when it has neither weekday nor label."""

OTHER_GROUPS_DAY = "Upper Body"
NO_GROUP_DAY = "Full Body"

DEFAULT_WEEKS = 4
DEFAULT_REST_SECONDS = 90

TEXT = 'text collate "default"'
"""What texts become: v1's columns may have collations that ignore case or know no regular expressions."""

QUIET_PREFERENCES = (
    '{"workout_reminders_enabled": false, "workout_reminder_time": "18:00", '
    '"pr_celebration_enabled": false, "weekly_summary_enabled": false}'
)
"""What a user without preferences gets: nobody is opted in to anything."""


@dataclass(frozen=True, slots=True)
class MappingOptions:
    """What the operator can choose about the mapping."""

    repeat_exercises: bool = False
    day_by_muscle_group: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DAY_BY_MUSCLE_GROUP))


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The rules for one database as found."""

    shape: V1Shape
    options: MappingOptions = field(default_factory=MappingOptions)

    def source(self, base: str) -> str:
        """The quoted name of a v1 table as it is now."""
        return qualified(self.shape.schema, self.shape.tables[base].name)

    def column(self, base: str, alias: str, column: str, missing: str = "null") -> str:
        return f"{alias}.{quote(column)}" if self.shape.tables[base].has(column) else missing

    @staticmethod
    def trimmed(expression: str) -> str:
        """An expression for a text without blanks around it; NULL when nothing is left."""
        return f"nullif(btrim({expression}::{TEXT},{literal(WHITESPACE)}), '')"

    def goal(self, alias: str = "p") -> str:
        """The plan's goal when it fits v2's list, else general_fitness."""
        if not self.shape.plans.has("goal"):
            return "'general_fitness'"
        fitted = f"regexp_replace(lower({self.trimmed(f'{alias}.goal')}), '\\s+', '_', 'g')"
        # A CASE over one value works that value out once.
        cases = " ".join(f"when '{goal}' then '{goal}'" for goal in v2.GOALS)
        return f"case {fitted} {cases} else 'general_fitness' end"

    def weekday(self, alias: str = "e") -> str | None:
        """The weekday's name from day_of_week (0 is Sunday, or a name); NULL when it is neither."""
        if not self.shape.exercises.has("day_of_week"):
            return None
        column = f"{alias}.day_of_week"
        if self.shape.exercises.columns["day_of_week"].plain.startswith(("numeric", "real", "double")):
            # A number with decimals: 3.0 is 3.
            column = f"trim_scale({column}::numeric)"
        value = f"lower({self.trimmed(column)})"
        cases = " ".join(
            f"when '{number}' then '{name}' when '{name.lower()}' then '{name}' when '{name[:3].lower()}' then '{name}'"
            for number, name in enumerate(WEEKDAYS)
        )
        return f"case {value} {cases} end"

    def day_name(self, alias: str = "e") -> str:
        """The day an exercise belongs on, spelled as its own row has it: weekday, label, or by muscle group."""
        choices = []
        if (weekday := self.weekday(alias)) is not None:
            choices.append(weekday)
        if self.shape.exercises.has("day_label"):
            choices.append(self.trimmed(f"{alias}.day_label"))
        if self.shape.exercises.has("muscle_group"):
            group = f"lower({self.trimmed(f'{alias}.muscle_group')})"
            cases = " ".join(
                f"when {literal(name).strip()} then {literal(day)}"
                for day, groups in self.options.day_by_muscle_group.items()
                for name in groups
            )
            choices.append(
                f"case coalesce({group}, '') when '' then '{NO_GROUP_DAY}' {cases} else '{OTHER_GROUPS_DAY}' end"
            )
        else:
            choices.append(f"'{NO_GROUP_DAY}'")
        return f"coalesce({', '.join(choices)})"

    @staticmethod
    def week_id(plan: str, week: str) -> str:
        """The id of a generated week, from plan id and week number."""
        return f"md5({MappingRules.week_text(plan, week)})::uuid"

    @staticmethod
    def week_text(plan: str, week: str) -> str:
        """What the ids of a week and of its days are made of."""
        return f"{plan}::text || ':' || {week}::text"

    @staticmethod
    def day_id(plan: str, week: str, key: str) -> str:
        """The id of a generated day, from plan id, week number and day key (the case-folded name)."""
        return f"md5({MappingRules.week_text(plan, week)} || ':' || {key})::uuid"

    def copy_id(self, exercise: str, week: str) -> str:
        """The id of an exercise repeated in a later week; bigint ids count downwards from zero, where v1 has none."""
        if v2.id_types(self.shape)["exercise_id"] == "uuid":
            return f"md5({exercise}::text || ':' || {week}::text)::uuid"
        return f"-({exercise}::bigint * {COPIES_PER_EXERCISE} + {week})"
