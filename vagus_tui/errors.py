"""The one family of errors the program shows: what happened, what state things are in, what to do next."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

LACKS_A_RIGHT = "This user lacks a right: log in as the owner of the workout tables, on Supabase postgres."
RIGHTS_ELSEWHERE = f"{LACKS_A_RIGHT} Among the prerequisites, Rights names all that is missing."
RAISE_THE_LIMIT = (
    "Raise that limit for this role, or give it more memory in place of temporary files: alter role … set work_mem = "
    "'64MB'."
)
_ENDS = (".", "?", ":", ";", "…")


def sentence(text: str) -> str:
    """The text with a full stop where it ends without one, as the server's messages do: another may follow it."""
    text = text.rstrip()
    return text if not text or text.rstrip("”\"')").endswith(_ENDS) else f"{text}."


def sentences(*texts: str) -> str:
    """Several of them, one after the other; empty ones are left out."""
    return " ".join(sentence(text) for text in texts if text)


def server_words(error: asyncpg.PostgresError) -> str:
    """What the server said, without the details beneath it; its code where it said nothing."""
    return str(error.args[0] if error.args else error.sqlstate)


def beyond_a_limit(error: BaseException) -> str:
    """What to do where the server stopped a statement at a limit, of temporary files or of time; else nothing."""
    import asyncpg

    if isinstance(error, asyncpg.QueryCanceledError):
        # Which of the two only its words tell, and they are in the server's language.
        return (
            "Either this role's statement_timeout is too short for it (alter role … set statement_timeout = '10min'), "
            "or somebody stopped it: then start it again."
        )
    return RAISE_THE_LIMIT if isinstance(error, asyncpg.ConfigurationLimitExceededError) else ""


def account(error: BaseException) -> str:
    """What went wrong, in one sentence.

    Of a defect of ours only its kind and place: its own text may hold anything, an address with its password too.
    """
    import asyncpg

    if isinstance(error, VagusError):
        return error.happened
    if isinstance(error, asyncpg.PostgresError):
        return sentence(f"The server said: {server_words(error)}")
    if isinstance(error, OSError) and error.strerror:
        name = f" ({error.filename})" if isinstance(error.filename, str) else ""
        return f"The system refused: {error.strerror}{name}."
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"vagus-tui itself failed: {type(error).__name__} at {place}."


class VagusError(Exception):
    """An error with the three things an operator needs to know.

    Args:
        happened: what went wrong, in one sentence, free of secrets; the server's own words get their full stop.
        state: what state the database and the files are in because of it.
        next_step: what the operator can do about it.
    """

    exit_status = 4

    def __init__(self, happened: str, *, state: str = "Nothing was changed.", next_step: str = "") -> None:
        self.happened = sentence(happened)
        super().__init__(self.happened)
        self.state = state
        self.next_step = next_step

    def __str__(self) -> str:
        return sentences(self.happened, self.state, self.next_step)


class ConfigurationError(VagusError):
    """The settings or the command line cannot be used as given (exit status 2)."""

    exit_status = 2


class ConnectionFailedError(VagusError):
    """No connection: wrong address, wrong password, TLS refused, server down (exit status 2)."""

    exit_status = 2


LOST_WORDS = "The connection to the database was lost."
"""What happened, wherever a connection broke; what tells of a job's end begins with it."""


class ConnectionLostError(VagusError):
    """The connection broke during work. What was under way is not repeated; the state is read again."""

    exit_status = 4


class RefusedError(VagusError):
    """A check or gate refused; nothing was changed (exit status 1)."""

    exit_status = 1


class UndoneError(VagusError):
    """It failed, and everything was undone (exit status 3)."""

    exit_status = 3


class CancelledByOperatorError(UndoneError):
    """The operator stopped it, and everything was undone."""
