"""What somebody did to the kept v1 tables by hand after the cut-over, found before a rollback begins.

What is missing is made again as the cut-over left it, what is otherwise is put back, what was added stays and is said.
Where values are gone, or the tables are no longer ours, the rollback is refused with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vagus_tui.database.catalog import TableNames, read_columns, read_names
from vagus_tui.database.connection import Connection
from vagus_tui.database.definitions import Inventory, read_definitions
from vagus_tui.database.search_path import CATALOG_PATH
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase
from vagus_tui.migration.kept_v1 import kept_tables, read_as_kept, read_settings
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import Rename, Survey
from vagus_tui.rollback.blueprint import Blueprint
from vagus_tui.rollback.findings import NO_NOTE, Finding, Mend, Prevents, Stays
from vagus_tui.rollback.mending import KeptTable
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.v1 import V1Shape

_NAMED = ("index", "constraint", "sequence", "statistics")
"""Kinds of renames of what hangs on a kept table."""


@dataclass(frozen=True, slots=True)
class Altered:
    """What is otherwise than the cut-over left it.

    Args:
        missing: the renames of what is not there, which cannot be taken back unless it is made again.
        unknown: there is no note of how the cut-over left them, so nobody can tell what is otherwise.
    """

    findings: tuple[Finding, ...] = ()
    missing: tuple[Rename, ...] = ()
    unknown: bool = False

    @property
    def mends(self) -> tuple[Mend, ...]:
        """What is made again, or put back."""
        return tuple(one for one in self.findings if isinstance(one, Mend))

    @property
    def stays(self) -> tuple[str, ...]:
        """What is left as it is, in words."""
        return tuple(one.words for one in self.findings if isinstance(one, Stays))

    def steps(self) -> list[PlanStep]:
        """What is done about it before the rollback, each in a transaction of its own: nobody uses these tables."""
        steps = []
        for mend in self.mends:
            for owed, statements in (("", mend.statements), ("check ", mend.then)):
                if statements:
                    title = f"{owed}{mend.what}"
                    steps.append(
                        PlanStep(
                            f"mend-{title.replace(' ', '-')}",
                            Phase.PREPARE,
                            title if owed else f"put back what was changed by hand: {title}",
                            statements,
                            lock="on kept v1 tables, which nobody uses, and what they refer to, for an instant",
                            undo="none needed: it is as the cut-over left it",
                            tables=(mend.relation,),
                        )
                    )
        return steps

    def told(self) -> list[str]:
        """What is worth knowing beforehand: what is put back in one sentence, what stays in another."""
        said = (("and put back: ", [mend.what for mend in self.mends]), ("and so it stays: ", self.stays))
        return [
            *([NO_NOTE.format(what="the kept v1 tables", kept="were")] if self.unknown else []),
            *(f"Changed by hand since the cut-over, {how}{'; '.join(words)}." for how, words in said if words),
        ]

    def refuse(self) -> None:
        """Stop where there is no way past it.

        Raises:
            RefusedError: values are gone, or something is no longer ours; says what to do.
        """
        if found := [one for one in self.findings if isinstance(one, Prevents)]:
            words = "; ".join(one.words for one in found)
            raise RefusedError(
                f"The kept v1 tables were changed by hand since the cut-over: {words}.",
                state="Nothing was changed: v2 is in place and in use.",
                next_step=f"Put it right: {'; '.join(one.advice for one in found)}. Or roll back from a backup, which "
                "needs nothing of them.",
            )

    def survey(self, survey: Survey, *, mended: bool) -> Survey:
        """The record of the migration without the names of what is not there.

        Args:
            mended: what could be made again was made again, so what is missing now stays missing.
        """
        anew = set() if mended else {(mend.relation, mend.name) for mend in self.mends}
        gone = {rename for rename in self.missing if _made_by(rename, survey.shape.schema) not in anew}
        return replace(
            survey,
            renames=tuple(rename for rename in survey.renames if rename not in gone),
            functions_in_the_way=tuple(one for one in survey.functions_in_the_way if one not in gone),
        )


_OURS = """
select c.relname::text as name, pg_has_role(c.relowner, 'usage') as ours
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])
"""


async def read_altered(connection: Connection, survey: Survey) -> Altered:
    """Compare the kept v1 tables with what the cut-over left, as far as that was noted."""
    schema, kept = survey.shape.schema, kept_tables(survey)
    names = list(kept.values())
    was = await read_as_kept(connection)
    ours = {row["name"]: row["ours"] for row in await connection.fetch(_OURS, schema, names)}
    async with connection.transaction(readonly=True):
        await connection.execute(CATALOG_PATH)
        now = await read_definitions(connection, [(schema, name) for name in names])
        for key, kinds in (await read_settings(connection, schema, names)).items():
            now[key] |= kinds
    originals = {rename.new: rename.old for rename in survey.renames if rename.kind == "table"}
    missing = await _missing(connection, survey, await read_names(connection, schema, names))
    same = connection.get_server_version().major == survey.server_version
    lost = await _lost_targets(connection, was)
    findings: list[Finding] = []
    tables: list[KeptTable] = []
    for name in names:
        key = f"{schema}.{name}"
        if name not in ours:
            findings.append(Prevents(f"{name} is gone", "restore it from a backup"))
        elif key in was:
            tables.append(
                KeptTable(schema, name, originals.get(name, name), was[key], now[key], ours[name], same, lost)
            )
    for table in tables:
        findings += table.findings()
    for table in tables:
        findings += table.references()
    for table in tables:
        mine = {one.name for one in findings if isinstance(one, Mend) and one.relation == table.relation}
        findings = [
            table.with_its_words(one) if isinstance(one, Mend) and one.relation == table.relation else one
            for one in findings
        ]
        findings += table.settings(mine)
    if not was:
        findings += await _without_a_note(connection, survey.shape, kept)
    mended = {(one.relation, one.name) for one in findings if isinstance(one, Mend)}
    findings += [
        Stays(f"{rename.kind} {rename.new} is gone, and no note says how it was made")
        for rename in missing
        if _made_by(rename, schema) not in mended
    ]
    return Altered(tuple(findings), tuple(missing), unknown=not was)


async def _lost_targets(connection: Connection, was: Inventory) -> frozenset[str]:
    """The tables that references led to by the note, and that are not there under these names."""
    keys = (text for kinds in was.values() for text in kinds.get("keys", {}).values())
    targets = sorted({Blueprint.target(text) for text in keys if text.startswith("FOREIGN KEY")})
    rows = await connection.fetch("select t from unnest($1::text[]) t where to_regclass(t) is null", targets)
    return frozenset(row["t"] for row in rows)


def _made_by(rename: Rename, schema: str) -> tuple[str, str]:
    """The table and name by which what is to be renamed is made again."""
    return qualified(schema, rename.table) if rename.kind in _NAMED else "", rename.new


async def _missing(connection: Connection, survey: Survey, there: Mapping[str, TableNames]) -> list[Rename]:
    """The renames of the cut-over that cannot be taken back, since what they are about is not there."""
    found = []
    for rename in survey.renames:
        if rename.kind in _NAMED and (names := there.get(rename.table)) is not None:
            known = {
                "index": names.indexes,
                "constraint": names.constraints,
                "sequence": names.sequences,
                "statistics": names.statistics_there,
            }
            if rename.new not in known[rename.kind]:
                found.append(rename)
    for rename in survey.functions_in_the_way:
        if not await connection.fetchval(_ROUTINE, survey.shape.schema, rename.new, rename.table):
            found.append(rename)
    return found


_ROUTINE = """
select exists(select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = $1 and p.proname = $2 and pg_get_function_identity_arguments(p.oid) = $3)
"""


async def _without_a_note(connection: Connection, shape: V1Shape, kept: Mapping[str, str]) -> list[Finding]:
    """What the record of the migration alone can tell: which columns there were, and of which types."""
    found: list[Finding] = []
    there = await read_columns(connection, shape.schema)
    for base, table in shape.tables.items():
        now = there.get(kept[base], {})
        for name, column in table.columns.items():
            if name not in now:
                words = f"column {name} of {kept[base]} is gone, and its values with it unless it was renamed"
                found.append(Prevents(words, f"rename it back, or give it back empty, as {column.type}"))
            elif now[name].type != column.type:
                words = f"column {name} of {kept[base]} is {now[name].type} now, was {column.type}"
                found.append(Prevents(words, f"make it {column.type} again"))
        for name, column in now.items():
            if name not in table.columns and column.not_null and column.default is None and not column.identity:
                words = f"column {name} of {kept[base]} is new and must not be empty"
                found.append(Prevents(words, "let it be empty, or give it a default"))
    return found
