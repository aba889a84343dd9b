"""The schema `workout_v1_compat`: under v1's names and with v1's columns and types, what v2 holds.

Functions that name v1's tables in their text, and policies of other tables, go on working through it. Whoever reads
it is seen by v2's row level security as themselves.
"""

from __future__ import annotations

from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.database.privileges import Grant
from vagus_tui.migration.binding import v1_rows
from vagus_tui.schema import v1
from vagus_tui.schema.helpers import made
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.rights import bare
from vagus_tui.schema.v1 import V1Shape


def compat_views(shape: V1Shape, source: str, target: str, major: int) -> list[str]:
    """The views, over the v2 tables of `source`, in the schema `target`, each seen as by its reader."""
    statements = []
    for base in v1.TABLES:
        table = shape.tables[base]
        view, rows = qualified(target, table.name), v1_rows(shape, base, source)
        if major >= 15:
            statements.append(f"create view {view} with (security_invoker = true) as\n{rows}")
            continue
        # Before 15 views read as their owner, functions in them as whoever reads.
        function = f"{qualified(target, f'rows_of_{table.name}')}"
        columns = [column for column in table.columns.values() if not column.generated]
        columns += [column for column in table.columns.values() if column.generated]
        listed = ", ".join(f"{quote(column.name)} {column.type}" for column in columns)
        statements.append(
            f"create function {function}() returns table ({listed})\nlanguage sql stable begin atomic\n{rows};\nend"
        )
        statements.append(f"create view {view} as select * from {function}()")
    return statements


def compat_statements(shape: V1Shape, source: str, grants: tuple[Grant, ...], major: int) -> list[str]:
    """Make the schema, readable by those who could read v1's tables."""
    statements = [
        *made(COMPAT),
        f"grant usage on schema {quote(COMPAT)} to public",
        *compat_views(shape, source, COMPAT, major),
    ]
    for base in v1.TABLES:
        name = shape.tables[base].name
        statements.append(bare(qualified(COMPAT, name)))
        statements.extend(
            f"grant select{f' ({quote(grant.column)})' if grant.column else ''} on {qualified(COMPAT, name)} to "
            f"{'public' if grant.grantee == 'public' else quote(grant.grantee)}"
            for grant in grants
            if grant.table == name and "SELECT" in grant.privileges
        )
    return statements
