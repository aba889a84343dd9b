"""How a command ends, whatever its job does: one result, one exit status, and what was left in words that hold."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Coroutine
from types import ModuleType

import asyncpg
import pytest

from vagus_tui.__main__ import main as entry
from vagus_tui.cli import run
from vagus_tui.commands.broken_off import STATUS
from vagus_tui.commands.outcome import DONE, NEEDS_OPERATOR, REFUSED, UNDONE, Finished, Job, finish
from vagus_tui.commands.output import TextEvent
from vagus_tui.commands.status import StatusCommand
from vagus_tui.control import Control
from vagus_tui.events import Event, ResultEvent


def _end(
    job: Job, capsys: pytest.CaptureFixture[str], *, changing: bool = False, graceful: bool = False
) -> tuple[int, dict[str, object], str]:
    """The exit status, the result line, and what went to stderr."""
    with pytest.raises(Finished) as end:
        finish(job, as_json=True, changing=changing, graceful=graceful)
    said = capsys.readouterr()
    return int(str(end.value.code)), json.loads(said.out.splitlines()[-1]), said.err


def test_every_result_carries_its_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    async def job(control: Control) -> AsyncGenerator[Event, None]:
        yield ResultEvent(ok=True, message="Listed.")

    status, result, _ = _end(job, capsys)
    assert status == result["exit_status"] == DONE


def test_a_limit_of_the_server_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    async def job(control: Control) -> AsyncGenerator[Event, None]:
        raise asyncpg.ConfigurationLimitExceededError('temporary file size exceeds "temp_file_limit" (64kB)')
        yield

    status, result, _ = _end(job, capsys)
    assert status == NEEDS_OPERATOR and "temp_file_limit" in str(result["message"])
    assert "set work_mem" in str(result["next_step"])


@pytest.mark.parametrize(
    ("error", "told", "next_step"),
    [
        (
            asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"),
            "takes no writes: it is a read replica",
            "(rights)",
        ),
        (
            asyncpg.InsufficientPrivilegeError("permission denied"),
            "permission denied (SQLSTATE 42501)",
            "lacks a right",
        ),
        (asyncpg.DivisionByZeroError("division by zero"), "division by zero (SQLSTATE 22012)", "vagus-tui status"),
        (
            ValueError("postgresql://u:kept-to-yourself@h/d"),
            "itself failed: ValueError at test_outcome.py",
            "status reads",
        ),
    ],
)
def test_what_nobody_foresaw_is_told_by_what_the_server_said(
    capsys: pytest.CaptureFixture[str], error: Exception, told: str, next_step: str
) -> None:
    async def job(control: Control) -> AsyncGenerator[Event, None]:
        raise error
        yield

    status, result, err = _end(job, capsys)
    assert status == NEEDS_OPERATOR and result["ok"] is False and told in str(result["message"])
    assert next_step in str(result["next_step"]) and "kept-to-yourself" not in str(result) + err


def test_broken_off_after_all_was_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, not a second time."""
    run = asyncio.run

    def interrupted(main: Coroutine[object, object, None]) -> None:
        run(main)
        raise KeyboardInterrupt

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        yield ResultEvent(ok=True, message="Listed.")

    monkeypatch.setattr(asyncio, "run", interrupted)
    with pytest.raises(Finished) as end:
        finish(job, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert int(str(end.value.code)) == json.loads(line)["exit_status"] == DONE


@pytest.mark.parametrize("does", ["looks", "changes", "stops when asked"])
def test_broken_off(capsys: pytest.CaptureFixture[str], does: str) -> None:
    """That nothing was changed is only said by what changes nothing."""
    asked = []

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        os.kill(os.getpid(), signal.SIGINT)
        if does == "stops when asked":
            await control.wait_cancelled()
            asked.append(control)
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        yield ResultEvent(ok=True, message="Too late.")

    status, result, _ = _end(job, capsys, changing=does == "changes", graceful=does == "stops when asked")
    assert status == UNDONE and len(asked) == (does == "stops when asked")
    assert (result["state"] == "Nothing was changed.") is (does == "looks")
    assert ("next_step" in result) is (does != "looks")


def test_broken_off_before_anything_began(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being read in, before it runs, before the job has its own answer: in words, and none of Python's."""

    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    class InterruptedOnce:
        """In place of the file that would listen for it: Ctrl-C while that is looked for."""

        def __init__(self) -> None:
            self.asked = 0

        def find_spec(self, name: str, *_: object) -> None:
            self.asked += name == "vagus_tui.commands.broken_off"
            if self.asked == 1:
                raise KeyboardInterrupt

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        yield ResultEvent(ok=True, message="Never begun.")

    def entered(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vagus-tui", *arguments])
        with pytest.raises(SystemExit) as end:
            entry()
        return int(str(end.value.code))

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "vagus_tui.commands.broken_off")
        patch.setattr(sys, "meta_path", [InterruptedOnce(), *sys.meta_path])
        assert entered("status") == UNDONE
        assert capsys.readouterr().err == "Broken off by the operator. Nothing was changed.\n"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "vagus_tui.cli", Interrupted("vagus_tui.cli"))
        assert entered("status", "--json") == UNDONE == STATUS
        assert json.loads(capsys.readouterr().out)["exit_status"] == UNDONE
        assert entered("status") == UNDONE
        assert capsys.readouterr().err == "Broken off by the operator. Nothing was changed.\n"
    monkeypatch.setattr(StatusCommand, "cli_cmd", interrupted)
    assert run(["status", "--json"]) == UNDONE
    assert json.loads(capsys.readouterr().out)["exit_status"] == UNDONE
    monkeypatch.setattr("vagus_tui.commands.outcome._drive", interrupted)
    status, result, _ = _end(job, capsys, changing=True)
    assert (status, result["exit_status"], result["state"]) == (UNDONE, UNDONE, "Nothing was changed.")


def test_a_ctrl_c_during_an_import_is_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python prints and forgets what is raised in a callback of its own: the migration went on to its cut-over."""
    begun = []

    class Forgetful:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        begun.append(control)
        yield ResultEvent(ok=True, message="Migrated.")

    def command_line() -> None:
        sys.exit(run(["status", "--json"]))

    class Imported(ModuleType):
        def __getattr__(self, name: str) -> object:
            if name != "main":
                raise AttributeError(name)
            Forgetful()
            return command_line

    monkeypatch.setitem(sys.modules, "vagus_tui.cli", Imported("vagus_tui.cli"))
    monkeypatch.setattr(StatusCommand, "cli_cmd", lambda self: finish(job, as_json=True))
    with pytest.raises(SystemExit) as end:
        entry()
    assert (end.value.code, begun) == (UNDONE, [])
    assert json.loads(capsys.readouterr().out)["state"] == "Nothing was changed."
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_defect_ends_a_command_without_its_own_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would print it, with an address in it, and leave with the status of a check that failed."""

    def failing(self: StatusCommand) -> None:
        raise KeyError("postgresql://me:hush@h/d")

    monkeypatch.setattr(StatusCommand, "cli_cmd", failing)
    for arguments in (["status"], ["status", "--json"]):
        assert run(arguments) == NEEDS_OPERATOR
        said = capsys.readouterr()
        told = said.out + said.err
        assert "vagus-tui itself failed: KeyError at test_outcome.py" in told and "hush" not in told
    assert json.loads(said.out)["exit_status"] == NEEDS_OPERATOR


@pytest.mark.parametrize("as_json", [True, False])
def test_an_output_that_cannot_be_written(
    as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full disk swallowed was the result of what only looks; a migration is done all the same."""

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        yield TextEvent(text="-- SQL\n" * 1000)
        yield ResultEvent(ok=not held, message="It.", exit_status=REFUSED if held else None)

    held = False

    def ended(place: int, *, graceful: bool = False) -> int:
        with os.fdopen(place, "w") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            with pytest.raises(Finished) as end:
                finish(job, as_json=as_json, graceful=graceful)
            sys.stdout.close()
            with contextlib.suppress(OSError):
                stream.close()
        return int(str(end.value.code))

    def full() -> int:
        return os.open("/dev/full", os.O_WRONLY)

    assert ended(full()) == NEEDS_OPERATOR
    assert "cannot be written any more (No space left on device)" in capsys.readouterr().err
    assert ended(full(), graceful=True) == DONE
    held = True
    assert ended(full()) == REFUSED
    held = False
    # Whoever reads no more has seen enough.
    reader, writer = os.pipe()
    os.close(reader)
    assert ended(writer) == DONE


def test_a_connection_given_up_while_it_was_opened_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The driver leaves its future lying about; anything else that nobody awaited is a defect, and is seen."""

    async def job(control: Control) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        for error in (ConnectionError("given up"), ValueError("a defect")):
            loop.create_future().set_exception(error)

        async def broken() -> None:
            raise ConnectionError("of a task of ours")

        task = loop.create_task(broken())
        await asyncio.sleep(0.01)
        del task
        gc.collect()
        loop.call_exception_handler({"message": "Of nothing that is awaited.", "exception": ConnectionError("of none")})
        yield ResultEvent(ok=True, message="Done.")

    reported: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            asyncio.BaseEventLoop,
            "default_exception_handler",
            lambda loop, context: reported.append(str(context["exception"])),
        )
        _end(job, capsys)
    assert sorted(reported) == ["a defect", "of a task of ours", "of none"]
