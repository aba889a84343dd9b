"""Settings that were meant and never read: a name that is nearly one of ours, in the environment or in `.env`.

A misspelt VAGUS_ENVIRONMENT would make production a development database, which asks for no backup. Names that are
not like any of ours belong to somebody else, such as the app of the same house, and are none of our business.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dotenv import dotenv_values

from vagus_tui.settings import Settings

PREFIX = "VAGUS_"
_ALIKE = 0.85
_SHORTEST = 3


def misspelt(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that is nearly a setting, and the setting; only where that setting itself is not given."""
    given = {name.upper() for name in names}
    given = {name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)}
    ours = {name.upper() for name in Settings.model_fields}
    left = sorted(ours - given)
    for name in sorted(given - ours):
        short = len(name) >= _SHORTEST and next((one for one in left if one.startswith(name)), None)
        alike = difflib.get_close_matches(name, left, n=1, cutoff=_ALIKE)
        if meant := short or next(iter(alike), None):
            yield f"{PREFIX}{name}", f"{PREFIX}{meant}"


def given_names() -> set[str]:
    """The names of all variables in the environment and in `.env`.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    file = Path(".env")
    return set(os.environ) | (set(dotenv_values(file, encoding="utf-8")) if file.is_file() else set())
