"""Access, with real users: what each could see, insert, update and delete in v1, against v2 (guide, Test 4)."""

from vagus_tui.checks.access.checks import CHECKS

__all__ = ["CHECKS"]
