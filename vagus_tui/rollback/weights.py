"""What each step of a rollback from a backup costs, so that a gauge can say how far all of it is."""

from __future__ import annotations

from collections.abc import Iterator

from vagus_tui.backup.gauge import Bound, Planned
from vagus_tui.backup.manifest import ArchiveEntry
from vagus_tui.backup.weights import DIGEST_COST, KEYS_COST, of_restore, of_verification, step_weight
from vagus_tui.rollback.replace import CHECK, COMPARE, Replacement
from vagus_tui.schema import v1

LOAD_COST, LOOK_COST, COMPARE_COST, STATISTICS_COST = 22.0, 2.0, 8.0, 1.0
"""Nanoseconds per byte that the tables took on the server."""


def of_rollback(part: ArchiveEntry | None, made: Replacement) -> Iterator[Planned]:
    """Every step: the backup read back and restored here, v1 made again aside, proved, put in place, settled.

    Args:
        part: the archive that v1 is restored from; None where only CSV holds it.
    """
    manifest, tables = made.blueprints.manifest, made.blueprints.tables
    yield from of_verification(manifest)
    yield from of_restore(manifest, [part] if part else [], [] if part else manifest.csv)
    sizes = {table.base: table.entry.bytes for table in tables}
    whole = sum(sizes.values())
    looked_at = {f"{CHECK}{key.name}": sizes[table.base] for table in tables for key in table.outside()}
    costs = {
        **{f"restore-load-{base}": (Bound.LINE, LOAD_COST, sizes[base]) for base in v1.TABLES},
        "restore-keys": (Bound.SERVER, KEYS_COST, whole),
        **{name: (Bound.SERVER, LOOK_COST, size) for name, size in looked_at.items()},
        **{f"restore-prove-{base}": (Bound.SERVER, DIGEST_COST, sizes[base]) for base in v1.TABLES},
        COMPARE: (Bound.SERVER, COMPARE_COST, whole),
        "settle-analyze": (Bound.SERVER, STATISTICS_COST, whole),
    }
    steps = [*made.build_steps(), made.compare_step(), *made.swap_steps({}), *made.settle_steps()]
    for step in steps:
        bound, cost, size = costs.get(step.id, (Bound.SERVER, 0.0, 0))
        yield step_weight(step.id, step.phase, bound, cost, size)
