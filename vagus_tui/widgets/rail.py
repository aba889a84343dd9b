"""The rail at the left: the ten screens with how each stands, what comes next, the countdown, who holds the lock."""

from __future__ import annotations

from datetime import UTC, datetime

from textual import events
from textual.content import Content
from textual.message import Message

from vagus_tui.events import Status
from vagus_tui.format import duration
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.session import Link, Session, Standing
from vagus_tui.session.way_on import next_screen, next_words
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.painted import Painted
from vagus_tui.widgets.text import fitted, safe_str

_GAP_BEFORE = (Step.ROLLBACK,)
TOP_LINES = 1


def countdown(planned: datetime, now: datetime) -> str:
    """`T−0 in 2 h 14 m` before it, `T+3 d 4 h` after."""
    seconds = (planned - now).total_seconds()
    return f"T−0 in {duration(max(10, seconds))}" if seconds > 0 else f"T+{duration(max(10, -seconds))}"


class Rail(Painted):
    """One line per screen: mark, name, and at wide windows the word; a click goes there."""

    class Chosen(Message):
        """A screen was clicked."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    def __init__(self, session: Session, current: Step) -> None:
        super().__init__()
        self.session = session
        self.current = current
        self._rows: dict[int, Step] = {}

    def on_mount(self) -> None:
        """Count down by itself."""
        self.set_interval(10, self.follow)

    def text(self) -> Content:
        """All lines, with the last few at the bottom."""
        width, height = self.size
        lines: list[Content] = [Content("")] * TOP_LINES
        self._rows = {}
        for step in Step:
            if step in _GAP_BEFORE:
                lines.append(Content(""))
            self._rows[len(lines)] = step
            lines.append(self._line(step, width))
        bottom = self._bottom(width)
        while len(lines) < height - len(bottom):
            lines.append(Content(""))
        return Content("\n").join([*lines, *bottom][:height])

    def _line(self, step: Step, width: int) -> Content:
        standing = self.session.standings.get(step, Standing(Status.PENDING))
        locked = bool(self.session.locks(step))
        here = step is self.current
        word = standing.word or WORDS[standing.status]
        if locked and standing.status is Status.PENDING:
            word = "locked"
        quiet = standing.status is Status.PENDING and not standing.word and not locked
        room = max(0, width - 4)
        # The word takes what its screen's name leaves: only a longer one is cut, and only beside a long name.
        tail = "" if quiet or room < 22 else fitted(word, room - len(step.label) - 1, right=True)
        name = fitted(step.label, room - len(tail))
        style = "bold $accent" if here else "$text-disabled" if locked else ""
        return Content.assemble(
            ("▸" if here else " ", "bold $accent"),
            (MARKS[standing.status], STYLES[standing.status]),
            " ",
            (name, style),
            (tail, "$text-muted"),
        )

    def _bottom(self, width: int) -> list[Content]:
        lines: list[Content] = []
        state, following = self.session.state, next_screen(self.session)
        if state is not None and following is not None and following is not self.current:
            key = (list(Step).index(following) + 1) % 10
            place = f"{key} {next_words(following, state.state)}"
            one_line = f"next: {place}"
            for words in (one_line,) if len(one_line) <= width - 2 else ("next:", f" {place}"):
                lines.append(Content.styled(" " + fitted(words, max(0, width - 2)), "$accent"))
        planned = self.session.now.planned_at
        if planned is not None:
            lines.append(Content(" " + fitted(countdown(planned, datetime.now(UTC)), max(0, width - 2))))
        holder = self.session.now.lock
        if self.session.link is Link.DOWN:
            text, style = "lock: not known", "$text-muted"
        elif holder is None:
            text, style = "lock: free", "$text-muted"
        elif self.session.lock_ours:
            text, style = "lock: ours", "$accent"
        elif (run := self.session.watched) is not None:
            phase = run.current.phase.value if run.current is not None else run.name
            text, style = f"{safe_str(run.title, limit=40).split(' on ')[0]}: {phase}", "$warning"
        else:
            text, style = f"lock: PID {holder.pid}", "$warning"
        lines.append(Content.styled(" " + fitted(text, max(0, width - 2)), style))
        return lines

    def on_click(self, event: events.Click) -> None:
        """Go where the click is."""
        if (step := self._rows.get(event.y)) is not None:
            self.post_message(self.Chosen(step))
