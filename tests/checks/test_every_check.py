"""No check without a test in which it turns red: the list of checks against the tests that say so.

Checks of v1's data have their faults in `faults.py`, those of v2 and of access their own, which `test_selftest` plants.
What is left, server and speed, is listed here by the test that makes it red. Gates are checks: those about what points
at v1 are broken one by one by `test_what_cannot_follow_is_a_gate`, the others are listed too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import pytest

from tests.checks import test_activity, test_data_quality, test_link, test_performance, test_prerequisites, test_rollout
from tests.checks.faults import FAULTS
from tests.checks.support import looking_at
from tests.cleanup import test_clean_up
from tests.cli import test_migrate
from tests.databases import TestDatabase
from tests.migration import test_carried, test_dependents, test_outside, test_tuning
from tests.migration.dependents_of_v1 import STUCK
from vagus_tui.checks.base import Check, Group, run_check
from vagus_tui.checks.registry import checks_for
from vagus_tui.cleanup import gates as clean_up_gates
from vagus_tui.events import Status
from vagus_tui.migration import gates as migration_gates

RED: Mapping[str, Callable[..., object]] = {
    "server-version": test_prerequisites.test_server_version,
    "encoding": test_prerequisites.test_encoding,
    "connection-kind": test_link.test_a_transaction_pooler_is_refused_with_the_address_to_use,
    "tls": test_link.test_tls_without_a_check_of_who_answers_is_not_enough_in_production,
    "answer-time": test_link.test_answers_that_take_long_say_how_long_users_would_wait,
    "v1-shape": test_prerequisites.test_another_shape_is_refused_with_what_was_found,
    "rights": test_prerequisites.test_rights,
    "migration-lock": test_activity.test_the_lock,
    "long-transactions": test_activity.test_whoever_holds_a_transaction_open_is_named,
    "idle-in-transaction": test_activity.test_whoever_holds_a_transaction_open_is_named,
    "active-connections": test_activity.test_active_connections,
    "timeouts": test_activity.test_timeouts,
    "replication-slots": test_activity.test_replication_slots_of_any_database,
    "default-privileges": test_prerequisites.test_both_kinds_of_default_privileges_are_told_apart,
    "table-sizes": test_prerequisites.test_table_sizes_stand_mixed_case_names,
    "server-space": test_prerequisites.test_server_space_says_what_cannot_be_seen,
    "disk-space": test_prerequisites.test_disk_space,
    "pg-dump": test_prerequisites.test_pg_dump,
    "supabase-cli": test_prerequisites.test_supabase_cli,
    "upload-target": test_prerequisites.test_upload_targets_are_written_to_and_read_back,
    "clock": test_prerequisites.test_clock,
    "column-types": test_data_quality.test_columns_of_another_type_fail_and_the_rules_on_them_say_so,
    "exercises-repeat-ids": test_data_quality.test_ids_that_copies_of_repeated_exercises_would_take,
    "plan-loading": test_performance.test_a_page_over_its_limit_fails,
    "current-week": test_performance.test_a_page_over_its_limit_fails,
    "session-tracking": test_performance.test_a_page_over_its_limit_fails,
    "history": test_performance.test_a_page_over_its_limit_fails,
    "plan-volume": test_performance.test_a_page_over_its_limit_fails,
    "personal-records": test_performance.test_a_page_over_its_limit_fails,
    "muscle-groups": test_performance.test_a_page_over_its_limit_fails,
    "slowdown": test_performance.test_pages_that_nobody_waits_for_are_no_slowdown_together,
    "missing-indexes": test_performance.test_a_missing_index_is_named_with_its_statement,
    "statements-per-page": test_performance.test_one_query_per_row_is_found,
    "database-cpu": test_performance.test_processor_and_memory_are_told_or_said_to_be_hidden,
    "maintenance-off": test_rollout.test_maintenance_is_on_or_off,
    "activity": test_rollout.test_users_who_train_no_more_are_seen,
    "progressions": test_rollout.test_what_progressions_have_left,
    "database-memory": test_performance.test_processor_and_memory_are_told_or_said_to_be_hidden,
}


async def test_gates_about_the_state(moved_database: TestDatabase, empty_database: TestDatabase) -> None:
    """What is migrated already is not migrated again, and where v2 is not in use nothing is cleaned up."""
    red = {
        "state-allows": (moved_database, migration_gates.OWN_GATES[0]),
        "clean-up-state": (empty_database, clean_up_gates.OWN_GATES[0]),
    }
    for id, (database, gate) in red.items():
        other = empty_database if database is moved_database else moved_database
        for where, status in ((database, Status.FAIL), (other, Status.PASS)):
            async with looking_at(where) as context:
                told = await run_check(gate, context)
            assert (told.id, told.status, told.overridable) == (id, status, False)
            assert context.state.summary in (told.message or "")


RED_GATES: Mapping[str, Callable[..., object]] = {
    "state-allows": test_gates_about_the_state,
    "backup-verified": test_migrate.test_production_insists_on_backup_and_messages,
    "communications-signed": test_migrate.test_production_insists_on_backup_and_messages,
    "v1-plain-tables": test_dependents.test_v1_must_be_plain_tables,
    "carried-unique": test_carried.test_what_they_bring_along,
    "v2-otherwise": test_carried.test_what_they_bring_along,
    "dependent-columns": test_dependents.test_the_plan_says_what_becomes_of_each,
    "dependent-settings": test_tuning.test_it_follows_and_comes_back,
    "event-triggers": test_outside.test_event_triggers,
    "scheduled-jobs": test_outside.test_jobs_and_subscriptions,
    "subscriptions": test_outside.test_jobs_and_subscriptions,
    "clean-up-state": test_gates_about_the_state,
    "clean-up-waiting-period": test_clean_up.test_every_gate_must_hold,
    "clean-up-nothing-hangs": test_clean_up.test_every_gate_must_hold,
    "clean-up-final-backup": test_clean_up.test_every_gate_must_hold,
    "clean-up-archives-kept": test_clean_up.test_archives_on_choice,
}


def told_by_faults(check: Check) -> bool:
    """Whether a fault that is tried somewhere turns it red."""
    return bool(check.faults) or check.id in {fault.check_id for fault in FAULTS}


def test_every_check_has_a_test_in_which_it_turns_red() -> None:
    checks = [check for group in Group for check in checks_for(group)]
    assert {check.id for check in checks if not told_by_faults(check)} == RED.keys()

    gates = (*migration_gates.OWN_GATES, *clean_up_gates.OWN_GATES, clean_up_gates.ARCHIVES_GATE)
    assert {gate.id for gate in gates} - STUCK.keys() == RED_GATES.keys()


@pytest.mark.parametrize("check_id", [*RED, *RED_GATES])
def test_that_test_is_about_it(check_id: str) -> None:
    text = inspect.getsource({**RED, **RED_GATES}[check_id])
    assert f'"{check_id}"' in text or "TIMED" in text
    assert "Status.FAIL" in text or "Status.WARN" in text or "failing" in text
