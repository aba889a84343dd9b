"""What is otherwise about one kept v1 table than the cut-over left it, and the statements that put it back.

Both sides are in the catalog's own words (see `database/definitions.py`), so what is missing can be made again to
the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from vagus_tui.backup.manifest import TableEntry
from vagus_tui.database.settings_sql import INDEX_TARGETS, setting_sql
from vagus_tui.migration.binding import in_path
from vagus_tui.migration.kept_v1 import SETTING, SETTINGS_NOTED
from vagus_tui.rollback.blueprint import OURS, Blueprint
from vagus_tui.rollback.findings import Finding, Mend, Prevents, Stays
from vagus_tui.rollback.names_back import own_not_nulls
from vagus_tui.rollback.printed import granted_to, rights_in
from vagus_tui.schema.identifiers import literal, qualified, quote

Defined = Mapping[str, Mapping[str, str]]


_COLUMN = re.compile(
    r"(?P<type>.*?)(?P<needed> not null)?( (?P<how>default|generated) (?P<expression>.*?))?"
    r"( identity (?P<identity>always|by default))?\Z",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One kept table, as it was and as it is.

    Args:
        original: the name that it had before the cut-over, and will have again.
        ours: its owner is a role whose rights we have.
        same_words: the server's version is the one that printed `was`: every word counts.
        lost: tables that it referred to, as the server prints their names, and that are gone or called otherwise.
    """

    schema: str
    name: str
    original: str
    was: Defined
    now: Defined
    ours: bool
    same_words: bool
    lost: frozenset[str] = frozenset()

    @property
    def relation(self) -> str:
        """Its quoted name."""
        return qualified(self.schema, self.name)

    def findings(self) -> Iterator[Finding]:
        """Everything that is otherwise but its references, what others rest on first."""
        owner = self.was["owner"]["owner"]
        if not self.ours:
            yield Prevents(
                f"{self.name} belongs to {self.now['owner']['owner']} now, which may not be changed by us",
                f"alter table {self.relation} owner to {quote(owner)}",
            )
            return
        if self.now["owner"]["owner"] != owner:
            yield self._mend(f"owner {owner}", "", (f"alter table {self.relation} owner to {quote(owner)}",))
        yield from self._sequences()
        yield from self._columns()
        yield from self._constraints()
        yield from self._indexes()
        yield from self._identity()
        yield from self._statistics()
        yield from self._triggers()
        yield from self._row_security()
        yield from self._policies()
        yield from self._rights()
        yield from self._column_rights()

    def _apart(self, kind: str) -> Iterator[tuple[str, str, str]]:
        """What of one kind is otherwise: its name, what it was, and what it is; "" where it is not there."""
        was, now = self.was.get(kind, {}), self.now.get(kind, {})
        for name in sorted({*was, *now}):
            before, after = was.get(name, ""), now.get(name, "")
            if before != after and (self.same_words or not (before and after)):
                yield name, before, after

    def _mend(
        self, what: str, name: str, statements: tuple[str, ...], *, then: tuple[str, ...] = (), column: str = ""
    ) -> Mend:
        """Put something of the table back: an owner, an index with its name, what hangs on one of its columns."""
        named = f"{what} {name}" if name else what
        return Mend(self.relation, name, f"{named} of {self.name}{f'.{column}' if column else ''}", statements, then)

    def _again(
        self,
        what: str,
        kind: str,
        drop: Callable[[str], str],
        made: Callable[[Blueprint], list[str]],
        *,
        but: Container[str] = (),
    ) -> Iterator[Finding]:
        """Of a kind that is put back by making it again: what is missing or otherwise, and what is new.

        Args:
            drop: the statement that removes one, by its name, where another one is there.
            made: what makes those of a blueprint.
            but: names of those that are somebody else's matter.
        """
        for name, before, after in self._apart(kind):
            if name in but:
                continue
            if not before:
                yield Stays(f"{what} {name} of {self.name} is new")
                continue
            gone = (drop(name),) if after else ()
            yield self._mend(what, name, (*gone, *made(self._only(**{kind: {name: before}}))))

    def _only(self, **kinds: Mapping[str, str]) -> Blueprint:
        """The blueprint of nothing but a few things of this table."""
        entry = TableEntry(
            schema_name=self.schema, name=self.name, workout=True, rows=0, digest="", bytes=0, columns=()
        )
        return Blueprint("", entry, kinds, {}, self.schema)

    # ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _sequences(self) -> Iterator[Finding]:
        was, now = self.was.get("sequences", {}), self.now.get("sequences", {})
        writers = [role for role, rights in self.was.get("grants", {}).items() if "INSERT" in rights]
        for name in sorted(was.keys() - now.keys()):
            column, _, last = was[name].removeprefix("of ").rpartition(" last ")
            kind = self.was["columns"].get(column, "").partition(" ")[0]
            sequence = qualified(self.schema, name)
            highest = f"(select max({quote(column)}) from {self.relation})"
            known = last if last.isdigit() else "1"
            yield self._mend(
                "sequence",
                name,
                (
                    f"create sequence {sequence} as {kind if kind in ('smallint', 'integer') else 'bigint'}",
                    f"alter sequence {sequence} owned by {self.relation}.{quote(column)}",
                    f"select setval({literal(sequence).strip()}::regclass, greatest({highest}, {known}))",
                    *(f"grant usage, select on sequence {sequence} to {granted_to(role)}" for role in writers),
                ),
            )

    def _columns(self) -> Iterator[Finding]:
        for name, before, after in self._apart("columns"):
            column, alter = quote(name), f"alter table {self.relation} alter column {quote(name)}"
            was, now = _COLUMN.match(before), _COLUMN.match(after)
            assert was is not None and now is not None
            if not after:
                empty = before.replace(" not null", "", 1) if was["how"] is None else before
                yield Prevents(
                    f"column {name} of {self.name} is gone, and its values with it unless it was renamed",
                    f"rename it back, or give it back empty (alter table {self.relation} add column {column} {empty})",
                )
            elif not before:
                yield self._new_column(name, now)
            elif was["type"] != now["type"]:
                kind = was["type"]
                yield Prevents(
                    f"column {name} of {self.name} is {now['type']} now, was {kind}",
                    f"{alter} type {kind} using {column}::{kind}",
                )
            elif (was["identity"], was["how"] == "generated") != (now["identity"], now["how"] == "generated"):
                yield Prevents(f"column {name} of {self.name} is “{after}” now", f"make it “{before}” again")
            else:
                if was["needed"] != now["needed"]:
                    how = ("set", "drop")[was["needed"] is None]
                    named = own_not_nulls(self.relation, self.name, self.original)
                    yield self._mend("NOT NULL", "", (f"{alter} {how} not null", named), column=name)
                if was["expression"] != now["expression"]:
                    default = f"set default {was['expression']}" if was["how"] else "drop default"
                    yield self._mend("default", "", (f"{alter} {default}",), column=name)

    def _new_column(self, name: str, now: re.Match[str]) -> Finding:
        if now["needed"] and not now["how"] and not now["identity"]:
            return Prevents(
                f"column {name} of {self.name} is new and must not be empty: rows that come back have nothing for it",
                f"alter table {self.relation} alter column {quote(name)} drop not null",
            )
        return Stays(f"column {name} of {self.name} is new")

    # ── constraints and indexes ──────────────────────────────────────────────────────────────────────────────────

    def _dropped(self, name: str, there: str) -> tuple[str, ...]:
        return (f"alter table {self.relation} drop constraint {quote(name)}",) if there else ()

    def _constraints(self) -> Iterator[Finding]:
        for name, before, after in self._apart("keys"):
            if not before:
                yield Stays(f"constraint {name} of {self.name} is new")
            elif not before.startswith("FOREIGN KEY"):
                index = self.was.get("indexes", {}).get(name)
                made = self._only(keys={name: before}, indexes={name: index} if index else {}).keys()
                yield self._mend("constraint", name, (*self._dropped(name, after), *made))

    def references(self) -> Iterator[Finding]:
        """Its references that are otherwise: they rest on keys of other tables, so these come first."""
        for name, before, after in self._apart("keys"):
            if not self.ours or not before.startswith("FOREIGN KEY"):
                continue
            if (target := Blueprint.target(before)) in self.lost:
                now = f"leads to {Blueprint.target(after)}" if after else "is gone"
                yield Stays(f"reference {name} of {self.name} {now}, and {target} is no table any more")
            else:
                body = before.removesuffix(" NOT VALID")
                validate = f"alter table {self.relation} validate constraint {quote(name)}"
                yield self._mend(
                    "reference",
                    name,
                    (
                        *self._dropped(name, after),
                        f"alter table {self.relation} add constraint {quote(name)} {body} not valid",
                    ),
                    then=(validate,) if body == before else (),
                )

    def _indexes(self) -> Iterator[Finding]:
        keys = {**self.was.get("keys", {}), **self.now.get("keys", {})}
        yield from self._again(
            "index", "indexes", lambda name: f"drop index {qualified(self.schema, name)}", Blueprint.keys, but=keys
        )

    def _identity(self) -> Iterator[Finding]:
        for _, before, _ in self._apart("replica identity"):
            words = {"d": "default", "f": "full", "n": "nothing"}
            # Of an index, making that again has said it.
            if before in words:
                yield self._mend(
                    "replica identity",
                    "",
                    (f"alter table {self.relation} replica identity {words[before]}",),
                )

    def _statistics(self) -> Iterator[Finding]:
        for name, before, after in self._apart("statistics"):
            if before and not after:
                made = [f"create statistics {name} {before} from {self.relation}"]
                if target := self.was.get("statistics targets", {}).get(name):
                    made.append(f"alter statistics {name} set statistics {target}")
                yield self._mend("statistics", name.rpartition(".")[2].strip('"'), tuple(made))

    # ── triggers, policies, rights ───────────────────────────────────────────────────────────────────────────────

    def _triggers(self) -> Iterator[Finding]:
        yield from self._again(
            "trigger",
            "triggers",
            lambda name: f"drop trigger {quote(name)} on {self.relation}",
            Blueprint.triggers,
            but=OURS,
        )

    def _row_security(self) -> Iterator[Finding]:
        for _, before, _ in self._apart("row security"):
            on = "enable" if before.startswith("on") else "disable"
            forced = "force" if before.endswith("forced") else "no force"
            table = f"alter table {self.relation}"
            yield self._mend(
                "row level security",
                "",
                (f"{table} {on} row level security", f"{table} {forced} row level security"),
            )

    def _policies(self) -> Iterator[Finding]:
        yield from self._again(
            "policy", "policies", lambda name: f"drop policy {quote(name)} on {self.relation}", Blueprint.policies
        )

    def _rights(self) -> Iterator[Finding]:
        owner, owner_now = self.was["owner"]["owner"], self.now["owner"]["owner"]
        for role, before, after in self._apart("grants"):
            # With the owner's name its rights change, and so they come back; whoever it was meanwhile loses its own.
            if owner != owner_now and role in (owner, owner_now):
                continue
            lost, more = _difference(before, after)
            if lost:
                yield self._granted(role, ", ".join(f"{right}{'*' if option else ''}" for right, option in lost))
            if more:
                listed = ", ".join(right for right, _ in more)
                yield Stays(f"{role} may {listed} on {self.name}, which is new")
        rights = self.was.get("grants", {}).get(owner_now)
        if owner != owner_now and rights:
            yield self._granted(owner_now, rights)

    def _granted(self, role: str, rights: str) -> Mend:
        return self._mend(f"rights of {role}", "", tuple(self._only(grants={role: rights}).rights([])))

    def _column_rights(self) -> Iterator[Finding]:
        for name, before, after in self._apart("column grants"):
            column, _, role = name.rpartition(" to ")
            lost, more = _difference(before, after)
            if lost:
                yield self._mend(
                    f"rights of {role}",
                    "",
                    tuple(
                        f"grant {right} ({quote(column)}) on table {self.relation} to {granted_to(role)}{option}"
                        for right, option in lost
                    ),
                    column=column,
                )
            if more:
                listed = ", ".join(right for right, _ in more)
                yield Stays(f"{role} may {listed} {self.name}.{column}, which is new")

    # ── settings and words ───────────────────────────────────────────────────────────────────────────────────────

    def _settings(self) -> Iterator[tuple[str, str, str, str]]:
        """Every setting that was or is there: its kind, what it is about, what it was, and what it is."""
        for kind in sorted({*self.was, *self.now} if SETTINGS_NOTED in self.was else ()):
            if kind.startswith(SETTING):
                was, now = self.was.get(kind, {}), self.now.get(kind, {})
                for item in sorted({*was, *now}):
                    yield kind.removeprefix(SETTING), item, was.get(item, ""), now.get(item, "")

    def _set(self, kind: str, item: str, value: str) -> list[str]:
        """The statements that set it; names are looked up in the table's own schema."""
        about = item.rpartition(" ")[0] if kind == INDEX_TARGETS else item
        return in_path(f"{quote(self.schema)}, pg_temp", setting_sql(kind, self.name, about, value))

    def settings(self, remade: Container[str]) -> Iterator[Finding]:
        """Settings and comments that are otherwise, but for those of what is made again with them."""
        for kind, item, before, after in self._settings():
            about = item.rpartition(" ")[0] if kind == INDEX_TARGETS else item
            if not self.ours or before == after or (kind in _GO_WITH and about in remade):
                continue
            if before:
                named = f"{_SINGULAR.get(kind, kind)}{f' {item}' if item else ''}"
                yield self._mend(named, "", tuple(self._set(kind, item, before)))
            else:
                told = f" ({after})" if kind == "storage parameters" else ""
                yield Stays(f"{_SINGULAR.get(kind, kind)}{f' {item}' if item else ''}{told} of {self.name} is new")

    def with_its_words(self, mend: Mend) -> Mend:
        """A mend with the settings and comments that what it makes again had: they go when it is dropped."""
        again = [
            statement
            for kind, item, before, _ in self._settings()
            if kind in _GO_WITH
            and before
            and mend.name
            and (item.rpartition(" ")[0] if kind == INDEX_TARGETS else item) == mend.name
            for statement in self._set(kind, item, before)
        ]
        return replace(mend, statements=(*mend.statements, *again))


_GO_WITH = (
    "comments on indexes",
    "comments on constraints",
    "comments on references",
    "comments on triggers",
    "comments on policies",
    INDEX_TARGETS,
)
"""What is gone with the index, constraint, trigger or policy that it is about."""

_SINGULAR = {
    "statistics targets": "statistics target on",
    "numbers of distinct values": "number of distinct values on",
    "storage of columns": "storage of column",
    "compression of columns": "compression of column",
    "comments on columns": "comment on column",
    "storage parameters": "storage parameter",
    INDEX_TARGETS: "statistics target on index expression",
    "comments on indexes": "comment on index",
    "comments on constraints": "comment on constraint",
    "comments on references": "comment on reference",
    "comments on triggers": "comment on trigger",
    "comments on policies": "comment on policy",
}


def _difference(before: str, after: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The rights that were lost, and those that were added."""
    was, now = (dict(rights_in(text)) if text else {} for text in (before, after))
    lost = [(right, option) for right, option in was.items() if now.get(right) not in (option, " with grant option")]
    return lost, [(right, option) for right, option in now.items() if right not in was]
