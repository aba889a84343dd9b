"""The wizard, and what may be played with: the demo, which is the wizard too, and the sandbox."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.broken_off import unless_pressed
from vagus_tui.commands.outcome import DONE, Finished, say
from vagus_tui.commands.session import load_settings
from vagus_tui.errors import ConfigurationError, VagusError
from vagus_tui.events import Event, ResultEvent

PLANS = 200
MOST_PLANS = 200_000
RATE = 20.0
MOST_RATE = 1000.0
PAINTINGS = "120"
"""Per second, at most. The toolkit's 60 let a key that follows a painting wait up to two of its rounds, 33 ms; a wizard
in which nothing changes paints nothing either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEvent(Event):
    """The sandbox answers. Its address is the one secret that is printed: whoever asks for a sandbox needs it."""

    kind: ClassVar[str] = "sandbox"

    url: str


class _Playground(BaseModel):
    """Options of everything that runs on an embedded database."""

    model_config = ConfigDict(extra="forbid")

    plans: int = Field(default=PLANS, ge=1, le=MOST_PLANS, description="how many sample plans")
    clean: CliToggleFlag[bool] = Field(default=False, description="sample data without the usual faults")
    traffic: CliToggleFlag[bool] = Field(default=False, description="an app writes and reads while you migrate")
    rate: float = Field(
        default=RATE, gt=0, le=MOST_RATE, description="with --traffic: requests per second, two in five of them writes"
    )


class DemoCommand(_Playground):
    """Starts the wizard on an embedded PostgreSQL filled with sample v1 data. Nothing outside it is touched."""

    keep: CliToggleFlag[bool] = Field(default=False, description="keep the database's files afterwards")

    def cli_cmd(self) -> None:
        """Run the command."""
        try:
            _need_terminal()
            _paint_promptly()
            from vagus_tui.app import run_demo
            from vagus_tui.sandbox.options import SandboxOptions

            options = SandboxOptions(plans=self.plans, clean=self.clean, keep=self.keep)
            unless_pressed()
            status = run_demo(load_settings(), options, traffic_rate=self.rate if self.traffic else None)
        except VagusError as error:
            say(error, as_json=False)
        raise Finished(status)


class SandboxCommand(_Playground):
    """Runs the embedded database alone: its address is the first line on stdout. Ends on Ctrl-C."""

    empty: CliToggleFlag[bool] = Field(default=False, description="the v1 tables without a row")
    as_json: CliToggleFlag[bool] = Field(
        default=False, validation_alias=AliasChoices("json"), description="the address as a JSON object, then a result"
    )

    def cli_cmd(self) -> None:
        """Run the command."""
        from vagus_tui.commands.output import JsonOutput
        from vagus_tui.sandbox.command import run_sandbox
        from vagus_tui.sandbox.options import SandboxOptions

        options = SandboxOptions(plans=self.plans, clean=self.clean, empty=self.empty)
        rate = self.rate if self.traffic else None
        unless_pressed()
        try:
            if not self.as_json:
                asyncio.run(run_sandbox(options, rate))
                raise Finished(DONE)
            output = JsonOutput()
            asyncio.run(run_sandbox(options, rate, announce=lambda url: output.show(SandboxEvent(url=url))))
            output.show(ResultEvent(ok=True, message="Stopped, and nothing is left of it.", exit_status=DONE))
        except VagusError as error:
            say(error, as_json=self.as_json)
        raise Finished(DONE)


MARKS = "✓✗◐▸"
"""What tells the rows of a table apart that has no room for words."""


def _need_terminal() -> None:
    """Refuse to paint a wizard into a pipe, or one in which what passes and what fails would look the same.

    Raises:
        ConfigurationError: standard input or output is no terminal, or its encoding has none of the marks.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(
            "The wizard needs a terminal.",
            next_step="In scripts use the commands, such as vagus-tui status --json; see vagus-tui --help.",
        )
    try:
        MARKS.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The wizard's marks would all be a ? here: the encoding of this terminal is {sys.stdout.encoding}.",
            next_step="Set LC_ALL to C.UTF-8, or use the commands, which say it in words.",
        ) from None


def _paint_promptly() -> None:
    """Say how often may be painted, unless somebody has: the toolkit reads that once, when it is imported."""
    os.environ.setdefault("TEXTUAL_FPS", PAINTINGS)


def wizard() -> int:
    """Start the wizard on the database that the settings name; returns the exit status."""
    try:
        settings = load_settings()
        from vagus_tui.database.connection import Database

        # The address is looked at first: a wizard that opens only to say that none is set helps nobody.
        Database(settings)
        _need_terminal()
        _paint_promptly()
        from vagus_tui.app import run_wizard

        unless_pressed()
        return run_wizard(settings)
    except VagusError as error:
        say(error, as_json=False)
