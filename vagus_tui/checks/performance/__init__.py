"""Performance: how long the app's pages take as real users get them, and what the server says about itself."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.performance import indexes, server, statements
from vagus_tui.checks.performance.speed import speed_checks

CHECKS: tuple[Check, ...] = (*speed_checks(), *indexes.CHECKS, *statements.CHECKS, *server.CHECKS)
