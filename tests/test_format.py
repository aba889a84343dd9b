"""Numbers, durations, sizes and times, on either side of every place where the way of writing them changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vagus_tui import format as written

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)

TOLD: list[tuple[Callable[..., str], dict[Any, str]]] = [
    (written.number, {None: "–", 0: "0", 1240311: "1,240,311", 1234.5: "1,234.5", 2.0: "2", 0.005: "0.01"}),
    (written.first_upper, {"": "", "a word": "A word", "äh": "Äh", "URL": "URL"}),
    (
        written.duration,
        {
            None: "–",
            0: "0.00 s",
            0.084: "0.08 s",
            0.094: "0.09 s",
            0.096: "0.1 s",
            2.0: "2 s",
            4.24: "4.2 s",
            9.94: "9.9 s",
            9.96: "0:10",
            10: "0:10",
            59.6: "1:00",
            3599.4: "59:59",
            3599.6: "1 h 0 m",
            8040: "2 h 14 m",
            86399: "23 h 59 m",
            86400: "1 d 0 h",
            273_600: "3 d 4 h",
        },
    ),
    (
        written.span,
        {
            0: "0.00 s",
            0.064: "0.06 s",
            0.994: "0.99 s",
            0.996: "1.0 s",
            12.44: "12.4 s",
            59.94: "59.9 s",
            59.96: "1 min",
            60: "1 min",
            200: "3 min 20 s",
            3599.4: "59 min 59 s",
            3599.6: "1 h",
            3600: "1 h",
            8070: "2 h 14 min",
        },
    ),
    (written.clock, {-1: "0:00", 42.9: "0:42", 727: "12:07", 3599.9: "59:59", 3600: "1:00:00", 3723: "1:02:03"}),
    (written.milliseconds, {None: "–", -0.1: "0", 0.0126: "13", 1.2345: "1,234"}),
    (
        written.size,
        {
            None: "–",
            0: "0 B",
            99: "99 B",
            999: "999 B",
            1000: "1.0 kB",
            99_940: "99.9 kB",
            99_960: "100 kB",
            999_400: "999 kB",
            999_600: "1.0 MB",
            430_000_000: "430 MB",
            2_500_000_000: "2.5 GB",
            1_234_000_000_000_000: "1,234.0 TB",
        },
    ),
    (written.every, {0.5: "0.5 s", 30: "30 s", 60: "1 min", 90: "90 s", 300: "5 min"}),
    (
        written.age_text,
        {
            timedelta(minutes=-1): "0 min",
            timedelta(minutes=59, seconds=59): "59 min",
            timedelta(hours=3, minutes=5): "3 h 05 m",
            timedelta(hours=47, minutes=59): "47 h 59 m",
            timedelta(hours=48): "2 days",
            timedelta(hours=119): "4 days",
        },
    ),
    (
        written.old,
        {
            timedelta(seconds=-3): "just made",
            timedelta(seconds=59): "just made",
            timedelta(seconds=60): "1 min old",
            timedelta(hours=119): "4 days old",
        },
    ),
]


@pytest.mark.parametrize(("words", "said"), TOLD, ids=[words.__name__ for words, _ in TOLD])
def test_each_is_written_in_one_way(words: Callable[..., str], said: dict[Any, str]) -> None:
    assert {value: words(value) for value in said} == said


def test_counts_say_of_what() -> None:
    assert [written.plural(count, "row") for count in (0, 1, 1000)] == ["0 rows", "1 row", "1,000 rows"]
    assert [written.plural(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]


def test_moments_are_shown_in_the_operators_zone() -> None:
    assert written.moment(None) == written.clock_time(None) == "–"
    # One that names no zone is UTC, wherever this machine is.
    for at in (NOON, NOON.replace(tzinfo=None)):
        assert (written.moment(at), written.clock_time(at, now=NOON)) == ("2026-03-01 12:00", "12:00:05")
        assert written.moment(at, "Asia/Tokyo") == "2026-03-01 21:00"
        assert written.clock_time(at, "Asia/Tokyo", NOON) == "21:00:05"
    # Of another day it is said which; a day ends when it does where the operator is.
    late = NOON + timedelta(hours=4)
    assert written.clock_time(NOON, "Asia/Tokyo", late) == "03-01 21:00"
    assert written.clock_time(NOON, "UTC", late) == "12:00:05"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (59, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (48 * 3600 - 1, "47 h ago"),
        (48 * 3600, "2 d ago"),
    ],
)
def test_how_long_ago_it_was(seconds: int, words: str) -> None:
    then = NOON - timedelta(seconds=seconds)
    assert written.ago(then, NOON) == words == written.ago(then.replace(tzinfo=None), NOON)


def test_it_may_never_have_been() -> None:
    assert written.ago(None, NOON) == "never"
    assert written.ago(datetime.now(UTC)) == "just now"
