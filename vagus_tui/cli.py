"""The command line: what can be typed, and which command each word runs.

The contract that scripts depend on (options, JSON lines, exit statuses) is kept here and in `commands/`.
Everything heavy is imported by the command that needs it, so that help, version and demo answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import itertools
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    CliSubCommand,
    CliToggleFlag,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from vagus_tui import __version__
from vagus_tui.commands.broken_off import broken_off
from vagus_tui.commands.check import CheckCommand
from vagus_tui.commands.cleanup import CleanupCommand
from vagus_tui.commands.complaints import complaint
from vagus_tui.commands.fix import FixCommand
from vagus_tui.commands.keep import NEWEST, BackupCommand
from vagus_tui.commands.maintain import AbandonCommand, MaintenanceCommand
from vagus_tui.commands.move import MigrateCommand, RollbackCommand
from vagus_tui.commands.outcome import USAGE, Finished
from vagus_tui.commands.play import DemoCommand, SandboxCommand, wizard
from vagus_tui.commands.record import ReportCommand
from vagus_tui.commands.rehearse import RehearseCommand
from vagus_tui.commands.sign import SignCommand
from vagus_tui.commands.sql import SqlCommand
from vagus_tui.commands.status import StatusCommand


class VagusTui(BaseSettings):
    """Moves a live VAGUS workout database from v1 to v2 and back, with nothing lost and everything proved.

    Without a command, the wizard starts on VAGUS_DATABASE_URL. Settings come from the environment (VAGUS_*)
    and the file .env; .env.example explains each.

    Exit status: 0 done, or all checks pass; 1 a check failed or a gate refused, nothing was changed;
    2 wrong usage or configuration; 3 it failed or was stopped, and was undone; 4 it failed and needs you.

    With --json each line of stdout is one object whose "event" says what it is. The last, and only the last, is
      result     ok, message, state, next_step, exit_status, figures
    Before it, as they happen and by what the command does:
      check      id, group, title, status (pass, warn, fail, skip, error), measured, expected, overridable, overridden
      step       id, phase, title, state (started, progress, done, failed), rows, total, seconds
      progress   how far a backup or rehearsal is in all
      note       message, level, detail
      sql        a step of a plan with its statements, lock and undo
      status, maintenance, backup, fix, fixed, sign-off, carried, compared, access, self-test, report, sandbox
                 what the command of that subject tells; change and round come with check --every
    """

    model_config = SettingsConfigDict(
        cli_prog_name="vagus-tui",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_enforce_required=True,
    )

    version: CliToggleFlag[bool] = Field(default=False, description="show the version and stop")
    demo: CliSubCommand[DemoCommand] = Field(
        description="the wizard, on an embedded PostgreSQL filled with sample v1 data"
    )
    sandbox: CliSubCommand[SandboxCommand] = Field(description="that embedded database alone, until Ctrl-C")
    status: CliSubCommand[StatusCommand] = Field(description="state, v1's shape, counts and the open run")
    check: CliSubCommand[CheckCommand] = Field(description="measure the database against what is expected of it")
    fix: CliSubCommand[FixCommand] = Field(description="guided fixes of v1's rows: list, apply, put back")
    sql: CliSubCommand[SqlCommand] = Field(description="print the SQL that a migration or rollback would run")
    backup: CliSubCommand[BackupCommand] = Field(description="make, verify, upload or list backups")
    rehearse: CliSubCommand[RehearseCommand] = Field(
        description="migrate, roll back and migrate again on a restored backup, for the forecast"
    )
    sign: CliSubCommand[SignCommand] = Field(description="messages to users: list them, sign them off once sent")
    migrate: CliSubCommand[MigrateCommand] = Field(description="move v1 to v2: build aside, prove, swap")
    cleanup: CliSubCommand[CleanupCommand] = Field(
        description="remove v1's kept tables, weeks after the cut-over; then only a backup leads back"
    )
    abandon: CliSubCommand[AbandonCommand] = Field(description="clean up an interrupted migration; v1 is not touched")
    maintenance: CliSubCommand[MaintenanceCommand] = Field(
        description="the maintenance flag and the write fence: on, off, status"
    )
    rollback: CliSubCommand[RollbackCommand] = Field(description="bring v1 back, with what was written since")
    report: CliSubCommand[ReportCommand] = Field(description="what was done, by whom, with which result")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Words on the command line only: a variable named CHECK in somebody's shell is no command."""
        return (init_settings,)

    def cli_cmd(self) -> None:
        """Run the command that was typed, or the wizard."""
        if self.version:
            print(f"vagus-tui {__version__}")
        elif all(getattr(self, name) is None for name in type(self).model_fields if name != "version"):
            raise Finished(wizard())
        else:
            CliApp.run_subcommand(self)


_METAVARS = {
    "--override": "CHECK=REASON",
    "--every": "TIME",
    "--for": "TIME",
    "--plans": "N",
    "--rate": "N",
    "--message": "TEXT",
    "--verify": "PATH",
    "--upload": "[PATH]",
    "--restore-test": "[PATH]",
    "--compression": "METHOD",
    "--kind": "KIND",
    "--from": "BACKUP",
    "--confirm": "PROJECT",
    "--undo": "BATCH",
    "--backup": "PATH",
    "--output": "FILE",
    "--note": "TEXT",
    "--format": "FORMAT",
}


WIDEST = 110
"""Longer lines of help are hard to read, however wide the terminal is."""
_ROW = re.compile(r" +(?:\S+ {2,})?")
"""How a line of a list begins: indented, mostly with a name and the gap behind it."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that fits its terminal: text is filled, what a list says stays in its column."""

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        """One word for the command: all of their names in braces are longer than a line."""
        if isinstance(action, argparse._SubParsersAction):
            return lambda size: ("COMMAND",) * size
        return super()._metavar_formatter(action, default_metavar)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        width = min(width, WIDEST)
        paragraphs = []
        for paragraph in inspect.cleandoc(text).split("\n\n"):
            lines: list[str] = []
            for listed, together in itertools.groupby(paragraph.splitlines(), key=lambda line: line.startswith(" ")):
                if listed:
                    lines += [part for line in together for part in _wrapped(line, width, _ROW)]
                else:
                    lines += _wrapped(" ".join(together), width)
            paragraphs.append("\n".join(indent + line for line in lines))
        return "\n\n".join(paragraphs)


def _wrapped(text: str, width: int, beginning: re.Pattern[str] | None = None) -> list[str]:
    """Break lines at blanks only, since a hyphen may be part of an option; below its beginning stands nothing."""
    found = beginning.match(text) if beginning is not None else None
    start = found.group() if found is not None else ""
    words = " ".join(text[len(start) :].split())
    return textwrap.wrap(words, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. What is wrong goes to stderr for people, into the result line for scripts."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return parser.parse_args(arguments)
    except SystemExit as stop:
        if stop.code:
            said = complaint.getvalue().strip().rpartition("error: ")[2].rstrip(".") + "."
            if said.startswith("argument {"):
                names = ", ".join(name for name in VagusTui.model_fields if name != "version")
                said = f"there is no such command; there are {names}."
            _wrong_usage([said], arguments, as_json="--json" in arguments)
        raise


def _add_argument(parser: Any, *names: str, **options: Any) -> Any:
    """Add one argument, its help without Python's type names and empty defaults."""
    for name in names:
        if name in _METAVARS:
            options["metavar"] = _METAVARS[name]
    if isinstance(text := options.get("help"), str):
        for empty in (" (default: None)", " (default: [])", " (default: null)", " (default: False)", " (default: )"):
            text = text.replace(empty, "")
        options["help"] = text
    return argparse.ArgumentParser.add_argument(parser, *names, **options)


def _whole_values(arguments: Sequence[str]) -> list[str]:
    """Wrap every override as a JSON array of one: a bare list value would be split at the commas of a reason.

    An `--upload` or `--restore-test` without a path means the newest backup.
    """
    wrapped: list[str] = []
    previous = ""
    for argument, following in zip(arguments, (*arguments[1:], "-"), strict=False):
        if previous == "--override" and not argument.startswith("-"):
            wrapped.append(json.dumps([argument]))
        elif argument.startswith("--override="):
            wrapped.append("--override=" + json.dumps([argument.removeprefix("--override=")]))
        elif argument in ("--upload", "--restore-test") and following.startswith("-"):
            wrapped.append(f"{argument}={NEWEST}")
        else:
            wrapped.append(argument)
        previous = argument
    return wrapped


def _command(name: object) -> type[BaseModel] | None:
    """The command of this name; None where there is none."""
    field = VagusTui.model_fields.get(str(name))
    parts = getattr(field.annotation, "__args__", ()) if field is not None else ()
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _as_typed(place: Sequence[object]) -> str:
    """What is typed for a field of a command: `--every`, or `GROUP` where it stands by itself."""
    names = [str(part) for part in place[1:] if not isinstance(part, int)]
    if not names:
        return ""
    command = _command(place[0])
    field = command.model_fields.get(names[0]) if command is not None else None
    alone = field is not None and any("Positional" in str(mark) for mark in field.metadata)
    return names[0].upper() if alone else "--" + names[0].rstrip("_").replace("_", "-")


def _wrong_usage(problems: Sequence[str], arguments: Sequence[str], *, as_json: bool) -> int:
    """Say what is wrong with the command line, in the form that was asked for."""
    message = " ".join(problems)
    command = f" {arguments[0]}" if arguments and _command(arguments[0]) is not None else ""
    next_step = f"vagus-tui{command} --help shows what can be typed."
    if as_json:
        line = {"event": "result", "ok": False, "message": message, "exit_status": USAGE}
        print(json.dumps({**line, "next_step": next_step}))
    else:
        print(f"vagus-tui: {message}\n{next_step}", file=sys.stderr)
    return USAGE


def _defect(error: Exception, *, as_json: bool) -> int:
    """Say that we failed ourselves, without the error's own text, which could hold an address."""
    from vagus_tui.commands.outcome import NEEDS_OPERATOR, unexpected

    told = unexpected(error)
    # Whoever reads may be gone, and that may be what failed.
    with contextlib.suppress(OSError):
        if as_json:
            print(json.dumps(told.to_json()), flush=True)
        else:
            print(f"vagus-tui: {told.message} {told.state}\n{told.next_step}", file=sys.stderr, flush=True)
    return NEEDS_OPERATOR


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status (see the contract in the class above)."""
    as_json = "--json" in arguments
    source: CliSettingsSource[VagusTui] = CliSettingsSource(
        VagusTui,
        parse_args_method=_parse,
        add_argument_method=_add_argument,
        formatter_class=_HelpFormatter,
    )
    try:
        CliApp.run(VagusTui, cli_args=_whole_values(arguments), cli_settings_source=source)
    except Finished as end:
        return int(str(end.code))
    except SystemExit as stop:
        return USAGE if stop.code else 0
    except SettingsError:
        return _wrong_usage(["The command line cannot be read."], arguments, as_json=as_json)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_input=False, include_url=False):
            where = _as_typed(item["loc"])
            words = complaint(item)
            problems.append(f"{where}: {words}." if where else f"{words}.")
        return _wrong_usage(problems, arguments, as_json=as_json)
    except KeyboardInterrupt:
        return broken_off(arguments)
    except Exception as error:
        return _defect(error, as_json=as_json)
    return 0


def _writable_streams() -> None:
    """Streams that take whatever is written: a closed one is as good as none, and a mark that it has not is a ?."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            # It asks a file where it stands, which one that has been led elsewhere since cannot say.
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="replace")


def main() -> None:
    """Run what was typed and leave with its exit status."""
    _writable_streams()
    sys.exit(run(sys.argv[1:]))
