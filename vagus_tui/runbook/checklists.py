"""Every checklist of the runbook in one place, and how to find an item."""

from __future__ import annotations

from vagus_tui.runbook import acceptance, aftermath, backups, communications, manual, prerequisites, rollout
from vagus_tui.runbook.model import Group, Item

GROUPS: tuple[Group, ...] = (
    *prerequisites.GROUPS,
    *communications.GROUPS,
    *backups.GROUPS,
    *manual.GROUPS,
    *acceptance.GROUPS,
    *rollout.GROUPS,
    *aftermath.GROUPS,
)
"""All groups, in the order of the screens."""

ITEMS: tuple[Item, ...] = tuple(item for group in GROUPS for item in group.items)
"""All items, in the order of the screens."""

_BY_ID = {item.id: item for item in ITEMS}


def find_item(item_id: str) -> Item:
    """The item of an id.

    Raises:
        KeyError: the runbook has no such item.
    """
    try:
        return _BY_ID[item_id]
    except KeyError:
        raise KeyError(f"The runbook has no item {item_id!r}.") from None
