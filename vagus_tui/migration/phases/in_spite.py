"""Whether a run holds on to what it has built, in spite of what the server refused, and how that is told."""

from __future__ import annotations

import asyncpg

from vagus_tui.database.connection import is_lost
from vagus_tui.errors import RAISE_THE_LIMIT, ConnectionFailedError, server_words
from vagus_tui.migration.drift import changes_since, in_words
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import UNFIT, impatient

MEND = "mend that row of v1: f on the prerequisites, or vagus-tui fix; nothing has to stop for it."
"""What to do about a row that v2 refuses, while everything is built and proved."""

MAKING_ROOM = (asyncpg.DiskFullError, asyncpg.ReadOnlySQLTransactionError)
"""Where the server's disk is full, what was built beside v1 has to go: the app comes first."""


def passes(error: BaseException) -> bool:
    """Whether an error is about the server's means or somebody's wish, not about what was to be done.

    A statement that somebody cancelled, memory or temporary files beyond a limit, no connection left: all that is
    mended beside the run, which goes on from where it stood.
    """
    if isinstance(error, asyncpg.InsufficientResourcesError):
        return not isinstance(error, MAKING_ROOM)
    return isinstance(error, asyncpg.QueryCanceledError | ConnectionFailedError)


def mending(error: BaseException) -> str:
    """What to do about such an error."""
    if isinstance(error, asyncpg.ConfigurationLimitExceededError):
        return f"{RAISE_THE_LIMIT} Or set VAGUS_PARALLEL_CONNECTIONS to 1; then run migrate again."
    if isinstance(error, asyncpg.OutOfMemoryError):
        return "Set VAGUS_PARALLEL_CONNECTIONS to 1, or give the server more memory; then run migrate again."
    if isinstance(error, ConnectionFailedError) and error.next_step:
        return f"{error.next_step} Then run migrate again."
    return "Run migrate again."


def holds_in_spite(run: MigrationRun, error: asyncpg.PostgresError) -> bool:
    """Whether what was built and proved outlives an error of the server, so that it can be tried again."""
    return not (is_lost(error) or run.main.is_closed() or isinstance(error, MAKING_ROOM))


def in_short(error: asyncpg.PostgresError) -> str:
    """What the server refused, without the row itself: that is somebody's."""
    return server_words(error).removesuffix(".")


def in_full(error: asyncpg.PostgresError) -> str:
    """What the server said, in one line, with the details beneath it unless they hold what somebody wrote."""
    if isinstance(error, UNFIT):
        return in_short(error)
    return " ".join(str(error).split()).removesuffix(".")


async def cause(run: MigrationRun) -> str:
    """What somebody did to v1 meanwhile, where that may be why the server refused a statement."""
    try:
        async with impatient(run.main, run.settings):
            changes = await changes_since(run.main, run.made.survey, run.made.ddl)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return ""
    return f"v1 has changed since the plan was made: {in_words(changes)}." if changes else ""
