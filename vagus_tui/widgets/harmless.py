"""Any outside value as harmless text, without a toolkit: for both faces.

Values from the database, files and error messages are hostile: markup, terminal escapes, control characters,
bidirectional overrides, megabytes. `safe_str` takes the harm out and shows that it was there.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

CELL_LIMIT = 300
BLOCK_LIMIT = 200_000

_NEWLINES = re.compile(r"\r\n|[\n\r\u2028\u2029\x0b\x0c\x85]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_HARMFUL = re.compile(
    # C1 controls, and what reorders or hides text without leaving a mark of its own.
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# Joiners, variation selectors and skin tones: terminals do not agree on how wide they make the text.
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_MARK_FLOOD = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1dc0-\u1dff\u20d0-\u20ff]{3})[\u0300-\u036f\u0483-\u0489\u1dc0-\u1dff\u20d0-\u20ff]+"
)


def _picture(match: re.Match[str]) -> str:
    return chr(0x2400 + ord(match[0]))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def plain(value: object) -> str:
    """A value as an operator reads it: NULL for nothing, thousands left alone, times without microseconds."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value):,} bytes"
    if isinstance(value, list | tuple):
        return "{" + ", ".join(plain(item) for item in value) + "}"
    return str(value)


def safe_str(value: object, *, limit: int = CELL_LIMIT, lines: bool = False) -> str:
    """Any outside value as harmless text.

    Control characters become their pictures (ESC shows as ␛), characters that reorder or hide text show as
    their code, and what is longer than `limit` characters is cut and says how long it was.

    Args:
        limit: characters that are kept.
        lines: keep line breaks; otherwise they show as ⏎, so that one value stays on one line.
    """
    text = plain(value)
    length = len(text)
    if cut := length > limit:
        text = text[:limit]
    text = text.replace("\t", "    ")
    text = _NEWLINES.sub("\n" if lines else "⏎", text)
    text = _CONTROL.sub(_picture, text) if not lines else _CONTROL.sub(_picture_but_newline, text)
    text = _HARMFUL.sub(_escaped, _JOINERS.sub("", text))
    text = _MARK_FLOOD.sub(r"\1", text)
    return f"{text}… ({length:,} characters)" if cut else text


def _picture_but_newline(match: re.Match[str]) -> str:
    return match[0] if match[0] == "\n" else _picture(match)
