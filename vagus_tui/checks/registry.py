"""Every check there is, by group and by id."""

from __future__ import annotations

from functools import cache

from vagus_tui.checks import access, data_quality, performance, prerequisites, rollout, verification
from vagus_tui.checks.base import Check, Group
from vagus_tui.journal.state import DatabaseState, State


@cache
def _groups() -> dict[Group, tuple[Check, ...]]:
    return {
        Group.PREREQUISITES: prerequisites.CHECKS,
        Group.DATA_QUALITY: data_quality.CHECKS,
        Group.VERIFICATION: verification.CHECKS,
        Group.ACCESS: access.CHECKS,
        Group.PERFORMANCE: performance.CHECKS,
        Group.ROLLOUT: rollout.CHECKS,
    }


def checks_for(group: Group) -> tuple[Check, ...]:
    """The checks of a group, in the order in which they are run and shown."""
    return _groups().get(group, ())


def check_by_id(check_id: str) -> Check:
    """One check by its id.

    Raises:
        KeyError: there is no such check.
    """
    return {check.id: check for checks in _groups().values() for check in checks}[check_id]


def default_group(state: DatabaseState) -> Group:
    """The group that fits the state: verification once v2 is in place, what comes before it until then."""
    if state.state in (State.MIGRATED, State.CLEANED):
        return Group.VERIFICATION
    return Group.PREREQUISITES if state.state is State.UNKNOWN else Group.DATA_QUALITY
