"""Deciding what becomes of everything that points at v1: it follows to v2, goes on through v1's shape, stays, or needs
a person. What can be tried is tried, on empty v2 tables, before anything is built."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.migration import function_text
from vagus_tui.migration.binding import foreign_bases, publication_columns, same_columns
from vagus_tui.migration.carried import Bound, read_bound
from vagus_tui.migration.trial import TRIAL, TRIAL_COMPAT, Trial, trial
from vagus_tui.migration.tuning import Places, fate_of
from vagus_tui.migration.unique import changed_columns
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.v1 import V1Shape

BY_ITS_OWNER = "; its owner can bind it to v1's columns out of v2"
"""What a policy's reason ends with that would follow if we were its owner."""

_TRIED = frozenset({Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.FUNCTION, Kind.TRIGGER})
_TOUCHES = re.compile(
    r"\s*begin\s+new\.updated_at\s*:?=\s*[^;]+;\s*return\s+new\s*;\s*end\s*;?\s*", re.IGNORECASE | re.DOTALL
)
_ROW_COLUMN = re.compile(r'\b(?:new|old)\.(?:"([^"]+)"|([a-z_][\w$]*))', re.IGNORECASE)


async def decide(
    connection: Connection, shape: V1Shape, found: Sequence[Dependent], *, repeat_exercises: bool = False
) -> tuple[Dependent, ...]:
    """Every dependent with its fate and the reason for it, in the order given. Changes nothing.

    Raises:
        RefusedError: trying needs a right that the migration needs too.
    """
    bound: tuple[Bound, ...] = ()
    if any(dependent.kind is Kind.SETTING for dependent in found):
        bound = await read_bound(connection, shape, repeat_exercises=repeat_exercises)
    judge = _Judge(shape, list(found), bound, repeat_exercises=repeat_exercises)
    if not any(dependent.kind in _TRIED for dependent in found):
        return await judge.all(None)
    async with trial(connection, shape) as attempts:
        return await judge.all(attempts)


class _Judge:
    """Decides one database's dependents."""

    def __init__(
        self, shape: V1Shape, found: list[Dependent], bound: tuple[Bound, ...], *, repeat_exercises: bool
    ) -> None:
        self.shape = shape
        self.found = found
        self.repeat = repeat_exercises
        self.places = Places(shape, bound, V2Ddl(shape.schema, shape), repeat_exercises)
        self._stuck: set[str] = set()
        self._moved: set[str] = set()

    async def all(self, attempts: Trial | None) -> tuple[Dependent, ...]:
        # Triggers come after functions, whose fate they share; the order given is kept.
        decided: dict[int, Dependent] = {}
        for late in (False, True):
            for number, dependent in enumerate(self.found):
                if (dependent.kind is Kind.TRIGGER) == late:
                    decided[number] = await self._one(dependent, attempts)
        return tuple(decided[number] for number in range(len(self.found)))

    async def _one(self, dependent: Dependent, attempts: Trial | None) -> Dependent:
        fate, reason = await self._fate(dependent, attempts)
        if dependent.kind in (Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.FUNCTION) and fate is Fate.PERSON:
            self._stuck.add(f"{dependent.schema}.{dependent.name}")
        return replace(dependent, fate=fate, reason=reason)

    async def _fate(self, dependent: Dependent, attempts: Trial | None) -> tuple[Fate, str]:
        if dependent.kind in (Kind.SETTING, Kind.STATISTICS):
            return fate_of(dependent, self.places)
        if not dependent.ours and dependent.kind not in (Kind.PUBLICATION, Kind.TRIGGER, Kind.RULE):
            why = f"it belongs to {dependent.owner}, whose role is not ours to use"
            if dependent.kind is Kind.POLICY and attempts is not None:
                if wrong := await attempts.policy(dependent, compat=True):
                    return Fate.PERSON, f"{why}, and it cannot be read on v2: {wrong}"
                return Fate.PERSON, f"{why}{BY_ITS_OWNER}"
            return Fate.PERSON, why
        if dependent.kind is Kind.FOREIGN_KEY:
            return self._foreign_key(dependent)
        if dependent.kind is Kind.REFERENCE:
            return self._reference(dependent)
        if dependent.kind is Kind.RULE:
            where = "it stays on the kept v1 table" if dependent.base else "it goes on writing to the kept v1 tables"
            return Fate.PERSON, f"a rule rewrites statements, and nobody but you knows what it should do to v2; {where}"
        if dependent.kind is Kind.PUBLICATION:
            return self._publication(dependent)
        if dependent.kind is Kind.DEFAULT:
            return Fate.STAYS, f"goes on drawing from {dependent.fact('sequence')}, which is kept with v1"
        if dependent.kind is Kind.ROW_TYPE:
            return Fate.STAYS, "keeps v1's row type, whose name changes with the kept table"
        assert attempts is not None
        if dependent.kind is Kind.POLICY:
            return await self._policy(dependent, attempts)
        if dependent.kind is Kind.FUNCTION:
            return await self._function(dependent, attempts)
        if dependent.kind is Kind.TRIGGER:
            return await self._trigger(dependent, attempts)
        return await self._relation(dependent, attempts)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _missing(self, uses: Sequence[str]) -> list[str]:
        """Columns that v2's table of that name has not, or has with another type or meaning."""
        missing = []
        for use in uses:
            base, _, column = use.partition(".")
            table = replace_name(self.shape, base)
            if column not in same_columns(table, base) and not self._widened(base, column):
                missing.append(use)
        return missing

    def _widened(self, base: str, column: str) -> bool:
        """Ids of type integer become bigint, which references do not mind."""
        return column == "id" and self.shape.tables[base].id_type == "integer"

    def _foreign_key(self, key: Dependent) -> tuple[Fate, str]:
        if missing := self._missing(key.uses):
            return Fate.PERSON, f"it refers to {', '.join(missing)}, which v2 has not like that"
        columns = [use.partition(".")[2] for use in key.uses]
        if columns == ["id"]:
            return Fate.FOLLOWS, "made again to v2 in the cut-over, its rows checked afterwards"
        if self.repeat and key.base == v1.EXERCISES and "id" not in columns:
            return Fate.PERSON, f"exercises are repeated in every week, so {', '.join(columns)} is not unique in v2"
        return Fate.FOLLOWS, f"made again to v2, which gets a unique index on {', '.join(columns)} for it"

    def _reference(self, key: Dependent) -> tuple[Fate, str]:
        if missing := self._missing(key.uses):
            return Fate.PERSON, f"it is about {', '.join(missing)}, which v2 has not like that"
        changed = changed_columns(self.shape, key.base) - {"created_by"}
        if respelt := sorted(use for use in key.uses if use.partition(".")[2] in changed and use.startswith(key.base)):
            return Fate.PERSON, f"the mapping may change {', '.join(respelt)}, which then refers to nothing"
        referenced = [use for use in key.uses if key.fact("inner") and use.startswith(f"{key.fact('target')}.")]
        if key.fact("inner") and not any(use.endswith(".id") for use in referenced):
            return Fate.PERSON, "it does not refer to an id"
        return Fate.FOLLOWS, "v2's table gets the same reference in the cut-over, its rows checked afterwards"

    # ── what is published ────────────────────────────────────────────────────────────────────────────────────────

    def _publication(self, publication: Dependent) -> tuple[Fate, str]:
        if not publication.base:
            also = ", the copy being built too" if publication.definition == "for all tables" else ""
            return Fate.FOLLOWS, f"it is {publication.definition}: v2 is published at once, v1 as *_v1 still{also}"
        if not publication.ours:
            return Fate.PERSON, f"it belongs to {publication.owner}, whose role is not ours to use"
        columns = publication_columns(self.shape, publication)
        if columns is None:
            return Fate.PERSON, "its filter or its columns need what v2 has not: nothing of the table is published"
        if left := set(publication.options) - set(columns):
            return Fate.FOLLOWS, f"carries the v2 table of that name, without {', '.join(sorted(left))}"
        return Fate.FOLLOWS, "carries the v2 table of that name instead"

    # ── what is read again ───────────────────────────────────────────────────────────────────────────────────────

    async def _relation(self, view: Dependent, attempts: Trial) -> tuple[Fate, str]:
        tables = view.all("table")
        matview = view.kind is Kind.MATERIALIZED_VIEW
        sources = view.all("materialized")
        stuck = [name for name in sources if name in self._stuck]
        if stuck:
            return Fate.PERSON, f"it reads {', '.join(stuck)}, which cannot follow"
        moved = [name for name in sources if name in self._moved]
        if view.fact("extension"):
            return Fate.PERSON, "it belongs to an extension"
        if not tables and not moved:
            then = "; filled again after the cut-over" if matview and view.fact("populated") else ""
            return Fate.FOLLOWS, f"reads v1 through other views, and follows with them{then}"
        if matview and moved:
            return Fate.PERSON, f"it reads another materialized view, {', '.join(moved)}, which is built anew"
        bases = foreign_bases(self.shape, tables, view.uses, view.definition)
        options = view_options(view, bases)
        if wrong := await attempts.view(view, bases, options):
            return Fate.PERSON, f"it cannot be read on v2: {wrong}"
        if matview:
            self._moved.add(f"{view.schema}.{view.name}")
            again = ", filled again after it" if view.fact("populated") else ""
            how = f"built beside v2 beforehand, swapped in the cut-over{again}; the old one is kept"
        else:
            how = "replaced in the cut-over"
        if not bases:
            needed = self._needed(view) if view.fact("inserted") else []
            lost = f"; nothing can be inserted through it, for v2 needs {', '.join(needed)} too" if needed else ""
            return Fate.FOLLOWS, f"{how}: v2 has every column it uses{lost}"
        lost = "; it can no longer be written through" if view.fact("written") else ""
        if self.repeat and v1.EXERCISES in bases:
            lost += "; it sees an exercise in every week in which it is repeated"
        if len(options) < len(view.options):
            lost += "; its check option goes with that"
        return Fate.TRANSLATED, f"{how}: it reads v1's columns out of v2{lost}"

    def _needed(self, view: Dependent) -> list[str]:
        """Columns that v2's table needs a value for in a new row, and that a view over one table does not show."""
        model = v2.MODEL[view.fact("table")]
        shown = {use.partition(".")[2] for use in view.uses}
        return [
            column.name
            for column in model.columns
            if "not null" in column.rest and "default" not in column.rest and column.name not in {"id", *shown}
        ]

    async def _policy(self, policy: Dependent, attempts: Trial) -> tuple[Fate, str]:
        text = " ".join(policy.all("using") + policy.all("check"))
        foreign = foreign_bases(self.shape, policy.all("table"), policy.uses, text)
        if not foreign and not await attempts.policy(policy, compat=False):
            return Fate.FOLLOWS, "bound to v2 in the cut-over, which has every column it uses"
        if wrong := await attempts.policy(policy, compat=True):
            return Fate.PERSON, f"it cannot be read on v2: {wrong}"
        return Fate.TRANSLATED, "bound in the cut-over to v1's columns out of v2, in schema workout_v1_compat"

    # ── what names tables in its text ────────────────────────────────────────────────────────────────────────────

    async def _function(self, function: Dependent, attempts: Trial) -> tuple[Fate, str]:
        if re.search(r"\breturns\s+event_trigger\b", function.definition, re.IGNORECASE):
            return Fate.PERSON, "it runs with the migration's own statements: see the check “event-triggers”"
        if function.fact("row_type"):
            return Fate.PERSON, "it takes or returns whole rows, and stays with the kept table or view"
        names = [table.name for table in self.shape.tables.values()]
        if function.fact("atomic"):
            compat = bool(foreign_bases(self.shape, function.all("table"), function.uses, function.definition))
            if compat and function_text.writes(function.definition, names):
                return Fate.PERSON, "it writes to v1's tables"
            if wrong := await attempts.function(function, function.definition, compat=compat):
                return Fate.PERSON, f"it cannot be read on v2: {wrong}"
            if compat:
                return Fate.TRANSLATED, "bound to v1's columns out of v2, in schema workout_v1_compat"
            return Fate.FOLLOWS, "bound to v2, which has every column it uses"
        text = plain = function_text.code(function.fact("source"))
        if re.search(r"\bexecute\b", plain, re.IGNORECASE):
            # What it puts together is in its text constants.
            text = function_text.words(function.fact("source"))
        if not function_text.mentions(text, names):
            return Fate.STAYS, "names v1's tables in comments or messages alone"
        if function.fact("language") not in ("sql", "plpgsql"):
            return Fate.PERSON, f"it is written in {function.fact('language')}"
        if function_text.writes(text, names):
            return Fate.PERSON, "it writes to v1's tables, or locks their rows; by name it would find v2"
        if not function_text.mentions(plain, names):
            return Fate.PERSON, "it names v1's tables in SQL that it puts together itself"
        if function.fact("prokind") == "p" and re.search(r"\b(commit|rollback)\b", text, re.IGNORECASE):
            return Fate.PERSON, "it commits by itself, so it can have no search path of its own"
        definition = function_text.rebound(function, self.shape, TRIAL_COMPAT)
        if wrong := await attempts.function(function, definition, compat=True):
            return Fate.PERSON, f"it cannot be read on v2: {wrong}"
        return Fate.TRANSLATED, "reads v1's columns out of v2: schema workout_v1_compat comes first for it"

    async def _trigger(self, trigger: Dependent, attempts: Trial) -> tuple[Fate, str]:
        source, name = trigger.fact("source"), trigger.fact("function")
        model = v2.MODEL[trigger.base]
        if model.touch and (_TOUCHES.fullmatch(source) or "moddatetime" in name):
            return Fate.STAYS, "stays on the kept v1 table; v2 has its own updated_at trigger"
        if name in self._stuck:
            return Fate.PERSON, f"its function {name} needs a person; v2 is without it"
        shape = replace_name(self.shape, trigger.base)
        there = same_columns(shape, trigger.base)
        used = {quoted or plain.lower() for quoted, plain in _ROW_COLUMN.findall(f"{source}\n{trigger.definition}")}
        if missing := sorted((used | set(trigger.all("column"))) - there):
            return Fate.PERSON, f"it is about {', '.join(missing)}, which v2's {trigger.base} has not; v2 is without it"
        if " REFERENCING " in trigger.definition:
            return Fate.PERSON, "it looks at whole sets of v1's rows; v2 is without it"
        if trigger.fact("language") not in ("plpgsql", "c", "internal"):
            return Fate.PERSON, f"its function is written in {trigger.fact('language')}; v2 is without it"
        if wrong := await attempts.statement(function_text.trigger_on(trigger, qualified(TRIAL, trigger.base))):
            return Fate.PERSON, f"it cannot be made on v2: {wrong}"
        return Fate.FOLLOWS, "v2's table gets it too in the cut-over"


def replace_name(shape: V1Shape, base: str) -> V1Shape:
    """The shape with one table under its plain name: what v2 has of it does not depend on what v1 is called now."""
    return replace(shape, tables={**shape.tables, base: replace(shape.tables[base], name=base)})


def view_options(view: Dependent, bases: tuple[str, ...]) -> tuple[str, ...]:
    """The options a view keeps: a check option is for views that rows can be written through."""
    if not bases:
        return view.options
    return tuple(option for option in view.options if not option.startswith("check_option="))
