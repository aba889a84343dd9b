"""Which fixes this database has rows for, and how many each would touch now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from vagus_tui.checks.base import Context
from vagus_tui.checks.data_quality.rule import Names
from vagus_tui.remedies import remedies_for
from vagus_tui.remedies.model import Preview, Remedy


@dataclass(frozen=True, slots=True)
class Offer:
    """One fix with what it would do now."""

    remedy: Remedy
    preview: Preview


def applicable(check_id: str, context: Context) -> list[Remedy]:
    """The fixes for a check that this database has the columns for, the gentlest first."""
    names = Names(context.shape)
    return [remedy for remedy in remedies_for(check_id) if remedy.applies(names)]


def safe_ones(check_ids: Iterable[str], context: Context) -> list[Remedy]:
    """The fixes for these checks by which no row leaves and no meaning is invented; two of one check share no rows."""
    return [remedy for id in check_ids for remedy in applicable(id, context) if remedy.safe]


async def offers(remedies: Iterable[Remedy], context: Context) -> AsyncIterator[Offer]:
    """Those of these fixes that have rows, one after another."""
    for remedy in remedies:
        preview = await remedy.preview(context)
        if preview.rows:
            yield Offer(remedy, preview)
