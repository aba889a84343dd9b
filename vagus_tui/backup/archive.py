"""Reading the whole of an archive back: every byte is unpacked and every row of every table counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

from vagus_tui.backup.address import tool_address
from vagus_tui.backup.folder import AS_IT_WAS
from vagus_tui.backup.manifest import DamagedBackupError
from vagus_tui.backup.process import ToolFailedError, ToolRun
from vagus_tui.control import Control
from vagus_tui.database.tools import ClientTools
from vagus_tui.errors import RefusedError

_HEADER = re.compile(
    rb'COPY (?:("(?:[^"]|"")*"|[^\s."(]+)\.)("(?:[^"]|"")*"|[^\s."(]+) \(.*\) FROM stdin;\Z', re.DOTALL
)
_NO_COLUMNS = re.compile(rb'COPY (?:("(?:[^"]|"")*"|[^\s."(]+)\.)("(?:[^"]|"")*"|[^\s."(]+)  ?FROM stdin;\Z', re.DOTALL)
_LONGEST_LINE = 4 << 20
_END = b"\\.\n"


def _name(token: bytes) -> str:
    text = token.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


class RowCounter:
    """Counts the rows of each table in the text that pg_restore makes of an archive's data, piece by piece.

    In COPY's text form a row is exactly one line, and a line of `\\.` alone ends a table.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self._table: str | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        data = self._rest + data
        position = 0
        while True:
            if self._table is None:
                position, found = self._find_header(data, position)
                if not found:
                    break
            else:
                end = self._end_of_table(data, position)
                if end < 0:
                    # Whole lines only, so that the end mark is never cut in two.
                    line = data.rfind(b"\n", position) + 1
                    if line > position:
                        self.rows[self._table] += data.count(b"\n", position, line)
                        position = line
                    break
                self.rows[self._table] += data.count(b"\n", position, end)
                position = end + len(_END)
                self._table = None
        self._rest = data[position:]

    @staticmethod
    def _end_of_table(data: bytes, position: int) -> int:
        if data.startswith(_END, position):
            return position
        end = data.find(b"\n" + _END, position)
        return end + 1 if end >= 0 else -1

    def _find_header(self, data: bytes, position: int) -> tuple[int, bool]:
        """Look at whole lines for the start of a table; returns where to go on and whether one was found."""
        while (end := data.find(b"\n", position)) >= 0:
            line = data[position:end]
            # A column's name may hold a line break: such a header goes on until its FROM stdin.
            if line.startswith(b"COPY ") and not line.endswith(b" FROM stdin;"):
                finish = data.find(b" FROM stdin;\n", position)
                if finish < 0:
                    return position, False
                end = finish + len(b" FROM stdin;")
                line = data[position:end]
            position = end + 1
            match = _HEADER.match(line) or _NO_COLUMNS.match(line)
            if match:
                self._table = f"{_name(match[1])}.{_name(match[2])}"
                self.rows.setdefault(self._table, 0)
                return position, True
        if len(data) - position > _LONGEST_LINE:
            raise DamagedBackupError("An archive holds a line that no dump of ours has.")
        return position, False


async def read_archive(
    tools: ClientTools, archive: Path, counter: RowCounter | None, control: Control
) -> AsyncIterator[int]:
    """Unpack a whole archive and throw it away; yields the bytes of each piece of its text.

    Args:
        counter: counts the rows; None for an archive of definitions, which is read in full as well.

    Raises:
        DamagedBackupError: it cannot be read to its end.
        RefusedError: the program was ended, or could not be started, which says nothing about the archive.
        CancelledByOperatorError: a stop was asked for.
    """
    try:
        async for size in _read_archive(tools, archive, counter, control):
            yield size
    except ToolFailedError as error:
        raise RefusedError(error.happened, state=AS_IT_WAS, next_step=error.next_step) from None


async def _read_archive(
    tools: ClientTools, archive: Path, counter: RowCounter | None, control: Control
) -> AsyncIterator[int]:
    arguments = ["--file=-", *(["--data-only"] if counter else []), str(archive)]
    # No database takes part, so the tool is given none.
    address = tool_address("postgresql://", purpose="verify")
    async with ToolRun(tools.pg_restore, arguments, address, read_output=True) as run:
        while data := await run.read():
            if counter is not None:
                counter.feed(data)
            if control.cancelled:
                break
            yield len(data)
        status = await run.finish(control)
        if status < 0:
            raise run.failure(status)
        if status != 0 or any("error:" in line for line in run.errors):
            said = next((line for line in run.errors if "error:" in line), f"exit status {status}")
            raise DamagedBackupError(
                f"{archive.name} cannot be read to its end: {said.partition('error: ')[2] or said}.",
                next_step="Use another backup, or make a new one.",
            )
