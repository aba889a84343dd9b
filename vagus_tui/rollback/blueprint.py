"""A v1 table made again from a backup's inventory: the statements for everything that hangs on it.

The inventory holds the catalog's own words, with every name qualified (see `backup/inventory.py`), so the table is
made under the name it had there, in a schema of our own, and moved into place at the end. `pg_restore -t` would bring
neither its keys nor its policies (guide, "Option A: Restore from Backup").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vagus_tui.backup.manifest import DamagedBackupError, Manifest, TableEntry
from vagus_tui.migration.capture import CAPTURE_TRIGGER
from vagus_tui.migration.maintenance import FENCE_TRIGGER
from vagus_tui.rollback.printed import after_head, granted_to, printed, rights_in, spelled, split_at
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import Column, V1Shape, recognise

OURS = (CAPTURE_TRIGGER, FENCE_TRIGGER, f"{CAPTURE_TRIGGER}_truncate")
"""Triggers that a migration puts on v1's tables: no part of v1."""

_TABLE_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"})
_COMMANDS = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_ENABLED = {"D": "disable", "A": "enable always", "R": "enable replica"}


@dataclass(frozen=True, slots=True)
class OutsideReference:
    """A foreign key that leads out of the four tables, such as to auth.users: made unchecked, then checked."""

    table: str
    name: str
    add: str
    target: str
    validated: bool


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One table of v1 in a backup. `stage` is the schema it is made in, `home` the one it belongs to.

    `names` are the four tables' names in the backup, by base name.
    """

    base: str
    entry: TableEntry
    inventory: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]
    stage: str

    @property
    def name(self) -> str:
        """The table's name in the backup."""
        return self.entry.name

    @property
    def home(self) -> str:
        """The schema it was in."""
        return self.entry.schema_name

    @property
    def relation(self) -> str:
        """The staged table."""
        return qualified(self.stage, self.name)

    @property
    def placed(self) -> str:
        """The table where it belongs."""
        return qualified(self.home, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold data, in their order."""
        return tuple(column.name for column in self.entry.columns if not column.generated)

    def _kind(self, kind: str) -> Mapping[str, str]:
        return self.inventory.get(kind, {})

    # ── the bare table ───────────────────────────────────────────────────────────────────────────────────────────

    def sequences(self) -> dict[str, str]:
        """The sequences that belong to the table, by the column they number."""
        found = {}
        for name, body in self._kind("sequences").items():
            found[after_head(body, "of ").rpartition(" last ")[0]] = name
        return found

    def create(self) -> list[str]:
        """Make the table with its columns and sequences, empty."""
        numbered = self.sequences()
        lines, owned = [], []
        statements = []
        for column in self.entry.columns:
            text, sequence = self._column(column.name, column.type, numbered.get(column.name))
            lines.append(f"  {quote(column.name)} {text}")
            if sequence is not None:
                kind = column.type if column.type in ("smallint", "integer") else "bigint"
                statements.append(f"create sequence {sequence} as {kind}")
                owned.append(f"alter sequence {sequence} owned by {self.relation}.{quote(column.name)}")
        return [*statements, f"create table {self.relation} (\n" + ",\n".join(lines) + "\n)", *owned]

    def _column(self, name: str, kind: str, numbered: str | None) -> tuple[str, str | None]:
        """A column's definition, and its sequence where one has to be made beforehand."""
        body = self._kind("columns").get(name)
        if body is None:
            return kind, None
        rest = after_head(body, kind)
        identity = re.search(r" identity (always|by default)\Z", rest)
        if identity is not None:
            sequence = f" (sequence name {qualified(self.stage, numbered)})" if numbered else ""
            return f"{kind} generated {identity[1]} as identity{sequence}", None
        needed = rest.startswith(" not null")
        rest = rest.removeprefix(" not null")
        if rest.startswith(" generated "):
            made = rest.removeprefix(" generated ")
            return f"{kind} generated always as ({made}) stored" + (" not null" if needed else ""), None
        own = None
        if numbered is not None and rest.startswith(" default nextval("):
            own = qualified(self.stage, numbered)
            rest = f" default nextval({literal(own).strip()}::regclass)"
        return f"{kind}{' not null' if needed else ''}{rest}", own

    def number_on(self) -> list[str]:
        """Set the sequences where the backup's stood, and past every id that came with it."""
        statements = []
        for column, name in self.sequences().items():
            last = self._kind("sequences")[name].rpartition(" last ")[2]
            known = int(last) if last.isdigit() else 0
            statements.append(
                f"select setval({literal(qualified(self.stage, name)).strip()}::regclass, "
                f"greatest(h.highest, {known}))\n"
                f"from (select max({quote(column)}) as highest from {self.relation}) h "
                f"where greatest(h.highest, {known}) > 0"
            )
        return statements

    # ── what hangs on it ─────────────────────────────────────────────────────────────────────────────────────────

    def keys(self) -> list[str]:
        """Primary and unique keys, exclusions, checks and indexes: once the rows are in."""
        statements = []
        for name, text in self._kind("keys").items():
            if not text.startswith("FOREIGN KEY"):
                statements.append(f"alter table {self.relation} add constraint {quote(name)} {text}")
        for name, text in self._kind("indexes").items():
            if name not in self._kind("keys"):
                statements.append(self._index(name, text))
            if text.endswith(" replica identity"):
                statements.append(f"alter table {self.relation} replica identity using index {quote(name)}")
            if text.removesuffix(" replica identity").endswith(" clustered"):
                statements.append(f"alter table {self.relation} cluster on {quote(name)}")
        identity = self._kind("replica identity").get("replica identity", "d")
        if identity in ("f", "n"):
            statements.append(
                f"alter table {self.relation} replica identity {'full' if identity == 'f' else 'nothing'}"
            )
        return statements

    def _index(self, name: str, text: str) -> str:
        unique = text.startswith("CREATE UNIQUE INDEX ")
        rest = after_head(text, "CREATE UNIQUE INDEX ", "CREATE INDEX ")
        rest = after_head(rest, spelled(name), quote(name))
        rest = after_head(rest, " ON ").removeprefix("ONLY ")
        rest = after_head(rest, printed(self.home, self.name))
        rest = rest.removesuffix(" replica identity").removesuffix(" clustered")
        return f"create {'unique ' if unique else ''}index {quote(name)} on {self.relation}{rest}"

    def references(self) -> list[str]:
        """Foreign keys within the four tables: once all of them have their keys."""
        own = {printed(self.home, name): qualified(self.stage, name) for name in self.names.values()}
        statements = []
        for name, text in self._foreign_keys().items():
            target = self.target(text)
            if target in own:
                body = text.replace(f" REFERENCES {target}(", f" REFERENCES {own[target]}(", 1)
                statements.append(f"alter table {self.relation} add constraint {quote(name)} {body}")
        return statements

    def outside(self) -> list[OutsideReference]:
        """Foreign keys that lead to other tables."""
        own = {printed(self.home, name) for name in self.names.values()}
        add = f"alter table {self.relation} add constraint"
        return [
            OutsideReference(
                table=self.name,
                name=name,
                add=f"{add} {quote(name)} {text.removesuffix(' NOT VALID')} not valid",
                target=self.target(text),
                validated=not text.endswith(" NOT VALID"),
            )
            for name, text in self._foreign_keys().items()
            if self.target(text) not in own
        ]

    def _foreign_keys(self) -> dict[str, str]:
        return {name: text for name, text in self._kind("keys").items() if text.startswith("FOREIGN KEY")}

    @staticmethod
    def target(text: str) -> str:
        """The table that a foreign key's definition leads to, as the server prints its name."""
        return text.partition(" REFERENCES ")[2].partition("(")[0]

    def statistics(self) -> list[str]:
        """Planner statistics over several columns. They must not keep v1 from coming back: a schema may be gone."""
        statements = []
        for name, text in self._kind("statistics").items():
            made = [f"create statistics {name} {text} from {self.placed}"]
            if target := self._kind("statistics targets").get(name):
                made.append(f"alter statistics {name} set statistics {target}")
            if comment := self._kind("statistics comments").get(name):
                made.append(f"comment on statistics {name} is {literal(comment)}")
            listed = "".join(f"{statement};\n" for statement in made)
            body = f"begin\n{listed}exception when others then raise warning '%', sqlerrm;\nend"
            statements.append(f"do {literal(body)}")
        return statements

    def triggers(self) -> list[str]:
        """The table's own triggers, in the mode they had; not those that a migration puts there."""
        statements = []
        for name, body in self._kind("triggers").items():
            if name in OURS:
                continue
            text, _, mode = body.rpartition(" ")
            statements.append(text.replace(f" ON {printed(self.home, self.name)} ", f" ON {self.relation} ", 1))
            if mode in _ENABLED:
                statements.append(f"alter table {self.relation} {_ENABLED[mode]} trigger {quote(name)}")
        return statements

    def row_security(self) -> list[str]:
        """The flags of row level security."""
        flags = self._kind("row security").get("flags", "off")
        statements = []
        if flags.startswith("on"):
            statements.append(f"alter table {self.relation} enable row level security")
        if flags.endswith("forced"):
            statements.append(f"alter table {self.relation} force row level security")
        return statements

    def policies(self) -> list[str]:
        """The policies, for the table in its place: their expressions name other tables there."""
        return [self._policy(name, body) for name, body in self._kind("policies").items()]

    def _policy(self, name: str, body: str) -> str:
        kind, _, rest = body.partition(" for ")
        command, _, rest = rest.partition(" to ")
        head, checked = split_at(rest, " check ")
        roles, read = split_at(head, " using ")
        to = ", ".join("public" if role == "public" else quote(role) for role in roles.strip().split(", "))
        using = f"\n  using ({read})" if read else ""
        check = f"\n  with check ({checked})" if checked else ""
        return f"create policy {quote(name)} on {self.placed} as {kind} for {_COMMANDS[command]} to {to}{using}{check}"

    def rights(self, granted: list[str]) -> list[str]:
        """Exactly the rights that the backup has. Default privileges may have given others: those are taken away.

        Args:
            granted: the roles that have any right on the table as it was made ("public" among them).
        """
        owner = self._kind("owner").get("owner", "")
        relation = self.placed
        statements = [
            f"revoke all on table {relation} from {granted_to(role)}" for role in granted if role not in (owner, "")
        ]
        for role, rights in self._kind("grants").items():
            statements.extend(self._granted(role, rights, owner))
        for name, rights in self._kind("column grants").items():
            column, _, role = name.rpartition(" to ")
            for right, option in rights_in(rights):
                statements.append(f"grant {right} ({quote(column)}) on table {relation} to {granted_to(role)}{option}")
        return statements

    def rights_on_sequences(self) -> list[str]:
        """Where nothing is known of them: whoever may insert rows may draw numbers for them."""
        writers = [role for role, rights in self._kind("grants").items() if "INSERT" in rights]
        return [
            f"grant usage, select on sequence {qualified(self.home, name)} to {granted_to(role)}"
            for name in self.sequences().values()
            for role in writers
        ]

    def _granted(self, role: str, rights: str, owner: str) -> list[str]:
        found = rights_in(rights)
        everything = {right for right, _ in found} >= _TABLE_RIGHTS
        if role == owner:
            if everything:
                return []
            revoked = f"revoke all on table {self.placed} from {granted_to(role)}"
            return [revoked, *(f"grant {right} on table {self.placed} to {granted_to(role)}" for right, _ in found)]
        if everything and len({option for _, option in found}) == 1:
            return [f"grant all on table {self.placed} to {granted_to(role)}{found[0][1]}"]
        return [f"grant {right} on table {self.placed} to {granted_to(role)}{option}" for right, option in found]

    @property
    def roles(self) -> set[str]:
        """Every role that its rights and policies name."""
        named = {*self._kind("grants"), *self._kind("owner").values()}
        named |= {name.rpartition(" to ")[2] for name in self._kind("column grants")}
        for body in self._kind("policies").values():
            named |= set(split_at(body.partition(" to ")[2], " using ")[0].partition(" check ")[0].split(", "))
        return named - {"public", ""}

    def expected(self) -> dict[str, dict[str, str]]:
        """The inventory that the table must show once it is in place, less what is not v1's own."""
        return {
            kind: {name: body for name, body in bodies.items() if not (kind == "triggers" and name in OURS)}
            for kind, bodies in self.inventory.items()
            if kind != "sequences"
        }


@dataclass(frozen=True, slots=True)
class Blueprints:
    """v1 as a backup has it: its shape, and how to make each of its tables again."""

    shape: V1Shape
    tables: tuple[Blueprint, ...]
    manifest: Manifest

    @property
    def roles(self) -> set[str]:
        """Every role that the tables' rights and policies name."""
        return set().union(*(table.roles for table in self.tables))


def read_blueprints(manifest: Manifest, stage: str) -> Blueprints:
    """Find v1 in a backup, under its own names or as `*_v1`.

    Raises:
        DamagedBackupError: the backup holds no v1, or part of it only.
    """
    found = {
        entry.name: {column.name: Column(column.name, column.type, base=column.behind) for column in entry.columns}
        for entry in manifest.tables
        if entry.schema_name == "public"
    }
    shape = recognise(found, suffix=v1.SUFFIX)
    if not isinstance(shape, V1Shape):
        own = recognise(found)
        if not isinstance(own, V1Shape):
            raise DamagedBackupError(
                f"This backup holds no v1: {' '.join(own.reasons or shape.reasons)}",
                next_step="Choose a backup that was made while v1's tables were there.",
            )
        shape = own
    names = {base: table.name for base, table in shape.tables.items()}
    tables = []
    for base in v1.TABLES:
        entry = manifest.table(f"public.{names[base]}")
        if entry is None or entry.key not in manifest.inventory:
            raise DamagedBackupError(
                f"The manifest says nothing of what hangs on {names[base]}.",
                next_step="Choose another backup.",
            )
        if entry.partitioned:
            raise DamagedBackupError(
                f"{names[base]} is partitioned in this backup; such a table cannot be brought back by us.",
                next_step="Restore it with pg_restore, then rename it back.",
            )
        tables.append(Blueprint(base, entry, manifest.inventory[entry.key], names, stage))
    return Blueprints(shape, tuple(tables), manifest)
