"""The line at the top: which database this is, where it stands, and which environment."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from vagus_tui.screens.session import Link, Session
from vagus_tui.settings import Environment
from vagus_tui.widgets.text import fitted, safe_str

_ENVIRONMENT_STYLE = {
    Environment.PRODUCTION: "bold $production-text on $production",
    Environment.STAGING: "$accent",
    Environment.DEVELOPMENT: "$text-muted",
}


class HeaderLine(Widget):
    """Product, host/database · state · counts; the environment at the right, solid and in words for production."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def render(self) -> Content:
        """The line, fitted to the width: the counts go first when there is no room."""
        session = self.session
        environment = session.settings.environment
        word = f" {environment.value.upper() if environment is Environment.PRODUCTION else environment.value} "
        parts: list[str] = []
        if session.database is not None:
            parts.append(safe_str(session.database.label, limit=120))
        if session.link is Link.DOWN:
            parts.append("no connection")
        elif session.link in (Link.CONNECTING, Link.WAITING):
            parts.append("connecting" if session.link is Link.CONNECTING else "starting")
        elif session.state is not None:
            parts.append(session.state.state.value)
            now = session.now.maintenance
            if now.on:
                parts.append("write fence up" if now.fence else "maintenance on")
            if plans := session.counts.get("plans"):
                parts.append(f"{'' if plans.exact else '≈ '}{plans.rows:,} plans")
        room = max(0, self.size.width - len(word) - 12)
        where = fitted(" · ".join(parts), room)
        return Content.assemble((" vagus-tui", "bold $accent"), "  ", where, (word, _ENVIRONMENT_STYLE[environment]))
