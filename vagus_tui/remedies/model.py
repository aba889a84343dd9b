"""What a guided fix is, and what it says before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from vagus_tui.checks.base import Context, RowPage
from vagus_tui.checks.data_quality import BY_ID
from vagus_tui.checks.data_quality.rule import Names, Rows

Action = Literal["changed", "set-aside"]
Part = Literal["fails", "warns", "all"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a fix would do.

    Args:
        rows: how many rows it would change or set aside, without those below them.
        page: the first of them; for a change, every new value stands beside the old one.
        sql: the statements.
        below: rows that hang on them and go with them, by table.
        digest: of which rows they are and what becomes of them, so that no others are touched afterwards.
    """

    rows: int
    page: RowPage
    sql: str
    below: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a fix did: its batch, by which it can be undone, and how many rows.

    Args:
        left: rows that an undo left as they are, each with the reason, in words; their originals stay in the journal.
    """

    batch: UUID
    rows: int
    below: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """One applied fix as the journal has it. `restored_at` is when it was undone.

    Of one that was undone in part `rows` are those that are left, and `back` those that were put back.
    """

    id: UUID
    remedy: str
    operator: str
    at: datetime
    rows: int
    tables: Mapping[str, int]
    restored_at: datetime | None
    restored_by: str | None
    back: int = 0


@dataclass(frozen=True, slots=True)
class Remedy:
    """One guided fix of the rows that one check objects to.

    Args:
        id: kebab-case; begins with the check's id.
        safe: no row leaves and no meaning is invented, so "fix all safe ones" applies it.
        part: whether it is for the rows that fail, that warn, or both.
        changes: new values, as SQL expressions over the row `t`, by column; None for setting aside.
        where: a further condition on the rows that it can mend.
        columns: optional columns it needs besides the check's own.
    """

    id: str
    check_id: str
    title: str
    description: str
    safe: bool = False
    part: Part = "all"
    changes: Callable[[Names], Mapping[str, str]] | None = None
    where: Callable[[Names], str] | None = None
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def action(self) -> Action:
        """What it does to the rows."""
        return "set-aside" if self.changes is None else "changed"

    @property
    def rule(self) -> Rows:
        """The rule whose rows it is for."""
        return BY_ID[self.check_id]

    def applies(self, names: Names) -> bool:
        """Whether this database has the columns that it works with."""
        return not self.rule.missing(names.shape) and all(names.has(base, column) for base, column in self.columns)

    def condition(self, names: Names) -> str:
        """The rows that it changes or sets aside."""
        condition = self.rule.offending(names, self.part)
        return f"({condition}) and ({self.where(names)})" if self.where else condition

    async def preview(self, context: Context) -> Preview:
        """What it would do; changes nothing.

        Raises:
            RefusedError: this database has no such column.
        """
        from vagus_tui.remedies import actions

        return await actions.preview(self, context)

    async def apply(self, context: Context, expected: Preview | None = None) -> Applied:
        """Apply it in one transaction, with every original in the journal.

        Args:
            expected: what the preview showed; other rows than these are refused.

        Raises:
            RefusedError: the rows are others now, the tables are in use, or the state does not allow it.
            UndoneError: the server refused; everything was undone.
        """
        from vagus_tui.remedies import actions

        return await actions.apply(self, context, expected)
