"""A box to tick whose state can be read without colour: `[✓]` or `[ ]`, and `▸` before the one that has the focus."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Checkbox

from vagus_tui.widgets.pointer import HERE


class Tick(Checkbox):
    """A checkbox on one line."""

    def render(self) -> Content:
        """The box, then its words."""
        return Content.assemble(
            HERE if self.has_focus else " ",
            ("[✓]" if self.value else "[ ]", "bold $accent" if self.value else "$text-muted"),
            " ",
            self._label,
        )
