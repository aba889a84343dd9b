"""Rollout: whether the app is open, whether users train as before, and what coaches did that v1 could not hold."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.rollout import activity, maintenance, progressions

CHECKS: tuple[Check, ...] = (*maintenance.CHECKS, *activity.CHECKS, *progressions.CHECKS)
