"""What the app tells its screens."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from vagus_tui.events import CheckEvent, Event
from vagus_tui.session.session import Topic


class SessionChanged(Message):
    """Something in the session has changed. `events` are those of checks and of the job, in their order."""

    bubble = False

    def __init__(self, topics: frozenset[Topic], events: Sequence[Event] = ()) -> None:
        super().__init__()
        self.topics = topics
        self.events = events

    @property
    def checks(self) -> list[CheckEvent]:
        """The events that speak of checks."""
        return [event for event in self.events if isinstance(event, CheckEvent)]
