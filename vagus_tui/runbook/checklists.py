"""Every checklist of the runbook in one place, and how to find an item."""

from __future__ import annotations

from vagus_tui.runbook import acceptance, aftermath, backups, communications, manual, prerequisites, rollout
from vagus_tui.runbook.model import Group, Item, Screen

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


def groups_for(screen: Screen) -> tuple[Group, ...]:
    """The groups that a screen shows; empty when it has none."""
    return tuple(group for group in GROUPS if group.screen is screen)


def find_item(item_id: str) -> Item:
    """The item of an id.

    Raises:
        KeyError: the runbook has no such item.
    """
    try:
        return _BY_ID[item_id]
    except KeyError:
        raise KeyError(f"The runbook has no item {item_id!r}.") from None


def items_for_check(check_id: str) -> tuple[Item, ...]:
    """The items that a check helps to fulfil."""
    return tuple(item for item in ITEMS if check_id in item.checks)
