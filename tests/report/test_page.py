"""The page, read as a browser reads it: what stands in which cell, in which tone, and where bars lie."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from vagus_tui.backup.forecast import Comparison
from vagus_tui.checks.access.matrix import COMMANDS, AccessMatrix, Cell, Kind, Person, Totals
from vagus_tui.report.contents import Report, Section
from vagus_tui.report.drawing import draw_access, draw_timeline
from vagus_tui.report.page import as_html
from vagus_tui.report.story import Line
from vagus_tui.report.stretches import Stretch
from vagus_tui.report.timeline import RunTimeline
from vagus_tui.report.words import clean

AT = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


class Reader(HTMLParser):
    """Collects what stands in elements of one kind: its class, its title, its text."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: list[tuple[str, str, str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self.wanted:
            given = dict(attrs)
            self.found.append((given.get("class") or "", given.get("title") or "", ""))
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != self.wanted

    def handle_data(self, data: str) -> None:
        if self.inside:
            kind, title, text = self.found[-1]
            self.found[-1] = (kind, title, text + data)


def read(page: str, wanted: str) -> list[tuple[str, str, str]]:
    """Class, title and text of every such element."""
    reader = Reader(wanted)
    reader.feed(page)
    return reader.found


def page_of(*sections: Section, **more: Any) -> str:
    head = {"database": "db & co", "environment": "staging", "operator": "ada", "state": "v1", "summary": "All."}
    return as_html(Report(made_at=AT, sections=sections, **{**head, **more}))


def test_a_cell_is_set_by_what_it_holds() -> None:
    values = (None, True, 1234, 0.5, AT, "pass", "other <b>", "one two three " * 9, "x" * 20, "x" * 21)
    section = Section("checks", "Checks", tuple(f"n_{number}" for number in range(len(values))), (values,), "None.")
    page = page_of(section)
    assert [(kind, text) for kind, _, text in read(page, "td")] == [
        ("", ""),
        ("", "yes"),
        ("number", "1,234"),
        ("number", "0.50"),
        ("when", "2026-03-01 21:00:00 UTC"),
        ("pass", "pass"),
        ("", "other <b>"),
        ("", "one two three " * 9),
        ("", "x" * 20),
        # Only what has no place to break may be broken anywhere.
        ("long", "x" * 21),
    ]
    assert [text for _, _, text in read(page, "th")][:2] == ["N 0", "N 1"]


def test_parts_that_there_are_are_linked_and_the_others_say_so() -> None:
    empty = Section("proof", "Proof: every row", (), (), "Nothing was proved yet.")
    story = Section("story", "What happened", (), (), "")
    assert [text for _, _, text in read(page_of(story, empty), "a")] == ["What happened", "Proof"]
    texts = [text for _, _, text in read(page_of(story, empty), "p")]
    assert texts == ["Nothing has been run.", "Nothing was proved yet."]
    drawn = page_of(timelines=(RunTimeline("1", "migrate", "ada", "done", AT, None, ()),))
    assert [text for _, _, text in read(drawn, "a")] == ["What happened", "Runs in time"]
    assert "<title>Workout migration: db &amp; co</title>" in drawn


def test_the_story_has_tones_that_are_not_colours_alone() -> None:
    lines = [Line(AT, "ada", "Began", ""), *(Line(AT, "", "Went", tone) for tone in ("good", "bad", "warn"))]
    page = page_of(story=tuple(lines))
    told = [(kind, text) for kind, _, text in read(page, "span") if kind]
    assert told == [("plain", "Began"), ("good", "✓ Went"), ("bad", "✗ Went"), ("warn", "! Went")]
    assert page.count("<b>ada</b>") == 1 and "<b></b>" not in page


def matrix(**cells: Cell) -> AccessMatrix:
    person = Person("anon", "anon", Kind.ANON, "<x>")
    found = {(person.id, "workout_plans", command): cells.get(command, Cell(1, 1)) for command in COMMANDS}
    lost, gained = (sum(getattr(cell, which) for cell in found.values()) for which in ("lost", "gained"))
    return AccessMatrix(
        (person,), ("workout_plans",), found, {Kind.ANON: Totals(1, lost=lost, gained=gained)}, at=AT, everyone=True
    )


def test_the_access_of_a_person_is_a_sign_per_command() -> None:
    page = draw_access(
        matrix(
            select=Cell(1, 1200),
            insert=Cell(2, 3, by_design=1),
            update=Cell(4, 3, lost=1),
            delete=Cell(4, 5, gained=1, lost=2),
        )
    )
    assert read(page, "td") == [
        ("", "anon", "anon <x>"),
        ("good", "1 row in v1, 1,200 in v2", "✓"),
        ("soft", "2 rows in v1, 3 in v2", "+"),
        ("bad", "4 rows in v1, 3 in v2; 1 lost, 0 gained", "−"),
        ("bad", "4 rows in v1, 5 in v2; 2 lost, 1 gained", "‼"),
    ]
    assert [text for _, _, text in read(page, "th")] == ["", "workout_plans", "Who", "S", "I", "U", "D"]
    assert read(page, "span") == [("bad", "", "3 rows lost, 1 gained")]
    assert "1 people and roles (all users), v1 against v2, 2026-03-01 21:00:00 UTC" in page


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (0, 1), (0, 0)])
def test_what_is_lost_or_gained_sets_the_tone(lost: int, gained: int) -> None:
    ((tone, _, text),) = read(draw_access(matrix(select=Cell(1, 1, lost=lost, gained=gained))), "span")
    if lost or gained:
        assert (tone, text) == ("bad", f"{lost} {'row' if lost == 1 else 'rows'} lost, {gained} gained")
    else:
        assert (tone, text) == ("good", "nothing lost, nothing gained")


def stretch(phase: str, begins: float, ends: float) -> Stretch:
    return Stretch(phase, 0, 0, AT + timedelta(seconds=begins), AT + timedelta(seconds=ends), 0)


def test_bars_lie_one_after_the_other_with_what_was_forecast_under_them() -> None:
    compared = (Comparison("build", "build", 4.0, 6.0), Comparison("waited", "writes <wait>", 0.0, 1.0))
    run = RunTimeline(
        "1",
        "migrate",
        "ada",
        "done",
        AT,
        AT + timedelta(hours=1),
        (stretch("build", 0, 6), stretch("hold", 6, 3000), stretch("build", 3000, 3003), stretch("prove", 3003, 3006)),
        waited=0.25,
        rehearsed_at=AT - timedelta(days=1),
        comparisons=compared,
    )
    page = draw_timeline(run)
    assert read(page, "h3")[0][2] == ("migration, done, by ada: 2026-03-01 21:00:00 UTC to 2026-03-01 22:00:00 UTC")
    bars = re.findall(r'class="bar([^"]*)" style="left:([\d.]+)%;width:([\d.]+)%"', page)
    # Twelve seconds of work share what the hold leaves of the track, of which it takes eight hundredths.
    assert bars == [
        ("", "0.00", "46.00"),
        (" forecast", "0.00", "30.67"),
        (" hold", "46.00", "8.00"),
        ("", "54.00", "23.00"),
        ("", "77.00", "23.00"),
    ]
    told = [text for _, _, text in read(page, "div") if text.strip()]
    assert told == ["build", "6.0 s", "hold", "49 min 54 s", "build again", "3.0 s", "prove", "3.0 s"]
    assert [text for _, _, text in read(page, "p")] == [
        "Writes waited 0.25 s at the swap.",
        "Forecast by the rehearsal of 2026-02-28 21:00:00 UTC (thin bars), and actual:",
    ]
    assert [text for _, _, text in read(page, "td")] == [
        *("build", "4.0 s", "6.0 s", "1.50 ×"),
        *("writes <wait>", "0.00 s", "1.0 s", ""),
    ]


def test_a_run_without_a_step_has_no_bars() -> None:
    page = draw_timeline(RunTimeline("1", "clean-up", "<a>", "running", AT, None, ()))
    assert read(page, "h3")[0][2] == "clean-up, running, by <a>: 2026-03-01 21:00:00 UTC"
    assert read(page, "p") == [("", "", "It did not get to a first step.")] and "bar" not in page


def test_what_is_forecast_longer_than_it_took_moves_the_next_bar() -> None:
    run = RunTimeline(
        *("1", "migrate", "ada", "done"),
        started_at=AT,
        finished_at=None,
        spans=(stretch("build", 0, 2), stretch("prove", 2, 4)),
        rehearsed_at=AT,
        comparisons=(Comparison("build", "build", 6.0, 2.0),),
    )
    bars = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", draw_timeline(run))
    assert bars == [("0.00", "25.00"), ("0.00", "75.00"), ("75.00", "25.00")]


def test_many_holds_leave_room_for_the_work() -> None:
    spans = [span for n in range(0, 20, 2) for span in (stretch("catch-up", n, n + 1), stretch("hold", n + 1, n + 2))]
    run = RunTimeline("1", "migrate", "ada", "done", AT, None, tuple(spans))
    bars = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", draw_timeline(run))
    # All holds together have four tenths of the track, and what was done in between shares the rest.
    assert [width for _, width in bars] == ["6.00", "4.00"] * 10 and bars[-1][0] == "96.00"


def test_values_are_written_as_people_read_them() -> None:
    values = (None, True, False, 1234567, 1234.567, AT, "a\nb", "a\tb\x1b\u202e\u00ad", "x" * 10, "x" * 11)
    assert [clean(value, 10) for value in values] == [
        *("", "yes", "no", "1,234,567", "1,234.57", "2026-03-01 21:00:00 UTC"),
        *("a\nb", "a�b���", "x" * 10, "x" * 10 + "… (11 characters)"),
    ]
