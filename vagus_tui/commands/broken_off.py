"""What a command says that was broken off before it began. Imports next to nothing: not much may be there yet."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence

STATUS = 3
"""As `outcome.UNDONE`, which brings along whatever was still being imported."""
MESSAGE, STATE = "Broken off by the operator.", "Nothing was changed."


def broken_off(arguments: Sequence[str]) -> int:
    """Say it in the form that was asked for; returns the exit status."""
    # Whoever broke it off may have closed the window.
    with contextlib.suppress(OSError):
        if "--json" in arguments:
            line = {"event": "result", "ok": False, "message": MESSAGE, "state": STATE, "exit_status": STATUS}
            print(json.dumps(line), flush=True)
        else:
            print(f"{MESSAGE} {STATE}", file=sys.stderr, flush=True)
    return STATUS
