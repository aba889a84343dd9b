"""The encoding of the database: only what is kept in UTF8, as every Supabase project is, can be moved or backed up."""

from __future__ import annotations

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError

UTF8 = "UTF8"
ENCODING_SQL = "select current_setting('server_encoding')"


def wrong_encoding(encoding: str) -> str:
    """Why a database in another encoding is refused, in sentences."""
    how = "does not say how its texts are spelled" if encoding == "SQL_ASCII" else "cannot hold every character"
    return (
        f"The database is kept in {encoding}, which {how}: texts cannot be compared byte for byte with those of the "
        f"copies that are made on the way, which are in {UTF8}, as every Supabase project is."
    )


async def refuse_unless_utf8(connection: Connection) -> None:
    """Stop before anything is done in another encoding.

    Raises:
        RefusedError: the database is kept in another one.
    """
    encoding = str(await connection.fetchval(ENCODING_SQL))
    if encoding != UTF8:
        raise RefusedError(
            wrong_encoding(encoding),
            state="Nothing was changed.",
            next_step="Move it into a database in UTF8 first (pg_dump, createdb --encoding=UTF8, pg_restore), the app "
            "with it.",
        )
