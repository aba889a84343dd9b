"""A way to see a check fail: a fault to be planted in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context


@dataclass(frozen=True, slots=True)
class Fault:
    """What must turn a check red.

    Args:
        title: the fault in a few words: `a logged set is missing`.
        sql: the statements that plant it, run as the operator; or what gives them for this database.
        table: the table that is held meanwhile.
        exclusive: the whole table is held (ACCESS EXCLUSIVE), so that the app waits for it; otherwise a row or nothing.
        rows: it changes rows, and cannot be planted where there are none.
    """

    title: str
    sql: str | Callable[[Context], str]
    table: str
    exclusive: bool = False
    rows: bool = False

    def statements(self, context: Context) -> str:
        """The statements for this database."""
        return self.sql if isinstance(self.sql, str) else self.sql(context)


def changed_rows(title: str, sql: str | Callable[[Context], str], table: str) -> Fault:
    """A fault in the rows: one statement, which holds the rows that it changes."""
    return Fault(title, sql, table, rows=True)


def changed_table(title: str, sql: str | Callable[[Context], str], table: str) -> Fault:
    """A fault in a table's definition, which holds the table."""
    return Fault(title, sql, table, exclusive=True)
