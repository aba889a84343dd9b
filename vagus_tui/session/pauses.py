"""When Python clears its memory: while nobody presses a key, rather than between a key and its painting.

Looking through everything the program holds takes Python 50 to 120 ms. By itself it does that after so many new
objects, which is to say while something is being painted, and the key waits. So what is there once everything is
imported is never looked through again, and the rest is looked through in moments without keys.
"""

from __future__ import annotations

import gc
import time

YOUNG, MIDDLE, OLD = 10_000, 10, 100
"""New objects until the young are looked through, such rounds until the middle-aged are, and those until all are: the
last is for whoever never stops typing."""
QUIET_SECONDS = 1.5
"""Without a key for so long, the next is not expected in the same tenth of a second."""
LOOK_SECONDS = 2.0
WORTH_IT = 2
"""Rounds of the middle-aged since everything was looked through; fewer have left nothing worth looking for."""


class Pauses:
    """Knows when the last key was, and clears in between."""

    def __init__(self) -> None:
        self._touched = time.monotonic()
        self._before: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """Set aside what is there now, for good: modules, and whatever else lasts as long as the program."""
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, OLD)

    def end(self) -> None:
        """As Python had it, for whoever comes after."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None

    def touch(self) -> None:
        """A key was pressed, or the mouse moved."""
        self._touched = time.monotonic()

    def look(self) -> bool:
        """Clear now if this is a pause and there is something to clear; tells whether it did."""
        quiet = time.monotonic() - self._touched >= QUIET_SECONDS
        if self._before is None or not quiet or gc.get_count()[2] < WORTH_IT:
            return False
        gc.collect()
        return True
