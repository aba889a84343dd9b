"""Long values as lines that people read: text wrapped, JSON spelled out, and what is left out said."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from vagus_tui.report.words import clean

WIDTH = 100
"""Cells of a line, its indentation included."""
LONG = 90
"""Longer values do not stand among the others on one line."""
MOST_LINES = 40
MOST_CHARACTERS = 20_000
"""So much of one value is looked at; the lines that it makes are cut as well."""
_INDENT = "  "


def long_lines(name: str, value: str, indent: str = "    ") -> list[str]:
    """A long value below its name; what is left out is counted, and where it stands is said."""
    lines: list[str] = []
    left = 0
    for line in _lines(_read(value), indent + _INDENT):
        if len(lines) < MOST_LINES:
            lines.append(line)
        else:
            left += 1
    if left or len(value) > MOST_CHARACTERS:
        what = f"{left:,} more lines" if left else f"more, of {len(value):,} characters"
        lines.append(f"{indent}{_INDENT}… {what}: whole in the report as HTML and as JSON")
    return [f"{indent}{name}:", *lines]


def spelled(value: str) -> list[str]:
    """A value as lines of any length: JSON spelled out, text as it is; as many as of a long value in the report."""
    return list(islice(_lines(_read(value), "", MOST_CHARACTERS), MOST_LINES))


def hanging(text: str, indent: str) -> list[str]:
    """A line as several, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _read(value: str) -> Any:
    """What a value holds, where it is JSON; else its text."""
    if value[:1] in ("{", "[", '"'):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _lines(value: Any, indent: str, width: int = WIDTH) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if item and isinstance(item, Mapping | list) and not _figures(item):
                yield from _wrapped(f"{name}:", indent, width)
                yield from _lines(item, indent + _INDENT, width)
            elif item not in (None, "", {}, []):
                yield from _wrapped(f"{name}: {_plain(item)}", indent, width)
    elif isinstance(value, list):
        if _figures(value):
            yield from _wrapped(_plain(value), indent, width)
            return
        for item in value:
            for number, line in enumerate(_lines(item, indent + _INDENT, width)):
                yield line if number else f"{indent}- {line.lstrip()}"
    else:
        for paragraph in str(value)[:MOST_CHARACTERS].splitlines():
            yield from _wrapped(paragraph, indent, width)


def _figures(value: Any) -> bool:
    """Figures and words that stand side by side rather than one below the other."""
    return isinstance(value, list) and all(isinstance(item, int | float | str | None) for item in value)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    shown = clean(text, MOST_CHARACTERS).replace("\n", " ")
    return [indent + line for line in textwrap.wrap(shown, max(20, width - len(indent)), break_on_hyphens=False)]
