"""The operator's file over the runbook: what it changes, what it adds, and how it says what is wrong."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.wizard.walk import settings_for
from vagus_tui.commands.session import load_settings
from vagus_tui.errors import ConfigurationError
from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.model import DAY, HOUR, Owner
from vagus_tui.runbook.risks import Level
from vagus_tui.runbook_file import RunbookFileError, line_of, parse_length, read_book

FILE = """
[people]
project = "Vägus"
contact = "help@vagus.example"

[thresholds]
final_backup_max_age = "90 min"
window = "20 min"

[contacts.hotline]
address = "+47 22 22 22 22"

[contacts.on-call]
role = "On call"
address = "pager@vagus.example"
when = "At night."

[risks.data-loss]
probability = "medium"

[timeline.announce]
offset = "T-10 days"
owner = "Support"

[timeline.freeze]
offset = "-2 days"
duration = "1 hour"
action = "Freeze the schema"
owner = "DevOps"

[messages.announce-email]
subject = "$project is moving on $date"

[criteria.internal-shapes]
title = "Version 7 reads both shapes"

[criteria.beta-legal]
phase = "beta"
part = "entry"
title = "Legal agrees"
why = "The terms name the version."
owner = "Migration lead"
checks = ["grants"]

[questions.how-long]
answer = "An hour at most."
"""


def test_parts_are_changed_and_the_rest_stays() -> None:
    book = read_book(FILE)
    assert book.people.project == "Vägus" and book.people.sender == DEFAULT_BOOK.people.sender
    assert book.thresholds.final_backup_max_age == timedelta(minutes=90)
    assert book.thresholds.clean_up_earliest == DEFAULT_BOOK.thresholds.clean_up_earliest
    contacts = {contact.id: contact for contact in book.contacts}
    assert contacts["contact.hotline"].address == "+47 22 22 22 22"
    assert contacts["contact.hotline"].role == "Emergency hotline"
    assert contacts["contact.on-call"].role == "On call"
    assert len(book.contacts) == len(DEFAULT_BOOK.contacts) + 1
    risk = next(risk for risk in book.risks if risk.id == "risk.data-loss")
    assert risk.probability is Level.MEDIUM and risk.impact is Level.CRITICAL
    rows = {row.id: row for row in book.timeline}
    assert rows["timeline.announce"].offset == -10 * DAY and rows["timeline.announce"].owner is Owner.SUPPORT
    assert rows["timeline.freeze"].duration == HOUR
    assert book.message("message.announce-email").subject == "$project is moving on $date"
    assert book.message("message.announce-email").body == DEFAULT_BOOK.message("message.announce-email").body
    assert next(one for one in book.questions if one.id == "question.how-long").answer == "An hour at most."
    assert book.item("criterion.internal-shapes").title == "Version 7 reads both shapes"
    assert book.phases[1].entry.items[-1].checks == ("grants",) and book.phases[1].entry.items[-1].of_run
    assert book.item("criterion.beta-legal").title == "Legal agrees"


def test_an_empty_file_changes_nothing() -> None:
    assert read_book("") == DEFAULT_BOOK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[people\nproject = 1", "not TOML.*line 1"),
        ("[people]\n\nprojekt = 'x'", "line 3, people.projekt: .*; there are project, status_page"),
        ("[thresholds]\nwindows = '1 h'", "thresholds.windows: .*; there are final_backup_max_age"),
        ("[contacts.boss]\nphone = '1'", "contacts.boss.phone: .*; there are role, address, when"),
        ("[persons]\nproject = 'x'", "line 1, persons: this key is not known; there are people, thresholds"),
        ("[risks.data-loss]\nimpact = 'awful'", "line 2, risks.data-loss.impact: should be 'low', 'medium'"),
        ("[thresholds]\nwindow = '15'", "line 2, thresholds.window: write it as “30 min”"),
        ("[thresholds]\nwindow = 15", "line 2, thresholds.window: write it as text"),
        ("[thresholds]\nclean_up_earliest = '1 day'", "line 2, thresholds.clean_up_earliest: should be greater"),
        ("\n[contacts.boss]\nrole = 'Boss'", "line 2, contacts.boss: it is new, so it needs 'address'"),
        ("[contacts.'The Boss']\nrole = 'Boss'", "contacts.The Boss: a name has lower-case"),
        ("[messages.hello]\nbody = 'x'", "line 1, messages.hello: there is no such message"),
        ("[messages.banner-day]\nbody = 'on $day'", "line 2, messages.banner-day.body: .*no field \\$day"),
        ("[messages.banner-day]\nsubject = 'x'", "line 2, messages.banner-day.subject: only e-mails"),
        ("[timeline.announce]\nowner = 'Nobody'", "line 2, timeline.announce.owner"),
        ("[criteria.beta-speed]\nchecks = ['grants']", "line 2, criteria.beta-speed.checks: only a new criterion"),
        ("[criteria.beta-x]\nchecks = ['nothing']", "line 2, criteria.beta-x.checks.*no check 'nothing'"),
        ("[people]\nproject = ''", "line 2, people.project"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_key(text: str, said: str) -> None:
    with pytest.raises(RunbookFileError, match=said):
        read_book(text)


def test_lengths_are_read_as_people_write_them() -> None:
    assert parse_length("T-7 days") == -7 * DAY
    assert parse_length("T−1 week") == -7 * DAY
    assert parse_length("+ 2 h") == 2 * HOUR
    assert parse_length("T-0") == timedelta()
    with pytest.raises(ValueError, match="write it as"):
        parse_length("soon")


def test_a_key_is_found_where_it_stands() -> None:
    assert line_of(FILE, ("risks", "data-loss", "probability")) == FILE.splitlines().index('probability = "medium"') + 1
    assert line_of(FILE, ("contacts", "on-call")) == FILE.splitlines().index("[contacts.on-call]") + 1
    assert line_of(FILE, ("nothing",)) is None


def test_the_settings_carry_the_book(tmp_path: Path) -> None:
    file = tmp_path / "runbook.toml"
    file.write_text(FILE, encoding="utf-8")
    settings = settings_for("", runbook=file)
    assert settings.book.people.project == "Vägus"
    assert settings.model_copy(update={"operator": "Marie"}).book.people.project == "Vägus"
    assert settings_for("").book == DEFAULT_BOOK


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[people]\nname = 1", "runbook.toml, line 2, people.name"), (b"\xff", "not UTF-8"), (None, "No such file")],
)
def test_a_file_that_cannot_be_used_stops_the_start_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    file = tmp_path / "runbook.toml"
    if content is not None:
        file.write_bytes(content)
    for name in [name for name in os.environ if name.startswith("VAGUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAGUS_RUNBOOK", str(file))
    with pytest.raises(ConfigurationError, match=said):
        load_settings()
