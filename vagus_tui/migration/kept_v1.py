"""How the cut-over left v1's kept tables, noted in the catalog's own words once it is done.

Nobody uses them then, and a rollback has to find them as they were: what somebody drops by hand it makes again.
"""

from __future__ import annotations

from vagus_tui.database.connection import Connection
from vagus_tui.database.definitions import Inventory, definitions_sql
from vagus_tui.events import Phase
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal

AS_KEPT = "vagus_migration.v1_as_kept"
AS_MOVED = "vagus_migration.surroundings_as_moved"
"""The note of what points at the workout tables from outside; see `surroundings.py`."""


def new_name(survey: Survey, base: str) -> str:
    """The name that a v1 table has after the cut-over."""
    name = survey.shape.tables[base].name
    return next((r.new for r in survey.renames if r.kind == "table" and r.old == name), name)


def kept_tables(survey: Survey) -> dict[str, str]:
    """The names that v1's tables have after the cut-over, by base name; the preferences too, if moved."""
    kept = {base: new_name(survey, base) for base in v1.TABLES}
    if survey.preferences == "rows":
        kept |= {r.old: r.new for r in survey.renames if r.kind == "table" and r.old == PREFERENCES}
    return kept


def note_step(survey: Survey) -> PlanStep:
    """The step after the cut-over that notes it."""
    schema = literal(survey.shape.schema).strip()
    pairs = ", ".join(f"({schema}, {literal(name).strip()})" for name in kept_tables(survey).values())
    return PlanStep(
        "settle-v1-noted",
        Phase.SETTLE,
        "note what hangs on the kept v1 tables",
        (
            f"create table if not exists {AS_KEPT} "
            "(table_key text not null, kind text not null, name text not null, body text not null)",
            f"truncate {AS_KEPT}",
            "set local search_path = pg_catalog",
            f"insert into {AS_KEPT} select h.key, h.kind, h.name, h.body from (\n{definitions_sql(pairs)}) h",
            "set local search_path = public, pg_temp",
        ),
        lock="none: it only reads the catalog",
        undo="none needed",
    )


def forget() -> str:
    """The statement that removes the notes: before a migration they are about an earlier one."""
    return f"drop table if exists {AS_KEPT}, {AS_MOVED}"


async def read_as_kept(connection: Connection) -> Inventory:
    """What was noted; nothing where a migration of an earlier version, or one that was interrupted, noted nothing."""
    if not await connection.fetchval("select to_regclass($1) is not null", AS_KEPT):
        return {}
    found: Inventory = {}
    for row in await connection.fetch(f"select table_key, kind, name, body from {AS_KEPT}"):
        found.setdefault(row["table_key"], {}).setdefault(row["kind"], {})[row["name"]] = row["body"]
    return found
