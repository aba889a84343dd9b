"""Views that were written for v1 go on working: they read v1's columns out of v2's tables.

A view is bound to its tables, not to their names: after a rename it would silently show the frozen `*_v1` tables.
So the schema `workout_v1_compat` offers, under v1's names and with v1's columns and types, what v2 holds, and every
dependent view is replaced in the cut-over by its own definition, read against that schema.
"""

from __future__ import annotations

from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.survey import Survey
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.inverse import InverseMapping

COMPAT = "workout_v1_compat"


def views(survey: Survey) -> list[Dependent]:
    """The plain views that read v1's tables."""
    return [dependent for dependent in survey.dependents if dependent.kind is Kind.VIEW]


def compat_statements(survey: Survey) -> list[str]:
    """The compatibility schema, when any view needs it."""
    if not views(survey):
        return []
    inverse = InverseMapping(survey.shape, lambda table: qualified(STAGING, table))
    statements = [f"create schema {quote(COMPAT)}", f"grant usage on schema {quote(COMPAT)} to public"]
    # Row level security must see the reader, not the owner of this helper; before 15 views could only run as owners.
    invoker = " with (security_invoker = true)" if survey.server_version >= 15 else ""
    for base in v1.TABLES:
        name = survey.shape.tables[base].name
        view = qualified(COMPAT, name)
        statements.append(f"create view {view}{invoker} as\n{inverse.select(base)}")
        if not invoker:
            continue
        statements.extend(
            f"grant select on {view} to {'public' if grant.grantee == 'public' else quote(grant.grantee)}"
            for grant in survey.grants
            if grant.table == name and "SELECT" in grant.privileges
        )
    statements.extend(trial(view, survey.shape.schema) for view in views(survey))
    return statements


def trial(view: Dependent, schema: str) -> str:
    """Try a view's definition while nothing depends on it, so that the cut-over cannot fail on it.

    A view may lean on a table's primary key (GROUP BY p.id, then p.name), which a view over v2 cannot offer.
    """
    name = f"{view.schema}.{view.name}"
    body = f"create temporary view vagus_trial as\n{view.definition.strip().rstrip(';')}"
    block = (
        "begin\n"
        f"  set local search_path = {COMPAT}, {schema}, pg_temp;\n"
        f"  execute {literal(body)};\n"
        "  drop view pg_temp.vagus_trial;\n"
        "  reset search_path;\n"
        "exception when others then\n"
        f"  raise exception 'the view % cannot read v2: %', {literal(name)}, sqlerrm using errcode = sqlstate;\n"
        "end"
    )
    return f"do {literal(block)}"


def replace_view(view: Dependent, search_path: str) -> list[str]:
    """Bind a view's definition to the tables of a search path; its grants, comment and dependents stay."""
    body = view.definition.strip().rstrip(";")
    # Replacing a view forgets its options unless they are said again.
    options = f" with ({', '.join(view.options)})" if view.options else ""
    return [
        f"set local search_path = {search_path}",
        f"create or replace view {qualified(view.schema, view.name)}{options} as\n{body}",
        "reset search_path",
    ]
