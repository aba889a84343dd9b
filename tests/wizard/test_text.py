"""Outside text is shown as itself and does no harm."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Offset
from textual.selection import Selection
from textual.widgets import DataTable

from vagus_tui.checks.base import RowPage
from vagus_tui.widgets.code import CodeText, breaks, coloured
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


@given(st.text(alphabet=st.sampled_from("ab  é漢字\u0301"), max_size=60), st.integers(2, 20))
def test_rows_of_a_line_fit_and_lose_nothing(line: str, width: int) -> None:
    starts = breaks(line, width)
    assert starts[0] == 0 and starts == sorted(set(starts))
    pieces = [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]
    assert "".join(pieces) == line
    assert all(cell_len(piece.removesuffix(" ")) <= width for piece in pieces)


def test_lines_break_at_words() -> None:
    assert breaks("select one from two", 11) == breaks("select one from two", 10) == [0, 11]
    assert breaks("x" * 25, 10) == [0, 10, 20]
    assert breaks("short", 10) == breaks("anything", 0) == [0]


def test_code_is_coloured_and_its_text_is_its_own() -> None:
    text = "select 'it''s' -- [/red]\n\nfrom t;"
    lines = coloured(text, "sql", "ansi_dark")
    assert [line.plain for line in lines][:3] == text.split("\n") and lines[0].spans


async def test_what_is_selected_of_wrapped_code_is_the_text_itself() -> None:
    class Shown(App[None]):
        CSS = "CodeText { height: auto; }"

        def compose(self) -> ComposeResult:
            yield CodeText("select one from two\nwhere three", wrapped=True)

    async with Shown().run_test(size=(12, 6)) as pilot:
        code = pilot.app.query_one(CodeText)
        assert code.size.height == 3 and code.render_line(1).text.rstrip() == "from two"
        pilot.app.screen.selections = {code: Selection(Offset(7, 0), Offset(5, 1))}
        assert code.get_selection(pilot.app.screen.selections[code]) == ("one from two\nwhere", "\n")
        await pilot.pause()
        colours = [segment.style.bgcolor for segment in code.render_line(2) if segment.style is not None]
        # The selected word, and what is left of the row.
        assert code.render_line(2).text.startswith("where") and len(set(colours)) == 2


def test_figures_name_tables_as_they_are_and_sizes_in_words() -> None:
    shown = figures({"removed": {"public.workout_sessions_v1": 1600, "public.x": 2}, "bytes": 4456448}).plain
    assert shown.splitlines()[1].split() == ["public.workout_sessions_v1", "1,600"]
    assert len(shown.splitlines()[1]) == len(shown.splitlines()[2]), "counts stand at the right"
    assert "size" in shown and "4.5 MB" in shown
