"""The map of the guide: every entry is there, and every place it names exists."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.cli import VagusTui
from vagus_tui.remedies.repairs import REPAIRS
from vagus_tui.runbook.acceptance import TESTER_PROFILES
from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.check_ids import CHECK_IDS
from vagus_tui.runbook.checklists import GROUPS, ITEMS
from vagus_tui.runbook.guide_map import GUIDE_MAP, GuideEntry, PlaceKind
from vagus_tui.runbook.guide_sections import SECTIONS
from vagus_tui.runbook.index import entries
from vagus_tui.runbook.model import Job, Screen
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.overview import ESTIMATES
from vagus_tui.runbook.phases import MIGRATION_PHASES
from vagus_tui.runbook.rollout import APP_UPDATE, ROLLOUT_PHASES
from vagus_tui.schema import v2
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.screens.handbook import leaves
from vagus_tui.screens.palette_actions import actions_of
from vagus_tui.screens.timeline_rows import VIEWS, plan_rows

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
    "maintenance": 3,
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
    "troubleshooting-steps": 13,
    "rollback-time": 1,
    "faq": 8,
    "timeline": 13,
    "contacts": 4,
}


REAL_CHECKS = {check.id for group in Group for check in checks_for(group)}
ACTIONS = {f"{step.value}.{one.action.partition('(')[0]}" for step in Step for one in actions_of(step)}

# Where a person starts each job of the wizard, or what starts it by itself.
JOB_KEYS = {
    Job.BACKUP: "backup.back_up",
    Job.RESTORE_TEST: "backup.restore_test",
    Job.REHEARSE: "backup.rehearse",
    Job.UPLOAD: "backup.upload",
    Job.MIGRATE: "migration.migrate",
    Job.VERIFY: "verification.run",
    Job.ROLLBACK: "rollback.roll_back",
}


def mapped(ref: str) -> bool:
    """Whether v2 has the table or the column, or the mapping the rule."""
    table, _, column = ref.partition(".")
    if ref == "day-key":
        return callable(WorkoutMapping.day_name)
    return table in v2.MODEL and (not column or column in {one.name for one in v2.MODEL[table].columns})


def test_a_column_that_v2_lacks_is_noticed() -> None:
    assert mapped("exercises.target_rpe_min") and not mapped("exercises.no_such") and not mapped("no_such")


def test_every_job_can_be_started() -> None:
    assert set(JOB_KEYS.values()) - ACTIONS == set()
    # The last one is so grave that it is a command, with the gates that guard it.
    assert set(Job) - set(JOB_KEYS) == {Job.CLEAN_UP} and "cleanup" in VagusTui.model_fields


def test_the_checks_of_the_runbook_are_those_there_are() -> None:
    assert set() == CHECK_IDS - REAL_CHECKS


def test_everything_the_map_names_is_shown_somewhere() -> None:
    handbook = {leaf.id for leaf in leaves(DEFAULT_BOOK)}
    timeline = {row.key for view in VIEWS for row in plan_rows(view, None, datetime.now(UTC), {})}
    items = {item.id for item in ITEMS}
    sent = {item.message for item in ITEMS if item.message}
    others = {
        *(estimate.id for estimate in ESTIMATES),
        *(profile.id for profile in TESTER_PROFILES),
        *(command.id for command in APP_UPDATE),
        *(phase.id for phase in ROLLOUT_PHASES),
        *(group.id for group in GROUPS),
    }
    refs = {place.ref for entry in GUIDE_MAP for place in entry.places if place.kind is PlaceKind.RUNBOOK}
    assert refs - handbook - timeline - items - sent - others == set()


def test_every_section_is_there_with_all_its_entries() -> None:
    assert Counter(entry.section for entry in GUIDE_MAP) == COUNTS


@pytest.mark.parametrize("entry", GUIDE_MAP, ids=lambda entry: entry.id)
def test_every_place_exists(entry: GuideEntry) -> None:
    known = {
        PlaceKind.RUNBOOK: {entry_id for entry_id, _ in entries() if not entry_id.startswith("guide.")},
        PlaceKind.CHECK: REAL_CHECKS,
        PlaceKind.PHASE: {phase.id for phase in MIGRATION_PHASES},
        PlaceKind.JOB: {job.value for job in Job},
        PlaceKind.EVIDENCE: {"templates"},
        PlaceKind.REPAIR: {repair.id for repair in REPAIRS},
        PlaceKind.ACTION: ACTIONS,
    }
    assert entry.places
    for place in entry.places:
        if place.kind is PlaceKind.MAPPING:
            assert mapped(place.ref), place
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


def test_the_entries_of_a_section_are_numbered_in_the_guides_order() -> None:
    for section in SECTIONS:
        numbers = [entry.number for entry in GUIDE_MAP if entry.section == section.slug]
        assert numbers == list(range(1, len(section.entries) + 1)), section.slug
