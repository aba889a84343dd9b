"""What nearly every command begins with: the settings, a connection and the state read through it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from vagus_tui.commands.complaints import complaint
from vagus_tui.commands.misspelt import given_names, misspelt
from vagus_tui.commands.outcome import TELL
from vagus_tui.errors import LACKS_A_RIGHT, ConfigurationError, VagusError, server_words
from vagus_tui.events import Event, NoteEvent, WaitEvent
from vagus_tui.settings import Environment, Settings

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context
    from vagus_tui.database.connection import Connection, Database
    from vagus_tui.journal.local_copy import LocalCopy

T = TypeVar("T")


def load_settings() -> Settings:
    """The settings from the environment and `.env`.

    Raises:
        ConfigurationError: a setting has a value that cannot be used; names each, and no value.
    """
    # What it cannot read is told below where it is about us; other programs' lines are not worth a word.
    logging.getLogger("dotenv").addHandler(logging.NullHandler())
    try:
        wrong = list(misspelt(given_names()))
        settings = Settings()
    except ValidationError as error:
        problems = " ".join(
            # A complaint about the settings as a whole, such as the runbook's file, names its setting itself.
            f"VAGUS_{str(item['loc'][0]).upper()}: {complaint(item)}." if item["loc"] else f"{complaint(item)}."
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(problems, next_step=".env.example explains each setting.") from None
    except SettingsError:
        raise ConfigurationError(
            "A VAGUS_* setting cannot be read.", next_step=".env.example explains each setting."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"The file .env cannot be read: {reason}.", next_step="Mend or remove it.") from None
    if wrong:
        raise ConfigurationError(
            " ".join(f"{name} is no setting; {meant} is." for name, meant in wrong),
            next_step="Rename it, or set the other as well; .env.example explains each setting.",
        )
    return settings


@contextlib.asynccontextmanager
async def opened(purpose: str) -> AsyncIterator[Context]:
    """A connection to the database that the settings name, and its state.

    Raises:
        ConfigurationError, ConnectionFailedError: with the reason and what to do.
        ConnectionLostError: the connection broke inside the block.
        LockedError: the state could not be read, for a lock that somebody holds.
    """
    import asyncpg

    from vagus_tui.checks.base import Context
    from vagus_tui.database.connection import Database
    from vagus_tui.journal.local_copy import local_copy
    from vagus_tui.journal.state import read_state

    settings = load_settings()
    database = Database(settings)
    async with database.connection(purpose) as connection:
        copy = await local_copy(connection, database.label, settings.journal_dir)
        try:
            try:
                state = await patiently(database, connection, settings, read_state(connection))
            except asyncpg.InsufficientPrivilegeError as error:
                # Without the state there are no prerequisites either, which would name what is missing.
                words = f"The state could not be read: {server_words(error)}"
                raise ConfigurationError(words, next_step=LACKS_A_RIGHT) from None
            yield Context(database, connection, settings, state)
        finally:
            if copy is not None and not connection.is_closed():
                await _keep(copy, connection)


def about(what: str, context: Context) -> NoteEvent:
    """On which database something is about to begin, and in whose name it is kept in the journal.

    Scripts are asked for no name; their logs shall hold it.
    """
    database, settings = context.database, context.settings
    where = f"{database.label}, project {database.project}, {settings.environment.value}"
    return NoteEvent(
        message=f"{what} on {where}, by {settings.operator}.",
        level="warning" if settings.environment is Environment.PRODUCTION else "info",
        detail={
            "database": database.label,
            "project": database.project,
            "environment": settings.environment.value,
            "operator": settings.operator,
        },
    )


async def kept(database: Database, settings: Settings, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    """Pass on what a job tells; however it ends, the local copy has what it wrote into the journal.

    A database that cannot be reached at the end has that said by the job, and is copied from by the next command.
    """
    from vagus_tui.journal.local_copy import local_copy

    try:
        async for event in events:
            yield event
    finally:
        with contextlib.suppress(VagusError):
            async with database.connection("journal copy") as connection:
                copy = await local_copy(connection, database.label, settings.journal_dir)
                if copy is not None:
                    await _keep(copy, connection)


async def patiently(database: Database, connection: Connection, settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Do some work on a connection; whose lock it waits for is told, and after a while it is given up.

    Raises:
        LockedError: it was given up.
    """
    from vagus_tui.checks.waiting import Patience, Waiting

    def tell(waiting: Waiting | None) -> None:
        say = TELL.get()
        if waiting is not None and say is not None:
            say(WaitEvent(message=waiting.words(settings.timezone), level="warning", detail=waiting.to_dict()))

    async with Patience.with_(database, connection, settings.timezone) as patience:
        return await patience.through(work, tell)


async def _keep(copy: LocalCopy, connection: Connection) -> None:
    """Bring the local copy of the journal up to date. That it cannot be is said, and stops nothing."""
    import asyncpg

    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await copy.sync(connection)
    if copy.problem:
        # Whoever reads may be gone by the end.
        with contextlib.suppress(OSError):
            print(f"The local copy of the journal could not be written: {copy.problem}", file=sys.stderr, flush=True)
