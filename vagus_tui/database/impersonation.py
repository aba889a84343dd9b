"""Acting as the app's users do: as one of the API roles, with a user's claims, inside a transaction.

Row level security proves nothing when it is looked at as `postgres`, which passes it by.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal, quote

NOBODY = "00000000-0000-0000-0000-000000000000"
"""A user who does not exist."""


@contextlib.asynccontextmanager
async def undone(
    connection: Connection, *settings: str, timeout_ms: int = 60_000, one_moment: bool = False
) -> AsyncIterator[None]:
    """A transaction that is always rolled back; waits for no lock longer than a moment.

    With `one_moment` all of it sees the rows as they were at one moment, whatever is written meanwhile. `settings` are
    statements such as "set local jit = off", sent along.
    """
    transaction = connection.transaction(isolation="repeatable_read" if one_moment else None)
    await transaction.start()
    try:
        bounds = "set local lock_timeout = '500ms'", f"set local statement_timeout = {timeout_ms}"
        await connection.execute("; ".join((*bounds, *settings)))
        yield
    finally:
        if not connection.is_closed():
            await transaction.rollback()


@contextlib.asynccontextmanager
async def acting_as(connection: Connection, role: str, user_id: str | None = None) -> AsyncIterator[None]:
    """Be an API role, with a user's claims in both forms that auth.uid() reads, until the block ends.

    To be used inside a transaction; a savepoint brings role and claims back to what they were, whatever happens.
    """
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await connection.execute(act_as(role, user_id))
        yield
    finally:
        if not connection.is_closed():
            await savepoint.rollback()


def act_as(role: str, user_id: str | None = None) -> str:
    """The statements by which a transaction goes on as an API role with a user's claims."""
    return f"select {_claims(role, user_id)}; set local role {quote(role)}"


def _claims(role: str, user_id: str | None) -> str:
    """What makes a user's claims, as a list of SQL expressions."""
    claims = {"role": role} | ({"sub": user_id} if user_id else {})
    made = {
        "request.jwt.claim.sub": user_id or "",
        "request.jwt.claim.role": role,
        "request.jwt.claims": json.dumps(claims),
    }
    return ", ".join(f"set_config({literal(name)}, {literal(value)}, true)" for name, value in made.items())


@dataclass(frozen=True, slots=True)
class Asked:
    """An API role, with a user's claims, and what it is asked: statements in PL/pgSQL, each of which sets `answer`."""

    role: str
    user_id: str | None
    questions: tuple[str, ...]


async def answers_of(connection: Connection, asked: Sequence[Asked]) -> list[list[str | None]]:
    """Ask people of the app, in turn, and give everyone's answers; None where the role may not do what it is asked.

    All of it is one message: asked one after another over a long line, they would keep everybody waiting. To be used
    inside a transaction that is rolled back, since the last one's claims stay until its end.
    """
    lines = []
    for one in asked:
        lines.append(f"perform {_claims(one.role, one.user_id)};\nset local role {quote(one.role)};")
        lines += [
            f"begin\n{question}\nexception when insufficient_privilege then answer := null;\nend;\n"
            "answers := array_append(answers, answer);"
            for question in one.questions
        ]
        lines.append("reset role;")
    body = "\n".join(("declare answer text; answers text[];\nbegin", *lines, f"perform {_KEEP_ANSWERS};\nend"))
    await connection.execute(f"do {literal(body)}")
    told = iter(json.loads(await connection.fetchval(_KEPT_ANSWERS)))
    return [[next(told) for _ in one.questions] for one in asked]


_KEEP_ANSWERS = "set_config('vagus.answers', array_to_json(answers)::text, true)"
_KEPT_ANSWERS = "select current_setting('vagus.answers')"
