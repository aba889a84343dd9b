"""Time zones by their names. UTC is there also on a machine without a time zone database, as in small containers."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def known_zone(name: str) -> tzinfo | None:
    """The time zone of that name; None where there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone(name: str) -> tzinfo:
    """The time zone of that name, or UTC where the name is unknown."""
    return known_zone(name) or UTC
