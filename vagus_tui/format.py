"""Numbers, durations, sizes, times and words, each written in one way everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from vagus_tui.zones import zone


def number(value: float | None) -> str:
    """1,240,311; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `12 rows`, `1,000 rows`: counts say of what."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def first_upper(text: str) -> str:
    """Words as the beginning of a line or sentence."""
    return text[:1].upper() + text[1:]


def duration(seconds: float | None) -> str:
    """0.08 s, 4.2 s, 2 s, 0:42, 2 h 14 m, 3 d 4 h; a dash for nothing."""
    if seconds is None:
        return "–"
    # Judged as it will read: 9.97 is no “10 s” beside “0:10”.
    if round(seconds, 2) < 0.1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    minutes = whole // 60
    if minutes < 60 * 24:
        return f"{minutes // 60} h {minutes % 60} m"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def span(seconds: float) -> str:
    """`0.06 s`, `12.4 s`, `3 min 20 s`, `2 h 14 min`."""
    if round(seconds, 2) < 1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def age_text(age: timedelta) -> str:
    """An age as people say it: 26 min, 3 h 05 m, 4 days."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    return f"{minutes // (24 * 60)} days"


def old(age: timedelta) -> str:
    """How old something is that was made: just made, 26 min old, 4 days old."""
    return "just made" if age < timedelta(minutes=1) else f"{age_text(age)} old"


def clock(seconds: float) -> str:
    """Elapsed time that is counted up: 0:42, 12:07, 1:02:03."""
    whole = max(0, int(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def milliseconds(seconds: float | None) -> str:
    """Whole milliseconds, with thousands separators; a dash for nothing."""
    return "–" if seconds is None else f"{max(0, round(seconds * 1000)):,}"


def size(count: float | None) -> str:
    """430 MB; a dash for nothing. `count` is bytes, not negative; decimal units, as storage is sold."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if round(amount) < 1000:
            return f"{amount:,.0f} {unit}" if round(amount, 1) >= 100 or unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def moment(at: datetime | None, timezone: str = "UTC") -> str:
    """2026-03-01 22:00, in the operator's time zone; a dash for nothing."""
    if at is None:
        return "–"
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone(timezone)).strftime("%Y-%m-%d %H:%M")


def clock_time(at: datetime | None, timezone: str = "UTC", now: datetime | None = None) -> str:
    """14:03:12, in the operator's time zone; of another day 03-01 14:03; a dash for nothing."""
    if at is None:
        return "–"
    here = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone(timezone))
    today = (now or datetime.now(UTC)).astimezone(zone(timezone)).date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%m-%d %H:%M")


def every(seconds: float) -> str:
    """30 s, 1 min, 5 min: an interval as it was chosen."""
    return f"{seconds:g} s" if seconds < 60 or seconds % 60 else f"{seconds / 60:g} min"


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """`just now`, `26 min ago`, `3 h ago`, `2 d ago`; `never` for nothing."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h ago"
    return f"{int(seconds // 86400)} d ago"
