"""What the terminal shows when a defect has ended the wizard."""

from __future__ import annotations

import traceback
from pathlib import Path

from vagus_tui.errors import account


def crash_text(error: BaseException) -> str:
    """What happened, what is so now, what to do, and the places to report; neither values nor the error's own text."""
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(
        (
            f"The wizard was ended by a defect of its own. {account(error)}",
            "What was at work was stopped as it is on quitting; what was under way in the database was undone.",
            "vagus-tui status reads where things stand. Please report this:",
            *(f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames),
        )
    )
