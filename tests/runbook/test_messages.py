"""The messages: all can be filled in, and no value can break them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.messages import (
    MAX_VALUE,
    MESSAGES,
    Channel,
    Message,
    MessageContext,
    MessageError,
    clean,
    render,
)

CONTEXT = MessageContext(
    date="Sunday 1 March 2026",
    time="22:00 CET",
    window="22:00 to 22:15 CET",
    project="VAGUS",
    status_page="https://status.example.org",
    contact="help@example.org",
    sender="The team",
)

HOSTILE = [
    "${contact}",
    "$",
    "$$",
    "%(x)s {0} {project}",
    "[/bold] [red]x",
    "<script>alert(1)</script>",
    "a\r\nBcc: everyone@example.org",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe",
    "x\u2028y\u0085z\x00",
    "é" * 5_000_000,
    "\ud800",
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.id)
def test_every_message_is_filled_in_completely(message: Message) -> None:
    rendered = render(message, CONTEXT)
    assert "$" not in rendered.text
    for name in message.fields:
        assert CONTEXT.values()[name] in rendered.text
    assert bool(rendered.subject) is (message.channel is Channel.EMAIL)
    assert "!" not in rendered.text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.id)
def test_hostile_values_break_nothing(message: Message, hostile: str) -> None:
    context = MessageContext(**dict.fromkeys(CONTEXT.values(), f"a{hostile}b"))
    plain = render(message, CONTEXT)
    rendered = render(message, context)
    assert "\n" not in rendered.subject
    assert rendered.body.count("\n") == plain.body.count("\n")
    assert not set(rendered.text) & set("\x00\x07\x1b\r\u202e\u2028\x85\ud800")
    assert len(rendered.text) < 4_000
    for name in message.fields:
        assert clean(f"a{hostile}b") in rendered.text, name


def test_a_dollar_in_a_value_is_text() -> None:
    context = MessageContext(date="${contact}", time="$5", window="$$")
    rendered = render(DEFAULT_BOOK.message("message.banner-week"), context)
    assert "upgraded on ${contact}." in rendered.body
    assert "from $$, we" in render(DEFAULT_BOOK.message("message.reminder-email"), context).body


@given(st.text(max_size=400))
def test_a_cleaned_value_is_one_short_printable_line(value: str) -> None:
    cleaned = clean(value)
    assert len(cleaned) <= MAX_VALUE
    assert cleaned.splitlines() in ([], [cleaned])
    assert clean(cleaned) == cleaned
    assert all(char.isprintable() for char in cleaned)


def test_an_unknown_field_is_named_with_those_there_are() -> None:
    message = Message(id="message.x", title="Banner", channel=Channel.BANNER, body="On $dat at ${password}")
    with pytest.raises(MessageError, match=r"no field \$dat, \$password\..*Fields are: \$contact, \$date,"):
        render(message, CONTEXT)


def test_a_field_cannot_reach_into_objects() -> None:
    message = Message(id="message.x", title="Banner", channel=Channel.BANNER, body="$date.__class__ {0.__class__}")
    assert render(message, CONTEXT).body == "Sunday 1 March 2026.__class__ {0.__class__}"


def test_an_empty_field_is_named() -> None:
    context = MessageContext(date="\u202e \n", time="22:00", window="22:00 to 22:15")
    with pytest.raises(MessageError, match=r"Banner, 7 days before: \$date is empty\. Nothing was sent"):
        render(DEFAULT_BOOK.message("message.banner-week"), context)


def test_an_edited_text_is_checked_like_the_template() -> None:
    message = DEFAULT_BOOK.message("message.announce-email")
    edited = render(message, CONTEXT, {"subject": "Soon:\n$date", "body": "Costs $$5. $contact"})
    assert edited.subject == "Soon: Sunday 1 March 2026"
    assert edited.body == "Costs $5. help@example.org"
    assert edited.text.startswith("Subject: Soon: ")
    with pytest.raises(MessageError, match=r"\$\$ for a dollar sign"):
        render(message, CONTEXT, {"body": "costs $ 5"})


def test_a_context_is_made_from_the_planned_start() -> None:
    planned = datetime(2026, 3, 1, 22, 0, tzinfo=ZoneInfo("Europe/Oslo"))
    context = MessageContext.planned(planned, project="VAGUS Pro")
    assert context.date == "Sunday 1 March 2026"
    assert context.time == "22:00 CET"
    assert context.window == "22:00 to 22:15 CET"
    assert context.project == "VAGUS Pro"


def test_a_window_across_the_change_of_clocks_is_real_time() -> None:
    planned = datetime(2026, 3, 29, 1, 50, tzinfo=ZoneInfo("Europe/Oslo"))
    assert MessageContext.planned(planned, timedelta(minutes=15)).window == "01:50 to 03:05 CEST"


def test_a_planned_start_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        MessageContext.planned(datetime(2026, 3, 1, 22, 0))
    assert MessageContext.planned(datetime(2026, 3, 1, 22, 0, tzinfo=UTC)).time == "22:00 UTC"


def test_the_rollback_notice_promises_no_more_than_was_proved() -> None:
    body = render(DEFAULT_BOOK.message("message.rollback-notice"), CONTEXT).body
    assert "last days included" in body
    assert "kept for when it returns" in body
