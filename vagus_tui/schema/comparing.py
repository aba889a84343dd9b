"""Comparing values so that nothing that differs counts as equal, whatever types a project has.

Some types have no equality (json, xml, points), some call unequal values equal (circles of one area, texts under a
collation that ignores case, 1 day and 24 hours): those are compared as the text that the server writes for them.
"""

from __future__ import annotations

_EXACT = frozenset(
    {
        *("smallint", "integer", "bigint", "boolean", "uuid", "date", "bytea", "jsonb"),
        *("timestamp with time zone", "timestamp without time zone"),
    }
)
"""Types of which equal values are the same."""


def comparable(expression: str, column_type: str) -> str:
    """An expression that is equal exactly where the value is; `column_type` is format_type's text."""
    return expression if column_type in _EXACT else f'{expression}::text collate "C"'
