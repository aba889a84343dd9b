"""Running a command's job: its events to the output, its end to an exit status, Ctrl-C to a graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from vagus_tui.commands.broken_off import MESSAGE, STATE, unless_pressed
from vagus_tui.control import Control
from vagus_tui.errors import RIGHTS_ELSEWHERE, VagusError, account, beyond_a_limit, server_words
from vagus_tui.events import Event, NoteEvent, ResultEvent

if TYPE_CHECKING:
    from vagus_tui.commands.output import Output

DONE, REFUSED, USAGE, UNDONE, NEEDS_OPERATOR = range(5)
"""The exit statuses of every command."""

Job: TypeAlias = Callable[[Control], AsyncGenerator[Event, None]]

TELL: ContextVar[Callable[[Event], None] | None] = ContextVar("TELL", default=None)
"""Where to tell of what happens before a job can yield anything, such as a wait for the lock that keeps it from it."""


class Finished(SystemExit):
    """A command is over and has said everything; carries its exit status."""


def finish(
    job: Job,
    *,
    as_json: bool,
    graceful: bool = False,
    changing: bool = False,
    stopping: str = "Stopping and undoing",
) -> NoReturn:
    """Run a job to its end and leave with its exit status.

    Args:
        job: yields events, the last of them a `ResultEvent`; or raises a `VagusError`.
        as_json: JSON lines instead of text for people.
        graceful: the job heeds `Control.cancel()`, so Ctrl-C asks it to stop and undo; otherwise it is broken off.
        changing: the job changes the database although it heeds no such stop, so it may have done a part of it.
        stopping: what a graceful stop does, for the line that says so.

    Raises:
        Finished: always.
    """
    output = _output(as_json)
    ended: list[ResultEvent] = []
    try:
        unless_pressed()
        asyncio.run(_drive(job, output, ended, graceful, graceful or changing, stopping))
    except KeyboardInterrupt:
        # From the first of its signals on the job has its own answer to it; this one came before, or after the last.
        if not ended:
            ended.append(_told(output, _broken_off(changing=False)))
    finally:
        output.close()
    status = _status(ended[-1])
    if output.lost and not graceful and status == DONE:
        # Of what only looks, the output is the result.
        status = NEEDS_OPERATOR
    raise Finished(status)


def _output(as_json: bool) -> Output:
    """The form that was asked for; what only the other one needs is not imported."""
    if as_json:
        from vagus_tui.commands.output import JsonOutput

        return JsonOutput()
    from vagus_tui.commands.human import HumanOutput

    return HumanOutput()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what nobody awaited, but for the end of a connection that was given up while it was being opened.

    The driver has no use for that either, and leaves it lying about.
    """
    future = context.get("future")
    bare = future is not None and not isinstance(future, asyncio.Task)
    if not (bare and isinstance(context.get("exception"), ConnectionError)):
        loop.default_exception_handler(context)


async def _drive(
    job: Job, output: Output, ended: list[ResultEvent], graceful: bool, changing: bool, stopping: str
) -> None:
    """Consume the job's events; its result goes to `ended` once it was told."""
    control = Control()
    TELL.set(output.show)
    work = asyncio.ensure_future(_consume(job, control, output))

    def interrupted() -> None:
        if graceful and not control.cancelled:
            control.cancel()
            output.show(NoteEvent(message=f"{stopping}; Ctrl-C again breaks off at once.", level="warning"))
        else:
            work.cancel()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, interrupted)
    try:
        result = await work
    except asyncio.CancelledError:
        result = _broken_off(changing=changing)
    ended.append(_told(output, result))


def _told(output: Output, result: ResultEvent) -> ResultEvent:
    """Tell the result, with its exit status."""
    output.show(result := dataclasses.replace(result, exit_status=_status(result)))
    return result


def _broken_off(*, changing: bool) -> ResultEvent:
    return ResultEvent(
        ok=False,
        message=MESSAGE,
        state="The server undoes what was under way." if changing else STATE,
        next_step="vagus-tui status reads where things stand." if changing else None,
        exit_status=UNDONE,
    )


async def _consume(job: Job, control: Control, output: Output) -> ResultEvent:
    """Show the job's events and return its result, whatever way it ended."""
    result: ResultEvent | None = None
    try:
        async with contextlib.aclosing(job(control)) as events:
            async for event in events:
                if isinstance(event, ResultEvent):
                    result = event
                else:
                    output.show(event)
    except VagusError as error:
        return explained(error)
    except Exception as error:
        return unexpected(error)
    return result or ResultEvent(ok=True, message="Done.")


def _status(result: ResultEvent) -> int:
    if result.exit_status is not None:
        return result.exit_status
    return DONE if result.ok else NEEDS_OPERATOR


def explained(error: VagusError) -> ResultEvent:
    """An error of ours as the job's result: what happened, the state, what to do."""
    return ResultEvent(
        ok=False,
        message=error.happened,
        state=error.state or None,
        next_step=error.next_step or None,
        exit_status=error.exit_status,
    )


def unexpected(error: Exception) -> ResultEvent:
    """A failure that nobody foresaw, without traceback and without text that could hold an address."""
    import asyncpg

    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return ResultEvent(
            ok=False,
            message="The database takes no writes: it is a read replica, or default_transaction_read_only is on.",
            state="What was under way in a transaction was undone by the server.",
            next_step="vagus-tui check prerequisites says which (rights); vagus-tui status reads where things stand.",
            exit_status=NEEDS_OPERATOR,
        )
    if isinstance(error, asyncpg.PostgresError):
        message = f"The server refused a statement: {server_words(error)} (SQLSTATE {error.sqlstate})."
    else:
        message = account(error)
    right = RIGHTS_ELSEWHERE if isinstance(error, asyncpg.InsufficientPrivilegeError) else ""
    return ResultEvent(
        ok=False,
        message=message,
        state="What was under way in a transaction was undone by the server.",
        next_step=right or beyond_a_limit(error) or "vagus-tui status reads where things stand.",
        exit_status=NEEDS_OPERATOR,
    )


def say(error: VagusError, *, as_json: bool) -> NoReturn:
    """End a command with an error that came before any job.

    Raises:
        Finished: always.
    """
    output = _output(as_json)
    output.show(explained(error))
    output.close()
    sys.stdout.flush()
    raise Finished(error.exit_status)
