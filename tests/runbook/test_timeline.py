"""The timeline: complete, in order, and right about dates when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from vagus_tui.runbook.checklists import find_item
from vagus_tui.runbook.model import DAY, HOUR, MINUTE, T_ZERO
from vagus_tui.runbook.timeline import (
    CLEAN_UP_EARLIEST,
    FINAL_BACKUP_MAX_AGE,
    TIMELINE,
    ScheduledEntry,
    Standing,
    at,
    duration_label,
    item_standing,
    offset_label,
    schedule,
    standing,
)

OSLO = ZoneInfo("Europe/Oslo")
BY_ID = {entry.id: entry for entry in TIMELINE}


def scheduled(entry_id: str, planned_at: datetime) -> ScheduledEntry:
    (found,) = [entry for entry in schedule(planned_at) if entry.entry.id == entry_id]
    return found


def test_the_thirteen_rows_of_the_guide_are_there() -> None:
    assert sorted(entry.guide_row for entry in TIMELINE if entry.guide_row is not None) == list(range(1, 14))


def test_rows_are_in_order_and_short() -> None:
    offsets = [entry.offset for entry in TIMELINE]
    assert offsets == sorted(offsets)
    for entry in TIMELINE:
        assert len(entry.action) <= 50 and len(entry.note) <= 110, entry.id


def test_the_guides_mistakes_are_corrected() -> None:
    # The final backup protects the last day, too.
    assert -FINAL_BACKUP_MAX_AGE <= BY_ID["timeline.final-backup"].offset < T_ZERO
    # Building is over before users notice anything; the fence stands for minutes at most.
    assert BY_ID["timeline.build"].offset < BY_ID["timeline.cut-over"].offset == T_ZERO
    assert BY_ID["timeline.reopen"].offset <= 5 * MINUTE
    # The flag goes down only after verification, and v1 goes only after the rollout of seven days.
    assert BY_ID["timeline.verify"].offset < BY_ID["timeline.reopen"].offset
    assert BY_ID["timeline.clean-up"].offset == CLEAN_UP_EARLIEST > 7 * DAY
    assert BY_ID["timeline.app-approved"].offset < T_ZERO


def test_days_keep_the_time_on_the_clock_across_the_spring_change() -> None:
    planned = datetime(2026, 4, 2, 22, 0, tzinfo=OSLO)
    announce = scheduled("timeline.announce", planned)
    assert announce.starts_at == datetime(2026, 3, 26, 22, 0, tzinfo=OSLO)
    assert announce.starts_at.utcoffset() == HOUR and planned.utcoffset() == 2 * HOUR
    assert planned.astimezone(UTC) - announce.starts_at.astimezone(UTC) == 7 * DAY - HOUR


def test_hours_are_elapsed_time_across_the_spring_change() -> None:
    planned = datetime(2026, 3, 29, 3, 30, tzinfo=OSLO)
    backup = scheduled("timeline.final-backup", planned)
    assert (backup.starts_at.hour, backup.starts_at.minute) == (0, 30)
    assert planned.astimezone(UTC) - backup.starts_at.astimezone(UTC) == 2 * HOUR


def test_hours_are_elapsed_time_across_the_autumn_change() -> None:
    # 02:30 comes twice on this night; fold says which.
    second = datetime(2026, 10, 25, 2, 30, tzinfo=OSLO, fold=1)
    build = scheduled("timeline.build", second)
    assert (build.starts_at.hour, build.starts_at.minute, build.starts_at.fold) == (2, 30, 0)
    cut_over = scheduled("timeline.cut-over", second)
    assert cut_over.starts_at.astimezone(UTC) == second.astimezone(UTC)
    assert build.ends_at is not None
    assert build.ends_at.astimezone(UTC) == second.astimezone(UTC)


def test_a_time_that_the_clocks_skip_moves_forward() -> None:
    planned = datetime(2026, 3, 30, 2, 30, tzinfo=OSLO)
    assert at(-DAY, planned) == datetime(2026, 3, 29, 3, 30, tzinfo=OSLO)


def test_rows_come_in_the_order_of_real_time() -> None:
    for day in (datetime(2026, 3, 29, 2, 0, tzinfo=OSLO), datetime(2026, 10, 25, 2, 30, tzinfo=OSLO, fold=1)):
        moments = [entry.starts_at.astimezone(UTC) for entry in schedule(day)]
        assert moments == sorted(moments)
        assert len(moments) == len(TIMELINE)


def test_a_planned_start_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        schedule(datetime(2026, 3, 1, 22, 0))


def test_a_row_goes_from_upcoming_to_due_to_late() -> None:
    planned = datetime(2026, 3, 10, 22, 0, tzinfo=OSLO)
    staging = scheduled("timeline.staging", planned)
    start = staging.starts_at.astimezone(UTC)
    assert standing(staging, start - timedelta(seconds=1), False) is Standing.UPCOMING
    assert standing(staging, start, False) is Standing.DUE
    assert standing(staging, start + 20 * MINUTE, False) is Standing.DUE
    assert standing(staging, start + 21 * MINUTE, False) is Standing.LATE
    assert standing(staging, start + 21 * MINUTE, True) is Standing.DONE
    assert standing(staging, start + 21 * MINUTE, {"timeline.staging"}) is Standing.DONE
    assert standing(staging, start + 21 * MINUTE, {"timeline.announce"}) is Standing.LATE


def test_an_ongoing_row_is_never_late() -> None:
    planned = datetime(2026, 3, 10, 22, 0, tzinfo=OSLO)
    check = scheduled("timeline.acceptance-check", planned)
    assert check.ends_at is None
    assert standing(check, planned + 300 * DAY, False) is Standing.DUE


def test_standing_is_right_in_the_hour_that_comes_twice() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=OSLO, fold=0)
    second = datetime(2026, 10, 25, 2, 15, tzinfo=OSLO, fold=1)
    cut_over = scheduled("timeline.cut-over", first)
    # On the clock 02:15 is before 02:30; in truth it is three quarters of an hour later.
    assert standing(cut_over, second, False) is Standing.LATE


def test_items_have_a_standing_of_their_own() -> None:
    planned = datetime(2026, 3, 10, 22, 0, tzinfo=OSLO)
    mail = find_item("communications.announce-email")
    assert item_standing(mail, planned, planned - 8 * DAY, False) is Standing.UPCOMING
    assert item_standing(mail, planned, planned - 7 * DAY + HOUR, False) is Standing.DUE
    assert item_standing(mail, planned, planned - 5 * DAY, False) is Standing.LATE
    assert item_standing(mail, planned, planned - 5 * DAY, True) is Standing.DONE
    status = find_item("communications.status-page")
    assert item_standing(status, planned, planned + 2 * HOUR, False) is Standing.LATE
    timeless = find_item("rollback.cause.logs")
    assert item_standing(timeless, planned, planned, False) is None
    assert item_standing(timeless, planned, planned, True) is Standing.DONE


@pytest.mark.parametrize(
    ("offset", "label"),
    [
        (-7 * DAY, "T−7 days"),
        (-DAY, "T−1 day"),
        (T_ZERO, "T−0"),
        (-2 * HOUR, "T−2 h"),
        (5 * MINUTE, "T+5 min"),
        (HOUR + 30 * MINUTE, "T+1 h 30 min"),
        (timedelta(seconds=1.5), "T+1.5 s"),
    ],
)
def test_offsets_read_well(offset: timedelta, label: str) -> None:
    assert offset_label(offset) == label


def test_durations_read_well() -> None:
    assert duration_label(None) == "ongoing"
    assert duration_label(20 * MINUTE) == "20 min"
    assert duration_label(8 * HOUR) == "8 h"
    assert duration_label(T_ZERO) == "0 s"
