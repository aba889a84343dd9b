"""What the terminal shows when a defect, or somebody from outside, has ended the wizard."""

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


def killed_text(by: str) -> str:
    """The same for whoever ended it from outside, as by SIGTERM: nothing was asked, and nothing cleared away."""
    return (
        f"The wizard was ended by {by}. What was under way in the database is undone by the server; a migration that "
        "was built can be taken up.\nvagus-tui status reads where things stand."
    )
