"""Outside text is shown as itself and does no harm."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import DataTable

from vagus_tui.checks.base import RowPage
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.outcome import figures
from vagus_tui.widgets.row_page import show_page
from vagus_tui.widgets.text import fitted, safe, safe_block, safe_str

HOSTILE = (
    "[/red] \"x'; DROP TABLE plans;--",
    "[ERROR] [bold]not bold[/bold]",
    "[@click=app.quit]press[/]",
    "\\[escaped] $accent {x}",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_markup_is_shown_as_itself(value: str) -> None:
    assert safe(value).plain == value
    assert safe_block(value).plain == value
    assert not safe(value).spans


def test_escapes_and_controls_become_pictures() -> None:
    assert safe_str("\x1b[31mred\x07\x00") == "␛[31mred␇␀"
    assert safe_str("\x1b]52;c;aGk=\x07") == "␛]52;c;aGk=␇"
    assert safe_str("a\x9b31mb") == "a\\u009b31mb"
    assert safe_str("a\r\nb\nc\td") == "a⏎b⏎c    d"
    assert safe_block("a\r\nb\x1b").plain == "a\nb␛"


def test_what_reorders_or_hides_text_shows_its_code() -> None:
    assert safe_str("user\u202etxt.exe") == "user\\u202etxt.exe"
    assert safe_str("zero\u200bwidth\ufeff") == "zero\\u200bwidth\\ufeff"
    assert safe_str("tag\U000e0041") == "tag\\U000e0041"
    assert safe_str("lone\ud800") == "lone\\ud800"


def test_what_terminals_disagree_on_the_width_of_is_left_out() -> None:
    assert safe_str("\U0001f4aa\U0001f3fd \u2708\ufe0f") == "\U0001f4aa \u2708"
    assert safe_str("\U0001f468\u200d\U0001f469") == "\U0001f468\U0001f469"


@pytest.mark.parametrize("width", [30, 40, 200])
def test_labelled_text_hangs_under_its_text(width: int) -> None:
    words = "one two three four five 筋力トレーニング six seven eight [/b] nine ten"
    hanging = Hanging([(Content("Remedy    "), Content(words)), Content("after it")])
    lines = hanging.lines(width).plain.split("\n")
    assert lines[0].startswith("Remedy    one") and lines[-1] == "after it"
    assert all(line.startswith(" " * 10) for line in lines[1:-1])
    assert " ".join("".join(line[10:] + " " for line in lines[:-1]).split()) == words
    assert all(Content(line).cell_length <= width for line in lines)
    assert hanging.get_height({}, width) == len(lines)


async def test_rows_of_the_server_fit_their_columns() -> None:
    class Page(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable()

    values = ("筋力トレーニング計画", "60.005", None), ("x" * 99, "7", "[/b]")
    async with Page().run_test(size=(80, 10)) as pilot:
        table: DataTable[object] = pilot.app.query_one(DataTable)
        show_page(table, RowPage(("name", "weight", "notes"), values, 0, more=False))
        cells = [[cell.plain for cell in table.get_row_at(row) if isinstance(cell, Text)] for row in range(2)]
        widths = [column.width for column in table.columns.values()]
    assert [[Content(cell).cell_length for cell in row] for row in cells] == [widths, widths]
    assert widths == [40, 6, 5]
    # Numbers at the right, and what was cut ends in an ellipsis.
    assert [row[1] for row in cells] == ["60.005", "     7"] and cells[1][0].endswith("x…") and cells[0][2] == "NULL "


def test_counts_of_a_run_stand_at_the_right() -> None:
    found = figures({"rows": {"logs": 1_920_000, "plans": 500}, "back": {"plans": {"new": 3, "changed": 0}}})
    lines = [line.split() for line in found.plain.split("\n")]
    assert lines == [
        ["rows"],
        ["logs", "1,920,000"],
        ["plans", "500"],
        ["back"],
        ["plans", "new", "3,", "changed", "0"],
    ]
    logs, plans = found.plain.split("\n")[1:3]
    assert len(logs) == len(plans)


def test_megabytes_are_cut_and_say_so() -> None:
    text = safe_str("x" * 2_000_000)
    assert len(text) < 400
    assert text.endswith("… (2,000,000 characters)")


def test_plain_values_read_well() -> None:
    assert safe_str(None) == "NULL"
    assert safe_str(True) == "true"
    assert safe_str(b"12345") == "5 bytes"
    assert safe_str(datetime(2026, 3, 1, 22, 0)) == "2026-03-01 22:00:00"
    assert safe_str(["a", None]) == "{a, NULL}"


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_fitted_fills_exactly_its_cells(value: str, width: int) -> None:
    assert Content(fitted(value, width)).cell_length == width


@given(st.text())
def test_nothing_harmful_is_left(value: str) -> None:
    for text in (safe_str(value), safe_block(value).plain):
        assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) <= 0x9F for char in text)
        assert not any(char in text for char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")
