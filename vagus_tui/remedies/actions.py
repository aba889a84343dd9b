"""Previewing and applying one fix."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from vagus_tui.checks.base import Context, RowPage
from vagus_tui.checks.data_quality.rule import Names
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified
from vagus_tui.errors import RefusedError
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.remedies.aside import apply_aside, preview_aside, read_below
from vagus_tui.remedies.change import apply_change, preview_change
from vagus_tui.remedies.locking import Patience, fixable_state, in_locked_transaction
from vagus_tui.remedies.model import Applied, Preview, Remedy


async def preview(remedy: Remedy, context: Context) -> Preview:
    """What a fix would do; changes nothing.

    Raises:
        RefusedError: this database has no such column.
    """
    names = Names(context.shape)
    _refuse_inapplicable(remedy, names)
    if not await _is_table(context.connection, names.table(remedy.rule.table)):
        said = f"-- {names.table(remedy.rule.table)} is a view: mend the rows of the table behind it.\n"
        return Preview(0, RowPage((), (), 0, more=False), said)
    return await (preview_aside if remedy.changes is None else preview_change)(remedy, context)


async def apply(remedy: Remedy, context: Context, expected: Preview | None = None) -> Applied:
    """Apply a fix in one transaction, with every original in the journal.

    Args:
        expected: what the preview showed; other rows than these are refused.

    Raises:
        RefusedError: the rows are others now, the tables are in use, or the state does not allow it.
        UndoneError: the server refused; everything was undone.
    """
    connection = context.connection
    state = await fixable_state(connection)
    assert state.shape is not None
    names = Names(state.shape)
    _refuse_inapplicable(remedy, names)
    if not await _is_table(connection, names.table(remedy.rule.table)):
        raise RefusedError(
            f"{names.name(remedy.rule.table)} is a view.", next_step="Mend the rows of the table behind it by hand."
        )
    await ensure_journal(connection)
    context.cache.clear()
    batch, operator = uuid4(), context.settings.operator
    below = await read_below(connection, names, remedy.rule.table)

    async def work() -> Applied:
        if remedy.changes is None:
            return await apply_aside(remedy, connection, names, below, batch, operator, expected)
        return await apply_change(remedy, connection, names, batch, operator, expected)

    tables = [names.table(remedy.rule.table)] if remedy.changes else [qualified(*table) for table in below.tables()]
    return await in_locked_transaction(connection, tables, Patience.of(context.settings), work)


async def _is_table(connection: Connection, table: str) -> bool:
    """Whether the rows are its own: who coaches whom may be a view."""
    kind = await connection.fetchval("select relkind::text from pg_class where oid = to_regclass($1)", table)
    return kind in ("r", "p")


def _refuse_inapplicable(remedy: Remedy, names: Names) -> None:
    if not remedy.applies(names):
        missing: Sequence[str] = remedy.rule.missing(names.shape) or [column for _, column in remedy.columns]
        raise RefusedError(f"This database has no column {', '.join(missing)}, so there is nothing to mend.")
