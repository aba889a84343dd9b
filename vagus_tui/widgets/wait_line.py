"""Whose lock is waited for, under the title for as long as anything waits."""

from __future__ import annotations

from textual.widgets import Static

from vagus_tui.session.session import Session
from vagus_tui.widgets.text import safe_block


class WaitLine(Static):
    """Not there while nothing waits."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def on_mount(self) -> None:
        """What waits already may be waited for here."""
        self.follow()

    def follow(self) -> None:
        """Show what is waited for now."""
        words = next(iter(self.session.waits.values()), "")
        self.display = bool(words)
        if words:
            wait, _, who = words.partition("\n")
            self.update(safe_block(f"◐ {wait} 5, then b, can stop it.\n{who}"))
