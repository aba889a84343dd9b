"""Verification: whether v2 holds what v1 held, hangs together, and shows everybody their own rows only."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.verification import access, behaviour, cascade, catalog, noted, preferences, rows, structure

CHECKS: tuple[Check, ...] = (
    *rows.CHECKS,
    *structure.CHECKS,
    *catalog.CHECKS,
    *behaviour.CHECKS,
    *preferences.CHECKS,
    *access.CHECKS,
    *cascade.CHECKS,
    *noted.CHECKS,
)
