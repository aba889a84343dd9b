"""Rollout: whether the app is open to its users, and what coaches have done in v2 that v1 could not hold."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.rollout import maintenance, progressions

CHECKS: tuple[Check, ...] = (*maintenance.CHECKS, *progressions.CHECKS)
