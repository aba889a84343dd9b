"""Schemas that a migration or a rollback makes for itself: marked as such, so that nobody else's is ever dropped."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal, quote
from vagus_tui.schema.rights import bare_schema

MARK = "Made by vagus-tui for a migration or a rollback, which remove it themselves."
"""The comment by which such a schema is told from somebody else's of the same name."""


def made(schema: str) -> list[str]:
    """Make a schema of our own, closed to everybody else. It fails where one of that name is there already."""
    return [
        f"create schema {quote(schema)}",
        f"comment on schema {quote(schema)} is {literal(MARK).strip()}",
        bare_schema(schema),
    ]


def ours(schema: str) -> str:
    """A condition: the schema is there, and of our own making."""
    namespace = f"to_regnamespace({literal(quote(schema)).strip()})"
    return f"coalesce(obj_description({namespace}, 'pg_namespace') = {literal(MARK).strip()}, false)"


def dropped(schema: str) -> str:
    """Drop a schema of our own with everything in it; leave one of somebody else's, or none, as it is."""
    return f"do $vagus$ begin if {ours(schema)} then drop schema {quote(schema)} cascade; end if; end $vagus$"
