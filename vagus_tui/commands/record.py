"""The command that writes the record: report."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.keep import named
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import finish
from vagus_tui.commands.session import opened
from vagus_tui.events import Event, NoteEvent, ResultEvent
from vagus_tui.format import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvent(Event):
    """The whole report as one object."""

    kind: ClassVar[str] = "report"

    report: Mapping[str, Any]


class ReportCommand(Command):
    """Writes what was done, by whom, when and with which result, from the journal. It holds no secrets."""

    output: Path | None = Field(default=None, description="the file to write; without it, text on stdout")
    format: Literal["html", "json", "text"] | None = Field(
        default=None, description="html, json or text; without it, what the file's name asks for"
    )
    put_back: CliToggleFlag[bool] = Field(
        default=False, description="first put back into the journal what only the copy on this machine still has"
    )

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _report(self), as_json=self.as_json, changing=self.put_back)


async def _report(asked: ReportCommand) -> AsyncGenerator[Event, None]:
    from vagus_tui.commands.output import TextEvent
    from vagus_tui.journal.local_copy import local_copy
    from vagus_tui.report.contents import make_report
    from vagus_tui.report.files import FORMATS, folder_words, save

    async with opened("report") as context:
        copy = await local_copy(context.connection, context.database.label, context.settings.journal_dir)
        missing = len(await copy.missing(context.connection)) if copy is not None else 0
        if asked.put_back and copy is not None:
            await copy.put_back(context.connection, context.settings.operator)
        elif missing:
            yield NoteEvent(
                level="warning",
                message=f"{plural(missing, 'entry is', 'entries are')} only in the copy on this machine; "
                "--put-back adds what is missing.",
            )
        report = await make_report(context.connection, context.database, context.settings, context.state)
    if asked.output is not None:
        path = named(asked.output)
        made = folder_words(path)
        save(report, path, asked.format)
        yield ResultEvent(ok=True, message=f"Written to {path}.{made}", figures={"path": path}, state=report.state)
        return
    if asked.as_json:
        yield ReportEvent(report=report.to_json())
    else:
        yield TextEvent(text=FORMATS[asked.format or "text"](report))
    entries = sum(len(section.rows) for section in report.sections)
    yield ResultEvent(ok=True, message=f"{plural(entries, 'entry', 'entries')} in the journal.", state=report.state)
