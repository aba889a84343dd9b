"""Data quality: whether every row of v1 fits v2, and what the mapping would change."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.data_quality import exercises, logs, plans, related, sessions
from vagus_tui.checks.data_quality.identity import COLUMN_TYPES, ID_RULES, REPEAT_IDS
from vagus_tui.checks.data_quality.rule import Rows, Rule, as_checks

RULES: tuple[Rule, ...] = (*ID_RULES, *plans.RULES, *exercises.RULES, *sessions.RULES, *logs.RULES)

CHECKS: tuple[Check, ...] = (COLUMN_TYPES, REPEAT_IDS, *as_checks(RULES), *related.CHECKS)

BY_ID: dict[str, Rows] = {**{rule.id: rule for rule in RULES}, "coach-clients": related.COACH_ROWS}
"""The rows that guided fixes are for, by check."""
