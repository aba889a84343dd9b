"""Where the wizard draws: on standard output, so that standard error is free to be sent to a file.

The toolkit draws on standard error. With `vagus-tui 2>log` it would draw into the file and leave a blank terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any

from textual.driver import Driver


def drawing_driver() -> type[Driver] | None:
    """The driver that draws on standard output; None where the toolkit's own is the only one there is."""
    if sys.platform == "win32":
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class OutputDriver(LinuxDriver):
        """Draws on standard output."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if sys.__stdout__ is not None:
                self._file = sys.__stdout__

    return OutputDriver


def die_of(number: int, driver: Driver | None, words: str) -> None:
    """Give the terminal back as it was, say something, and end by a signal as if it had not been heard.

    Nothing is stopped or undone on the way: whoever pulls the plug has no time for it, and what can be taken up stays.
    """
    if driver is not None:
        # A terminal that was closed needs nothing given back.
        with contextlib.suppress(OSError):
            driver.stop_application_mode()
            driver.close()
    with contextlib.suppress(OSError):
        # Not `sys.stderr`: while the toolkit runs, that is its own.
        print(words, file=sys.__stderr__, flush=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
