"""What a row of each table is called, and a number of them in words."""

from __future__ import annotations

from collections.abc import Mapping

from vagus_tui.format import plural
from vagus_tui.schema import v2

NOUNS: Mapping[str, tuple[str, str]] = {
    v2.PLANS: ("plan", "plans"),
    v2.WEEKS: ("week", "weeks"),
    v2.DAYS: ("day", "days"),
    v2.GROUPS: ("group", "groups"),
    v2.EXERCISES: ("exercise", "exercises"),
    v2.SESSIONS: ("session", "sessions"),
    v2.LOGS: ("logged set", "logged sets"),
}
"""One row and many, by the table's name; v1's tables have the same names."""


def counted(number: int, table: str) -> str:
    """A number of rows in words: `1 plan`, `12,000 exercises`."""
    return plural(number, *NOUNS[table])
