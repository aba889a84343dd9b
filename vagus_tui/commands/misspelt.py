"""Settings that were meant and never read: a name that is nearly one of ours, in the environment or in `.env`.

A misspelt VAGUS_ENVIRONMENT would make production a development database, which asks for no backup. Names that are
not like any of ours belong to somebody else, such as the app of the same house, and are none of our business.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dotenv.parser import parse_stream

from vagus_tui.errors import ConfigurationError
from vagus_tui.settings import Settings

PREFIX = "VAGUS_"
_ALIKE = 0.85
_SHORTEST = 3


def misspelt(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that is nearly a setting, and the setting; only where that setting itself is not given."""
    written = {name.upper() for name in names}
    given = {name.removeprefix(PREFIX) for name in written if name.startswith(PREFIX)}
    ours = {name.upper() for name in Settings.model_fields}
    left = sorted(ours - given)
    for name in sorted(written):
        spelt = name.replace("-", "_")
        if spelt != name and spelt in {f"{PREFIX}{one}" for one in left}:
            yield name, spelt
    for name in sorted(one for one in given - ours if "-" not in one):
        short = len(name) >= _SHORTEST and next((one for one in left if one.startswith(name)), None)
        alike = difflib.get_close_matches(name, left, n=1, cutoff=_ALIKE)
        if meant := short or next(iter(alike), None):
            yield f"{PREFIX}{name}", f"{PREFIX}{meant}"


def given_names() -> set[str]:
    """The names of all variables in the environment and in `.env`.

    Raises:
        ConfigurationError: the file has a line about us that sets nothing, which would be passed over without a word.
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    names, file = set(os.environ), Path(".env")
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for item in parse_stream(lines):
                text = item.original.string
                nothing = item.error or (item.key is not None and item.value is None)
                # Lines of other programs are theirs: container tools, for one, hand on a bare name.
                if nothing and PREFIX.rstrip("_") in text.upper():
                    number = item.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                    raise ConfigurationError(
                        f"Line {number} of the file .env sets nothing.",
                        next_step="Write NAME=VALUE, with a closing quote where there is an opening one.",
                    )
                names |= {item.key} if item.key else set()
    return names
