"""The checks of access: one per kind of person, and one that holds the figures against the server itself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from vagus_tui.checks.access.faults import APPLIED, FAULTS
from vagus_tui.checks.access.matrix import COMMANDS, AccessMatrix, Cell, Kind, Person, Verdict, keep_matrix
from vagus_tui.checks.access.measure import measured
from vagus_tui.checks.access.people import STRANGER
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.nouns import counted
from vagus_tui.checks.verification.base import on_v2
from vagus_tui.database.identifiers import literal, qualified
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import plural
from vagus_tui.schema import v2

REPORT = "Post-Migration Verification · Test 4"
CACHED = "access"
"""Where a run of checks keeps the matrix that all of them read; the command line takes its cells from there."""
LISTED = 12


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is said about one kind of person."""

    id: str
    kind: Kind
    title: str
    why: str
    nobody: str


_KINDS = (
    _Kind(
        "access-owners",
        Kind.OWNER,
        "Access of owners",
        "Whoever had a plan, a session or a set in v1 must find, change and delete it in v2, and nobody else's.",
        "Nobody owns a plan or a session without being a coach.",
    ),
    _Kind(
        "access-coaches",
        Kind.COACH,
        "Access of coaches",
        "A coach does everything with active clients' plans and reads their sessions and sets. Where v1's policies "
        "gave less, the difference is by design; where they gave more, it is lost and shown.",
        "Nobody coaches anybody.",
    ),
    _Kind(
        "access-former-coaches",
        Kind.FORMER_COACH,
        "Access of former coaches",
        "A relation that ended or never began must open nothing.",
        "There is no coach without an active client.",
    ),
    _Kind(
        "access-others",
        Kind.OTHER,
        "Access of other users",
        "Users without plans, and a user who does not exist, must find every table empty.",
        "There is no other user.",
    ),
    _Kind(
        "access-anon",
        Kind.ANON,
        "Access without a login",
        "The app's public key is in every phone: whoever has it alone must see no row.",
        "The role anon does not exist.",
    ),
    _Kind(
        "access-service",
        Kind.SERVICE,
        "Access of the service",
        "Functions and jobs that run with the service's key must find in v2 all that they found in v1.",
        "The role service_role does not exist.",
    ),
)


def failing_cells(matrix: AccessMatrix, kind: Kind | None = None) -> Iterator[tuple[Person, str, str, Cell]]:
    """Every kept cell in which something was lost or gained, of one kind of person or of all."""
    for person in matrix.people:
        if kind in (None, person.kind):
            for table in matrix.tables:
                for command in COMMANDS:
                    cell = matrix.cells[person.id, table, command]
                    if cell.verdict in (Verdict.LOST, Verdict.GAINED):
                        yield person, table, command, cell


def told(person: Person, table: str, command: str, cell: Cell) -> str:
    """One failing cell in words: who, what, how many, which."""
    parts = []
    for number, word, ids in ((cell.gained, "gains", cell.gained_ids), (cell.lost, "loses", cell.lost_ids)):
        if number:
            listed = ", ".join(ids[:3]) + (" …" if number > 3 else "")
            parts.append(f"{word} {counted(number, table)} ({listed})")
    return f"{person.name}: {command} {table} {' and '.join(parts)}"


def judged(matrix: AccessMatrix, kind: Kind) -> Outcome:
    """What a matrix says about one kind of person.

    Lost access may be overridden, since an operator can have meant it; shown to strangers is never let pass.
    """
    totals = matrix.totals.get(kind)
    if totals is None:
        return Outcome(Status.SKIP, "–", next(item.nobody for item in _KINDS if item.kind is kind))
    who = f"{plural(totals.people, 'person', 'people')} measured"
    notes = [f"{who}, {'all there are' if matrix.everyone else 'a sample'}."]
    if not matrix.compared:
        notes.append("v1 was removed: v2 was held against its own rules.")
    if totals.by_design:
        notes.append(
            f"By design v2 gives {plural(totals.by_design, 'row')} that v1's policies did not, as its rules promise."
        )
    if not totals.lost and not totals.gained:
        return Outcome(Status.PASS, 0, " ".join(notes))
    changed = ((totals.gained, "gained", totals.people_gained), (totals.lost, "lost", totals.people_lost))
    notes[:0] = [f"{plural(rows, 'row')} {word} by {people:,}." for rows, word, people in changed if rows]
    cells = [told(*cell) for cell in failing_cells(matrix, kind)]
    if len(cells) > LISTED:
        cells = [*cells[:LISTED], f"and {len(cells) - LISTED:,} more in the matrix"]
    return Outcome(
        Status.FAIL,
        totals.lost + totals.gained,
        " ".join(notes),
        rows=totals.lost + totals.gained,
        detail=tuple(cells),
        overridable=not totals.gained,
    )


def judged_applied(matrix: AccessMatrix) -> Outcome:
    """Whether policies are in force, and real statements reached as many rows as they were read to give."""
    if matrix.gaps:
        return Outcome(
            Status.FAIL,
            plural(len(matrix.gaps), "gap"),
            f"{'; '.join(matrix.gaps)}. The figures above are of what is there, and the server "
            + ("agrees with them." if not matrix.disagreements else "does not even agree with them."),
            rows=len(matrix.gaps),
            detail=(*matrix.gaps, *matrix.disagreements)[:LISTED],
        )
    if matrix.disagreements:
        return Outcome(
            Status.FAIL,
            f"{len(matrix.disagreements)} differ",
            "The server lets through what its policies do not say, or holds back what they do.",
            rows=len(matrix.disagreements),
            detail=matrix.disagreements[:LISTED],
        )
    return Outcome(Status.PASS, "agrees", f"{matrix.tried:,} real statements of one person of each kind were counted.")


async def _matrix(context: Context) -> AccessMatrix:
    """The matrix of this run of checks, measured by the first of them that needs it, and kept in the journal."""
    if CACHED not in context.cache:
        matrix = await measured(context)
        await keep_matrix(context.connection, matrix)
        context.cache[CACHED] = matrix
    found: AccessMatrix = context.cache[CACHED]
    return found


def _probe(judge: Callable[[AccessMatrix], Outcome]) -> Callable[[Context], Awaitable[Outcome]]:
    @on_v2
    async def probe(context: Context) -> Outcome:
        return judge(await _matrix(context))

    return probe


def try_it(person: Person, table: str, command: str) -> str:
    """What to type into psql to see for oneself what somebody reaches; it is rolled back."""
    claims = "{}" if person.user_id is None else json.dumps({"role": person.role, "sub": person.id})
    relation = qualified("public", table)
    statement = {
        "select": f"select count(*), min(id::text) from {relation};",
        "insert": f"insert into {relation} (…) values (…);  -- 42501 where row level security says no",
        "update": f"update {relation} set id = id;  -- says how many rows it reaches",
        "delete": f"delete from {relation};  -- says how many rows it reaches",
    }[command]
    return (
        f"begin;\nselect set_config('request.jwt.claims', {literal(claims).strip()}, true);\n"
        f"set local role {person.role};\n{statement}\nrollback;"
    )


CHECKS: tuple[Check, ...] = (
    *(
        Check(
            id=item.id,
            group=Group.ACCESS,
            title=item.title,
            why=item.why,
            expected="0",
            probe=_probe(partial(judged, kind=item.kind)),
            guide=REPORT,
            sql=lambda _: try_it(STRANGER, v2.PLANS, "select"),
            faults=FAULTS[item.kind],
        )
        for item in _KINDS
    ),
    Check(
        id="access-as-applied",
        group=Group.ACCESS,
        title="Policies as applied",
        why="The figures above are worked out from the policies' conditions. One person of each kind is tried with "
        "real SELECT, UPDATE and DELETE as well, which write nothing, and the server's own count must agree. Row level "
        "security must be on, with a policy for every command, or nothing is applied at all.",
        expected="agrees",
        probe=_probe(judged_applied),
        guide=REPORT,
        overridable=False,
        faults=APPLIED,
    ),
)

_KIND_OF = {item.id: item.kind for item in _KINDS}


def events_of(matrix: AccessMatrix) -> list[CheckEvent]:
    """The checks' outcomes by a matrix that was measured already, such as one of everybody."""
    return [
        check.outcome(judged(matrix, _KIND_OF[check.id]) if check.id in _KIND_OF else judged_applied(matrix))
        for check in CHECKS
    ]
