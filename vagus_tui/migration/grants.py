"""Who may do what with v2's tables: explicit grants, from what v1's tables had, and owners."""

from __future__ import annotations

from vagus_tui.database.privileges import Grant
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.survey import Survey
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.inverse import counterpart
from vagus_tui.schema.rights import bare


def grant_statements(survey: Survey, ddl: V2Ddl) -> list[str]:
    """Explicit grants, from what v1's tables had, whatever the project's default privileges are; and the owner."""
    # Whoever owns a table must be able to reach and fill its schema; this one is gone with the cut-over.
    statements = [
        f"grant usage, create on schema {quote(STAGING)} to {quote(owner)}"
        for owner in sorted({*survey.owners.values()} - {survey.me})
    ]
    for table in ddl.tables:
        relation = ddl.relation(table)
        base = v2.MODEL[table].grants_like
        source = survey.shape.tables[base].name
        grants = [grant for grant in survey.grants if grant.table == source]
        statements.append(bare(relation))
        for grant in grants:
            # MAINTAIN came with PostgreSQL 17 and means nothing to an app; a sequence has no rows of its own here.
            privileges = [name.lower() for name in grant.privileges if name != "MAINTAIN"]
            column = _granted_column(survey, table, grant)
            if privileges and column is not None:
                grantee = "public" if grant.grantee == "public" else quote(grant.grantee)
                option = " with grant option" if grant.grantable else ""
                listed = ", ".join(f"{name}{column}" for name in privileges)
                statements.append(f"grant {listed} on {relation} to {grantee}{option}")
        roles = sorted({grant.grantee for grant in grants})
        if table in v2.V1_BASES and ddl.types[v2.ID_PLACEHOLDERS[base]] != "uuid":
            sequence = qualified(STAGING, ddl.sequence(table))
            statements.append(bare(sequence))
            if roles:
                listed = ", ".join("public" if role == "public" else quote(role) for role in roles)
                statements.append(f"grant usage, select on sequence {sequence} to {listed}")
        owner = survey.owners.get(source, survey.me)
        if owner != survey.me:
            statements.append(f"alter table {relation} owner to {quote(owner)}")
    return statements


def _granted_column(survey: Survey, table: str, grant: Grant) -> str | None:
    """The column that a grant is about, in v2's name and in brackets; "" for the table, None where v2 has none."""
    if not grant.column:
        return ""
    base = v2.V1_BASES.get(table)
    there = counterpart(base, survey.shape.tables[base], grant.column) if base else None
    return None if there is None else f" ({quote(there)})"


def grant_notes(survey: Survey) -> list[str]:
    """Rights on single columns that v2 has no column for, and roles that have no others: v2's new tables are closed."""
    bases = {table.name: base for base, table in survey.shape.tables.items()}
    lines = []
    for grant in survey.grants:
        base = bases.get(grant.table)
        if base is not None and grant.column and _granted_column(survey, base, grant) is None:
            rights = ", ".join(grant.privileges)
            lines.append(
                f"{grant.table}: {rights} ({grant.column}) of {grant.grantee} stays with v1, v2 has no such column"
            )
    whole = {(grant.grantee, grant.table) for grant in survey.grants if not grant.column}
    for base in sorted({v2.MODEL[table].grants_like for table in v2.TABLES if table not in v2.V1_BASES}):
        name = survey.shape.tables[base].name
        single = {grant.grantee for grant in survey.grants if grant.table == name and grant.column}
        tables = [table for table in v2.TABLES if table not in v2.V1_BASES and v2.MODEL[table].grants_like == base]
        lines.extend(
            f"{role} has rights on single columns of {name} alone, and so none on {', '.join(tables)}: review it"
            for role in sorted(single)
            if (role, name) not in whole
        )
    return lines
