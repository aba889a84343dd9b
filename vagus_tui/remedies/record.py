"""Keeping originals in the journal, proved exact before the rows are touched."""

from __future__ import annotations

from uuid import UUID

from vagus_tui.database.connection import Connection
from vagus_tui.errors import VagusError
from vagus_tui.format import plural
from vagus_tui.remedies.model import Action
from vagus_tui.remedies.originals import Relation


async def record(
    connection: Connection,
    relation: Relation,
    targets: str,
    batch: UUID,
    remedy: str,
    action: Action,
    table_name: str,
    operator: str,
) -> int:
    """Write the originals of the rows whose ctid is in `targets`, a relation with a column `tid`; how many.

    Raises:
        VagusError: a row's original would not make exactly the same row again.
    """
    inexact = await connection.fetchval(
        f"select count(*) from (select (t.*)::{relation.sql} as whole, {relation.original('t')} as original "
        f"from {relation.sql} t where t.ctid in (select tid from {targets})) kept "
        f"where {relation.differs('(kept.whole)', 'kept.original')}"
    )
    if inexact:
        raise VagusError(
            f"{plural(inexact, 'row')} of {relation.name} cannot be kept byte for byte.", next_step="Mend them by hand."
        )
    done = await connection.execute(
        "insert into vagus_migration.quarantine (batch, remedy, action, table_name, row_id, original, operator) "
        f"select $1, $2, $3, $4, {relation.row_id('t')}, {relation.original('t')}, $5 from {relation.sql} t "
        f"where t.ctid in (select tid from {targets})",
        batch,
        remedy,
        action,
        table_name,
        operator,
    )
    return int(done.split()[-1])
