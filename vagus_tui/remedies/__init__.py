"""Guided fixes for v1's rows: seen before, applied in one transaction, undone exactly.

`remedies_for(check_id)` lists them; a remedy's `preview` and `apply` take the checks' context; `undo` takes a batch
back, and `batches` is the history.
"""

from __future__ import annotations

from vagus_tui.remedies.batches import batches
from vagus_tui.remedies.catalogue import REMEDIES
from vagus_tui.remedies.model import Applied, Batch, Preview, Remedy
from vagus_tui.remedies.undo import ChangedSinceError, undo

__all__ = [
    "REMEDIES",
    "Applied",
    "Batch",
    "ChangedSinceError",
    "Preview",
    "Remedy",
    "batches",
    "remedies_for",
    "remedy_by_id",
    "undo",
]


def remedies_for(check_id: str) -> tuple[Remedy, ...]:
    """The fixes for what a check finds, the gentlest first; none for a check whose findings are left as they are."""
    return tuple(remedy for remedy in REMEDIES if remedy.check_id == check_id)


def remedy_by_id(remedy_id: str) -> Remedy:
    """One fix by its id.

    Raises:
        KeyError: there is no such fix.
    """
    return {remedy.id: remedy for remedy in REMEDIES}[remedy_id]
