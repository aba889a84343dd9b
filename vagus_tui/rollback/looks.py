"""Looking at v1's and v2's tables before something is done about them, without waiting for others without end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.jobs import Emit
from vagus_tui.journal.missing_v2 import SCHEMA
from vagus_tui.migration.work import with_short_looks
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

T = TypeVar("T")


async def looked(
    connection: Connection,
    settings: Settings,
    control: Control,
    look: Callable[[], Awaitable[T]],
    *,
    emit: Emit,
    doing: str,
    state: str,
) -> T:
    """Look at the catalog. Who has a table of v2, or a kept one of v1, for themselves meanwhile is named in the end.

    Args:
        look: a look that changes nothing; it is tried again.
        doing: what is under way, for what is said of who is in the way; `state` is what is in place meanwhile.

    Raises:
        RefusedError: somebody stayed in the way.
        CancelledByOperatorError: a stop was asked for.
    """
    names = (*v2.TABLES, *(f"{base}{v1.SUFFIX}" for base in v1.TABLES))
    return await with_short_looks(
        connection,
        settings,
        [qualified(SCHEMA, name) for name in names],
        look,
        emit=emit,
        doing=doing,
        state=state,
        control=control,
    )
