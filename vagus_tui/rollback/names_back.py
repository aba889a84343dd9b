"""The names that v1 gets back where a backup brings it: the renames that a migration had done when it was made."""

from __future__ import annotations

from vagus_tui.migration.survey import Rename, Survey
from vagus_tui.rollback.blueprint import Blueprint, Blueprints
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal

MIGRATED_STATES = ("migrated", "cleaned", "unknown")
"""States of a backup in which `*_v1` are names that a migration gave; otherwise somebody gave them by hand."""


def own_not_nulls(relation: str, made_as: str, name: str) -> str:
    """From PostgreSQL 18 on NOT NULL has names, made of the table's: give those of a renamed table their own again."""
    return (
        "do $vagus$ declare found record; begin\n"
        "for found in select k.conname as old, a.attname as of from pg_constraint k\n"
        "  join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]\n"
        f"  where k.contype = 'n' and k.conrelid = {literal(relation).strip()}::regclass\n"
        f"    and k.conname = {literal(made_as).strip()} || '_' || a.attname || '_not_null'\n"
        f"loop execute pg_catalog.format('alter table {relation} rename constraint %I to %I', found.old,\n"
        f"  {literal(name).strip()} || '_' || found.of || '_not_null');\n"
        "end loop; end $vagus$"
    )


def _names_of(table: Blueprint) -> set[tuple[str, str]]:
    indexes = {("index", name) for name in table.inventory.get("indexes", {})}
    return {
        ("table", table.name),
        *indexes,
        *(("constraint", name) for name in table.inventory.get("keys", {}) if ("index", name) not in indexes),
        *(("sequence", name) for name in table.sequences().values()),
    }


def needed_names(blueprints: Blueprints, survey: Survey | None) -> set[str]:
    """Every name that a relation of v1 has when it is put in place, or in the end."""
    back = {rename.old for rename in names_to_take_back(blueprints, survey) if rename.kind != "constraint"}
    pairs = {pair for table in blueprints.tables for pair in _names_of(table)}
    return back | {name for kind, name in pairs if kind != "constraint"}


def names_to_take_back(blueprints: Blueprints, survey: Survey | None) -> tuple[Rename, ...]:
    """The renames of a migration that had been done when the backup was made, of what the backup holds."""
    manifest = blueprints.manifest
    if not blueprints.shape.renamed or manifest.state not in MIGRATED_STATES:
        return ()
    there = {pair for table in blueprints.tables for pair in _names_of(table)}
    if survey is not None:
        return tuple(rename for rename in survey.renames if (rename.kind, rename.new) in there)
    renames: list[Rename] = []
    for table in blueprints.tables:
        ordered = sorted(_names_of(table), key=lambda pair: (pair[0] != "table", pair))
        renames += [
            Rename(kind, table.name, name.replace(v1.SUFFIX, ""), name) for kind, name in ordered if v1.SUFFIX in name
        ]
    return tuple(renames)
