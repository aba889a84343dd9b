"""The checklists: complete against the guide, uniquely named, and fit for an 80-column terminal."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from vagus_tui.runbook import acceptance, backups, communications, manual, rollout
from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.check_ids import CHECK_IDS
from vagus_tui.runbook.checklists import GROUPS, ITEMS, find_item
from vagus_tui.runbook.contacts import CONTACTS
from vagus_tui.runbook.criteria import Criterion
from vagus_tui.runbook.index import entries, title_of
from vagus_tui.runbook.messages import MESSAGES
from vagus_tui.runbook.model import DAY, T_ZERO, Fulfilment, Job, Screen
from vagus_tui.runbook.overview import ESTIMATES, SCOPE, estimate_for
from vagus_tui.runbook.phases import MIGRATION_PHASES
from vagus_tui.runbook.questions import QUESTIONS
from vagus_tui.runbook.risks import RISKS
from vagus_tui.runbook.rollback_advice import CRITERIA, Weight
from vagus_tui.runbook.rollout import APP_UPDATE, ROLLOUT_PHASES
from vagus_tui.runbook.timeline import CLEAN_UP_EARLIEST, FINAL_BACKUP_MAX_AGE
from vagus_tui.runbook.troubleshooting import ISSUES

KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")


def test_every_id_is_unique_and_in_kebab_case() -> None:
    ids = [entry_id for entry_id, _ in entries()]
    assert [entry_id for entry_id, count in Counter(ids).items() if count > 1] == []
    assert [entry_id for entry_id in ids if not KEBAB.fullmatch(entry_id)] == []
    assert all(title_of(entry_id) for entry_id in ids)
    assert title_of("no.such-id") is None


def test_no_id_is_also_a_check_id() -> None:
    # Both are keys of the journal: a check's override must not be taken for a person's sign-off.
    assert {entry_id for entry_id, _ in entries()} & CHECK_IDS == set()


def test_communications_have_the_four_phases_of_the_guide() -> None:
    assert [len(group.items) for group in communications.GROUPS] == [3, 2, 2, 3]
    assert [group.items[0].due for group in communications.GROUPS][:3] == [-7 * DAY, -DAY, T_ZERO]
    after = communications.AFTER.items
    assert all(item.due is not None and item.due > T_ZERO for item in after)
    silent = [item.id for group in communications.GROUPS for item in group.items if item.message is None]
    assert silent == ["communications.watch-support"]


def test_manual_verification_has_the_guides_counts() -> None:
    assert [len(group.items) for group in manual.GROUPS] == [8, 8, 7, 6]


def test_acceptance_test_has_eight_people_and_nine_steps() -> None:
    assert len(acceptance.TEST_SCRIPT.items) == 9
    # Eight in all: the guide wants between five and ten.
    assert [profile.wanted for profile in acceptance.TESTER_PROFILES] == [2, 3, 2, 1]


def test_the_guides_lists_are_complete() -> None:
    assert len([risk for risk in RISKS if risk.guide]) == 5
    assert len(QUESTIONS) == 8
    assert len(ISSUES) == 5
    assert len(CONTACTS) == 4
    assert len(SCOPE) == 6
    assert len(ESTIMATES) == 3
    assert Counter(criterion.weight for criterion in CRITERIA) == {Weight.CRITICAL: 4, Weight.FIX_FORWARD: 4}
    assert len(APP_UPDATE) == 5
    assert [len(phase.group.items) for phase in ROLLOUT_PHASES] == [3, 3, 3]
    assert len(MESSAGES) == 10


def test_items_name_known_checks_and_messages() -> None:
    named = {check for item in ITEMS for check in (*item.checks, *item.measured, *item.beside)}
    named |= {check for risk in RISKS for check in risk.checks}
    named |= {check for issue in ISSUES for check in issue.checks}
    named |= {check for criterion in CRITERIA for check in criterion.checks}
    assert named - CHECK_IDS == set()
    assert CHECK_IDS - named == set()
    for item in ITEMS:
        if item.message is not None:
            DEFAULT_BOOK.message(item.message)
    used = {item.message for item in ITEMS if item.message}
    assert used == {message.id for message in MESSAGES}


def test_an_item_is_fulfilled_in_exactly_one_way() -> None:
    for item in ITEMS:
        assert not (item.evidence and item.job), item.id
        assert not (item.also and item.evidence is None), item.id
        assert len(set(item.checks)) == len(item.checks), item.id
    assert find_item("prerequisites.rights").fulfilment is Fulfilment.CHECK
    assert find_item("backup.restored").fulfilment is Fulfilment.JOB
    assert find_item("backup.restored").job is Job.RESTORE_TEST
    assert find_item("verification.coach.groups").fulfilment is Fulfilment.SIGN_OFF
    assert find_item("prerequisites.reached").checks == ("tls",)
    assert find_item("verification.data.plans").checks == ("plans-migrated", "row-proof")


def test_items_know_their_group_and_screen() -> None:
    for group in GROUPS:
        assert all(item.group == group.id for item in group.items), group.id
    assert {group.screen for group in backups.GROUPS} == {Screen.BACKUP}
    found = {item.id for item in ITEMS if "cascade-deletes" in item.checks and not isinstance(item, Criterion)}
    assert found == {"verification.data.cascades"}


def test_an_unknown_item_is_named() -> None:
    with pytest.raises(KeyError, match=r"no item 'communications\.nothing'"):
        find_item("communications.nothing")
    with pytest.raises(KeyError, match="no message"):
        DEFAULT_BOOK.message("message.nothing")
    with pytest.raises(KeyError, match="production"):
        estimate_for("prod")


def test_titles_fit_a_line_and_reasons_stay_short() -> None:
    # At 80 columns the rail leaves 59; a mark and its blank take two more.
    for item in ITEMS:
        assert len(item.title) <= 56, item.id
        assert 0 < len(item.why) <= 160, item.id
    for group in GROUPS:
        assert len(group.title) <= 40 and len(group.note) <= 118, group.id


def test_the_clean_up_and_the_final_backup_are_not_where_the_guide_put_them() -> None:
    last_day = max(phase.last_day for phase in ROLLOUT_PHASES)
    assert last_day * DAY < CLEAN_UP_EARLIEST
    assert all(item.due == CLEAN_UP_EARLIEST for item in rollout.CLEAN_UP.items)
    final = find_item("backup.final")
    assert final.due is not None and T_ZERO < -final.due <= FINAL_BACKUP_MAX_AGE


def test_rollout_phases_follow_each_other_and_have_criteria() -> None:
    assert [phase.number for phase in ROLLOUT_PHASES] == [1, 2, 3]
    assert [(phase.first_day, phase.last_day) for phase in ROLLOUT_PHASES] == [(1, 1), (2, 3), (4, 7)]
    assert [phase.percent for phase in ROLLOUT_PHASES] == [0, 10, 100]
    for phase in ROLLOUT_PHASES:
        assert phase.entry.items and len(phase.exit.items) > 1
        assert phase.over.after == (phase.entry.id, phase.exit.id)
        assert phase.group.items[0].after == (phase.entry.id,)
        criteria = (*phase.entry.items, *phase.exit.items[:-1])
        # Each is settled by checks, by other items, or by people: in one way.
        assert all(isinstance(one, Criterion) for one in criteria)
        assert all(bool(one.checks) + bool(one.needs) <= 1 for one in criteria)
        assert any(one.checks for one in phase.exit.items)
        for item in phase.group.items:
            assert item.due is not None
            assert (phase.first_day - 1) * DAY <= item.due < phase.last_day * DAY, item.id


def test_the_phases_are_those_of_a_run() -> None:
    assert [phase.id for phase in MIGRATION_PHASES] == [
        "prepare",
        "build",
        "catch-up",
        "prove",
        "hold",
        "cut-over",
        "settle",
    ]


def test_writes_pause_for_seconds_in_every_environment() -> None:
    for estimate in ESTIMATES:
        assert estimate_for(estimate.environment) is estimate
        assert estimate.writes_goal.total_seconds() <= 1
        assert estimate.writes_limit.total_seconds() <= 3
        assert estimate.shortest < estimate.longest


def test_the_hotline_has_no_invented_number() -> None:
    (hotline,) = [contact for contact in CONTACTS if contact.id == "contact.hotline"]
    assert hotline.address is None
    assert find_item("prerequisites.emergency-number").fulfilment is Fulfilment.SIGN_OFF
