"""Says, while a request to a cloud is tried again, that it is, which try it was, and why: in our words alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vagus_tui.events import NoteEvent
from vagus_tui.format import plural

Tell = Callable[[NoteEvent], None]

GOES_ON = "It goes on by itself when it can. If stopped, start it again later: what has arrived is not sent again."
WAITING_SAID_SECONDS = 60
"""A slow line is told of no more often than that."""


def _ignore(note: NoteEvent) -> None:
    """For whoever asks once and sees the answer."""


@dataclass(slots=True)
class Retrying:
    """What is being tried again, if anything.

    Args:
        cloud: whose bucket it is.
        patience_seconds: how long requests that fail are tried again.
        tell: hears of it.
    """

    cloud: str
    patience_seconds: int
    tell: Tell = _ignore
    tries: int = 0
    since: float = field(default_factory=time.monotonic)
    said: float = -math.inf

    def failed(self, why: str, heard: float | None = None) -> None:
        """A try has failed, and there will be another.

        Args:
            why: in our words.
            heard: when something was last answered, where that is longer ago than this try.
        """
        now = time.monotonic()
        if not self.tries:
            self.since = now if heard is None else heard
        self.tries += 1
        left = self.patience_seconds - (now - self.since)
        if left < 1:
            # The error that ends it follows.
            return
        message = f"{self.cloud}: try {self.tries} failed, {why}. Trying again for {left:.0f} s at most. {GOES_ON}"
        self.tell(NoteEvent(level="warning", message=message, detail={"try": self.tries, "why": why}))

    def waiting(self, seconds: float, limit: float) -> None:
        """A request has not moved for so long, while others are answered: said now and then."""
        now = time.monotonic()
        if now - self.said < WAITING_SAID_SECONDS:
            return
        self.said = now
        until = "" if math.isinf(limit) else f" It is made again after {limit:.0f} s."
        self.tell(NoteEvent(message=f"{self.cloud} answers, but slowly: nothing has moved for {seconds:.0f} s.{until}"))

    @property
    def exhausted(self) -> bool:
        """Whether nothing was answered for as long as was promised."""
        return bool(self.tries) and time.monotonic() - self.since > self.patience_seconds

    def answered(self) -> None:
        """A request was answered: what had failed is over."""
        if self.tries:
            tries = f"{plural(self.tries, 'try', 'tries')} had failed"
            seconds = time.monotonic() - self.since
            self.tell(NoteEvent(message=f"{self.cloud} answers again, after {seconds:.0f} s; {tries}."))
        self.tries = 0
