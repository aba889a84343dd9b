"""Whether the way to the server and back is why something took too long."""

from __future__ import annotations

from vagus_tui.database.connection import Connection, answer_time
from vagus_tui.format import milliseconds

TELLING_SHARE = 1 / 3
"""Of the time that something may take: where the way alone takes as much, it is worth a word."""


async def share_of_the_line(connection: Connection, answers: int, limit: float) -> str:
    """That the line is slow, in words that follow on what happened; empty where it is no reason.

    Args:
        connection: on which nothing is under way.
        answers: how often it waits for an answer.
        limit: how many seconds it may take.
    """
    each = await answer_time(connection)
    if each * answers < limit * TELLING_SHARE:
        return ""
    return (
        f". The line is slow: it waits for {answers} answers of the server, and each takes {milliseconds(each)} ms to "
        "get here. Run vagus-tui from a machine in the project's region"
    )
