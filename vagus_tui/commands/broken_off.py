"""What a command says that was broken off before it began. Imports next to nothing: not much may be there yet."""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

STATUS = 3
"""As `outcome.UNDONE`, which brings along whatever was still being imported."""
MESSAGE, STATE = "Broken off by the operator.", "Nothing was changed."

_pressed: list[int] = []


def listen() -> None:
    """Remember a Ctrl-C from now on, for `unless_pressed`; a second one ends the program wherever it is.

    Raised while something is imported it may come up within a callback of Python's own, which prints it and forgets
    it, and what was to be broken off would go on.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _pressed.clear()
        signal.signal(signal.SIGINT, _remember)


def _remember(number: int, frame: FrameType | None) -> None:
    if _pressed:
        raise KeyboardInterrupt
    _pressed.append(number)


def unless_pressed() -> None:
    """Go on as Python does by itself, where nobody pressed Ctrl-C since `listen`.

    Raises:
        KeyboardInterrupt: somebody did.
    """
    if signal.getsignal(signal.SIGINT) is _remember:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _pressed:
        _pressed.clear()
        raise KeyboardInterrupt


def broken_off(arguments: Sequence[str]) -> int:
    """Say it in the form that was asked for; returns the exit status."""
    import contextlib
    import json

    # Whoever broke it off may have closed the window.
    with contextlib.suppress(OSError):
        if "--json" in arguments:
            line = {"event": "result", "ok": False, "message": MESSAGE, "state": STATE, "exit_status": STATUS}
            print(json.dumps(line), flush=True)
        else:
            print(f"{MESSAGE} {STATE}", file=sys.stderr, flush=True)
    return STATUS
