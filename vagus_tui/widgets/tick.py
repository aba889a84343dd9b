"""A box to tick whose state can be read without colour: `[✓]` or `[ ]`."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Checkbox


class Tick(Checkbox):
    """A checkbox on one line."""

    def render(self) -> Content:
        """The box, then its words."""
        return Content.assemble(
            ("[✓]" if self.value else "[ ]", "bold $accent" if self.value else "$text-muted"), " ", self._label
        )
