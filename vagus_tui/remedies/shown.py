"""Whether a fix is about to touch the very rows that its preview showed: not as many others, nor to other values."""

from __future__ import annotations

from vagus_tui.errors import RefusedError
from vagus_tui.format import plural
from vagus_tui.remedies.model import Preview


def digest_sql(rows: str) -> str:
    """The query for a digest of rows, whatever their order; "" where there are none.

    In two stages, since one string of all hashes may be more than a value can hold.

    Args:
        rows: a SELECT of one text, `what`, per row.
    """
    return (
        "select coalesce(md5(string_agg(part, '' order by part)), '') from (\n"
        "  select left(h, 2) || md5(string_agg(h, '' order by h)) as part\n"
        f'  from (select md5(what) collate "C" as h from (\n{rows}\n) w) hashed group by left(h, 2)) parts'
    )


def refuse_if_moved(rows: int, digest: str, expected: Preview | None) -> None:
    """Refuse to touch other rows than those that were shown.

    Raises:
        RefusedError: there are none, or they are others than were expected, or would become something else.
    """
    again = "Look at the preview again."
    if expected is not None and rows != expected.rows:
        raise RefusedError(
            f"{plural(expected.rows, 'row was', 'rows were')} shown, but now there are {rows:,}.", next_step=again
        )
    if rows == 0:
        raise RefusedError("There is no row to mend.", next_step="Run the check again.")
    if expected is not None and digest != expected.digest:
        raise RefusedError(
            f"As many rows as were shown, {rows:,}, but not the same: somebody wrote to them, or to what hangs on "
            "them, since the preview.",
            next_step=again,
        )
