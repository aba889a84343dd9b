"""The line at the top: which database this is, where it stands, and which environment.

While there is an alarm that nobody has acknowledged, a second line says so, on every screen.
"""

from __future__ import annotations

from textual.content import Content

from vagus_tui.events import Status
from vagus_tui.format import clock, clock_time, plural
from vagus_tui.session.session import Link, Session
from vagus_tui.session.watching import Alarm
from vagus_tui.settings import Environment
from vagus_tui.widgets.marks import MARKS
from vagus_tui.widgets.painted import Painted
from vagus_tui.widgets.text import fitted, safe_str

_ENVIRONMENT_STYLE = {
    Environment.PRODUCTION: "bold $production-text on $production",
    Environment.STAGING: "$accent",
    Environment.DEVELOPMENT: "$text-muted",
}


class HeaderLine(Painted):
    """Product, host/database · state · counts; the environment at the right, solid and in words for production."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def on_mount(self) -> None:
        """An alarm may be older than the screen."""
        self.follow()

    def follow(self) -> None:
        """Bring it up to date; it grows by a line for alarms."""
        height = 2 if self.session.alarms else 1
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        super().follow()

    def text(self) -> Content:
        """The line, and below it the alarms."""
        line = self._where()
        alarms = self.session.alarm_list
        return Content("\n").join((line, self._alarm(alarms))) if alarms else line

    def _alarm(self, alarms: list[Alarm]) -> Content:
        """What failed and since when, in words; which keys show and acknowledge it stands at the right end."""
        first = alarms[0]
        since = clock_time(first.change.at, self.session.settings.timezone)
        lost = first.change.now is Status.ERROR
        if first.over is None:
            words, style = f" ✗ {'NOT MEASURED' if lost else 'FAILS'} ", "bold $production-text on $production"
            told = f", was {first.change.was.value} before"
        else:
            words, style = f" ! {'WAS NOT MEASURED' if lost else 'FAILED'} ", "bold $background on $warning"
            told = ", passes again"
        more = f" · {len(alarms) - 1} more" if len(alarms) > 1 else ""
        keys = " W shows it  A seen "
        room = max(0, self.size.width - len(words) - len(keys))
        title = safe_str(first.change.title)
        if first.over is None and len(f"{title} · {since}{told}{more}") > room:
            # What it was before gives way to what it is.
            told = ""
        tail = f" · {since}{told}{more}"
        # When and how many come before the whole of the name: it stands in full where W leads.
        shown = fitted(title, min(len(title), max(8, room - len(tail))))
        return Content.styled(f"{words}{fitted(shown + tail, room)}{keys}", style)

    def _where(self) -> Content:
        """The line, fitted to the width: the counts go first when there is no room."""
        session = self.session
        environment = session.settings.environment
        word = f" {environment.value.upper() if environment is Environment.PRODUCTION else environment.value} "
        parts: list[str] = []
        if session.database is not None:
            parts.append(safe_str(session.database.label, limit=120))
        if session.link is Link.DOWN:
            parts.append(session.down_words)
        elif session.link in (Link.CONNECTING, Link.WAITING):
            parts.append("connecting" if session.link is Link.CONNECTING else "starting")
        elif session.state is not None:
            if session.silent:
                parts.append(f"no answer for {clock(session.silent)}")
            parts.append(session.state.state.words)
            now = session.now.maintenance
            if now.on:
                parts.append("write fence up" if now.fence else "maintenance on")
            if plans := session.counts.get("plans"):
                parts.append(f"{'' if plans.exact else '≈ '}{plural(plans.rows, 'plan')}")
        if session.writing:
            parts.insert(1, f"{MARKS[Status.RUNNING]} writing")
        room = max(0, self.size.width - len(word) - 12)
        where = fitted(" · ".join(parts), room)
        return Content.assemble((" vagus-tui", "bold $accent"), "  ", where, (word, _ENVIRONMENT_STYLE[environment]))
