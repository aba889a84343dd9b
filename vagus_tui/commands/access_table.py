"""The access matrix for people at a terminal: one line per person, four marks per table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from vagus_tui.checks.access.matrix import COMMANDS, AccessEvent
from vagus_tui.widgets.harmless import safe_str

MARKS = {"same": ("✓", "green"), "by design": ("+", "cyan"), "lost": ("✗", "red"), "gained": ("!", "bold red")}
LEGEND = "✓ same, + more by design, ✗ lost, ! gained, · no rows; select insert update delete"


def access_table(cells: Sequence[AccessEvent]) -> Table:
    """People down, tables across."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    tables = list(dict.fromkeys(cell.table for cell in cells))
    found = {(cell.user, cell.table, cell.command): cell for cell in cells}
    table.add_column("User", overflow="fold")
    for name in tables:
        table.add_column(name.removeprefix("workout_").removeprefix("exercise_"), no_wrap=True)
    for user, who in {cell.user: cell.who for cell in cells}.items():
        marks = []
        for name in tables:
            text = Text()
            for command in COMMANDS:
                cell = found[user, name, command]
                nothing = cell.verdict == "same" and not cell.before and not cell.now
                text.append(*(("·", "dim") if nothing else MARKS[cell.verdict]))
            marks.append(text)
        known = any(cell.role == user for cell in cells)
        table.add_row(Text(user if known else f"{who} {safe_str(user)[:8]}"), *marks)
    return table
