"""Figures and values as the report writes them."""

from __future__ import annotations

import unicodedata
from datetime import datetime

CELL = 2_000
"""Longest value, in characters; longer ones are cut, and say how long they are."""


def clean(value: object, limit: int = CELL) -> str:
    """A value as text without characters that control, hide or reorder what is read."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return moment(value)
    text = str(value)
    shown = "".join(
        letter if letter == "\n" or unicodedata.category(letter)[0] != "C" else "�" for letter in text[:limit]
    )
    return shown + (f"… ({len(text):,} characters)" if len(text) > limit else "")


def moment(at: datetime) -> str:
    """`2026-03-01 22:00:05 UTC`."""
    return at.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
