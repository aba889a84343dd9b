"""The map of the guide: every entry is there, and every place it names exists."""

from __future__ import annotations

from collections import Counter

import pytest

from vagus_tui.runbook.check_ids import CHECK_IDS
from vagus_tui.runbook.checklists import ITEMS
from vagus_tui.runbook.guide_map import GUIDE_MAP, GuideEntry, PlaceKind, section_entries
from vagus_tui.runbook.index import entries
from vagus_tui.runbook.model import Job, Screen
from vagus_tui.runbook.phases import MIGRATION_PHASES

# How many entries each section of the guide has, counted in the guide.
COUNTS = {
    "scope": 6,
    "estimate": 3,
    "risks": 5,
    "technical": 6,
    "environment": 4,
    "data-quality": 5,
    "communication-week": 3,
    "communication-day": 2,
    "communication-during": 2,
    "communication-after": 3,
    "backup-full": 4,
    "backup-selective": 1,
    "backup-csv": 4,
    "backup-verification": 3,
    "backup-upload": 3,
    "table-mapping": 6,
    "field-mapping-plans": 10,
    "field-mapping-exercises": 15,
    "day-grouping": 3,
    "transformation": 4,
    "migration-steps": 7,
    "script": 6,
    "integrity": 6,
    "app-update": 5,
    "rollout-internal": 3,
    "rollout-beta": 3,
    "rollout-full": 3,
    "automated": 5,
    "manual-coach": 8,
    "manual-client": 8,
    "manual-data": 7,
    "manual-performance": 6,
    "acceptance-users": 4,
    "acceptance-script": 9,
    "rollback-critical": 4,
    "rollback-fix-forward": 4,
    "rollback-backup": 6,
    "rollback-quick": 4,
    "post-rollback": 8,
    "troubleshooting": 5,
    "faq": 8,
    "timeline": 13,
    "contacts": 4,
}


def test_every_section_is_there_with_all_its_entries() -> None:
    assert Counter(entry.section for entry in GUIDE_MAP) == COUNTS


@pytest.mark.parametrize("entry", GUIDE_MAP, ids=lambda entry: entry.id)
def test_every_place_exists(entry: GuideEntry) -> None:
    known = {
        PlaceKind.RUNBOOK: {entry_id for entry_id, _ in entries() if not entry_id.startswith("guide.")},
        PlaceKind.CHECK: set(CHECK_IDS),
        PlaceKind.PHASE: {phase.id for phase in MIGRATION_PHASES},
        PlaceKind.JOB: {job.value for job in Job},
        PlaceKind.EVIDENCE: {"templates"},
    }
    assert entry.places
    for place in entry.places:
        if place.kind is PlaceKind.MAPPING:
            assert place.ref
        else:
            assert place.ref in known[place.kind], place


def test_every_item_from_the_guide_is_on_the_map() -> None:
    mapped = {place.ref for entry in GUIDE_MAP for place in entry.places}
    checks = {place.ref for entry in GUIDE_MAP for place in entry.places if place.kind is PlaceKind.CHECK}
    missing = [
        item.id
        for item in ITEMS
        if item.guide and item.id not in mapped and item.group not in mapped and item.evidence not in checks
    ]
    assert missing == []


def test_every_screen_but_the_report_carries_part_of_the_guide() -> None:
    assert {entry.screen for entry in GUIDE_MAP} == set(Screen) - {Screen.REPORT}


def test_a_section_is_found_in_the_guides_order() -> None:
    assert [entry.number for entry in section_entries("communication-after")] == [1, 2, 3]
    assert section_entries("no-such-section") == ()
