"""What else in the database points at v1's tables, and would silently stay on them when they are renamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of things that can point at a table, in the order in which people would look for them."""

    FOREIGN_KEY = "foreign key"
    REFERENCE = "reference of v1's own"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    RULE = "rule"
    POLICY = "policy"
    TRIGGER = "trigger"
    FUNCTION = "function"
    PUBLICATION = "publication"
    DEFAULT = "column default"
    ROW_TYPE = "column of a v1 row type"
    SETTING = "setting"
    STATISTICS = "extended statistics"


_FORMER_KINDS = {"reference of a carried-over column": Kind.REFERENCE.value}
"""What records of older versions call some kinds."""


class Fate(StrEnum):
    """What becomes of a dependent in the cut-over."""

    UNDECIDED = "undecided"
    FOLLOWS = "follows"
    """It is bound to v2 as it is."""
    TRANSLATED = "translated"
    """It goes on reading v1's columns, out of v2."""
    STAYS = "stays"
    """It belongs to the kept v1 tables, and that is right."""
    PERSON = "needs a person"
    """Nobody but its owner can say what it means on v2: it stays with the kept v1 tables unless somebody acts."""


@dataclass(frozen=True, slots=True)
class Dependent:
    """One thing that points at a v1 table.

    Args:
        schema, name: what it is; for foreign keys, rules, policies and triggers, `on` is the relation that carries it.
        base: the v1 table it points at, by its v1 name ("" for several).
        definition: the SQL text that makes it, with v1's names unqualified where it is a query.
        on: the relation that carries it, for what is no relation itself.
        detail: the v1 tables it reads, for views; the argument types, for functions.
        validated: for foreign keys, whether every row was checked.
        options: for views, their storage options, such as security_invoker=true; for publications, the columns
            published, none for all. A publication's `definition` is its row filter.
        uses: v1's columns it uses, as `table.column` with v1 names, where the catalog knows.
        facts: further things that its kind needs, by name; a name may come several times.
        owner: whose it is; `ours` when we may change it.
        fate, reason: what becomes of it, and why or how, in a sentence.
    """

    kind: Kind
    schema: str
    name: str
    base: str
    definition: str
    on: str = ""
    detail: str = ""
    validated: bool = True
    options: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    ours: bool = True
    fate: Fate = Fate.UNDECIDED
    reason: str = ""

    def all(self, name: str) -> tuple[str, ...]:
        """Every fact of a name."""
        return tuple(value for key, value in self.facts if key == name)

    def fact(self, name: str) -> str:
        """The one fact of a name, or ""."""
        return next(iter(self.all(name)), "")

    @property
    def title(self) -> str:
        """Its name as people write it, with the relation that carries it."""
        place = "" if self.schema in ("", "public") else f"{self.schema}."
        if self.kind is Kind.FUNCTION:
            return f"{place}{self.name}{self.detail}"
        return f"{self.name} on {place}{self.on}" if self.on else f"{place}{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Dependent:
        """What `to_dict` wrote. Records of older versions lack the newer fields: those follow as they did then."""
        values = dict(data)
        for name in ("options", "uses"):
            values[name] = tuple(values.get(name, ()))
        values["facts"] = tuple((str(key), str(value)) for key, value in values.get("facts", ()))
        kind = Kind(_FORMER_KINDS.get(values["kind"], values["kind"]))
        return cls(**{**values, "kind": kind, "fate": Fate(values.get("fate", Fate.UNDECIDED))})
