"""Outside text is shown as itself and does no harm."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from textual.content import Content

from vagus_tui.widgets.text import fitted, safe, safe_block, safe_str, safe_text

HOSTILE = (
    "[/red] \"x'; DROP TABLE plans;--",
    "[ERROR] [bold]not bold[/bold]",
    "[@click=app.quit]press[/]",
    "\\[escaped] $accent {x}",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_markup_is_shown_as_itself(value: str) -> None:
    assert safe(value).plain == value
    assert safe_text(value).plain == value
    assert safe_block(value).plain == value
    assert not safe(value).spans and not safe_text(value).spans


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
    assert isinstance(safe_text(value), Text)
