"""What a sandbox is to hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What a sandbox is to hold.

    Attributes:
        plans: how many plans; ten times as many exercises, eight times as many sessions, about 95 times as many logs.
        clean: leave out everything a data-quality check would speak of, even legitimate oddities.
        empty: the v1 tables without a row.
        renamed: the v1 tables already renamed to `*_v1`, as by the guide's hand.
        default_privileges: as in older projects, new tables are open to the API roles.
        notification_preferences: no such table, one of (user_id, preferences jsonb), or one of rows per category.
        bigint_ids: bigint ids with sequences in place of uuids.
        keep: leave the files behind at the end.
    """

    plans: int = 200
    clean: bool = False
    empty: bool = False
    renamed: bool = False
    default_privileges: bool = True
    notification_preferences: Literal["none", "jsonb", "rows"] = "none"
    bigint_ids: bool = False
    keep: bool = False
