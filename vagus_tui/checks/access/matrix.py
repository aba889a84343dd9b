"""The access matrix: who reaches how many rows of which table by which command, in v1 and in v2; kept in the journal.

`access_matrix(connection)` gives the latest one back, for the report and for the screen that walks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from vagus_tui.database.connection import Connection
from vagus_tui.events import Event
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists

COMMANDS = ("select", "insert", "update", "delete")
TOPIC = "access-matrix"
"""The journal's topic that matrices are kept under."""


class Kind(StrEnum):
    """What somebody is to the workout data."""

    OWNER = "owner"
    COACH = "coach"
    FORMER_COACH = "former coach"
    OTHER = "neither"
    ANON = "anon"
    SERVICE = "service"


class Verdict(StrEnum):
    """What became of somebody's access to a table by one command.

    BY_DESIGN: v2 gives more than v1's policies did, and exactly what v2's rules promise. LOST and GAINED are failures;
    where both happened, GAINED is told, since it shows one user another's data.
    """

    SAME = "same"
    BY_DESIGN = "by design"
    LOST = "lost"
    GAINED = "gained"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose access is measured.

    Attributes:
        id: their id in auth.users; for the roles without a user, the role's name.
        role: the API role they act as: authenticated, anon or service_role.
        kind: what they are to the data.
        label: why they were chosen, in a few words: `most plans: 14`.
    """

    id: str
    role: str
    kind: Kind
    label: str = ""

    @property
    def user_id(self) -> str | None:
        """Their id in auth.users, or None for the roles without a user."""
        return None if self.id == self.role else self.id

    @property
    def name(self) -> str:
        """What they are and which one: `coach 05da16e7-…`, `anon`."""
        if self.user_id is None:
            return self.id
        return f"{'user' if self.kind is Kind.OTHER else self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One person's access to one table of v2 by one command, in rows.

    Attributes:
        before: rows v1's policies give; of weeks, days and groups those of the plans that v1 gives.
        now: rows v2's policies give.
        since: of `now`, rows that were written since the cut-over and so have nothing to be compared with.
        lost: rows v1 gave, or v2's rules promise, that v2 does not give.
        gained: rows v2 gives that neither v1 gave nor v2's rules promise.
        by_design: rows v1 did not give and v2 does, as its rules promise.
        lost_ids, gained_ids: some of their ids.
    """

    before: int
    now: int
    since: int = 0
    lost: int = 0
    gained: int = 0
    by_design: int = 0
    lost_ids: tuple[str, ...] = ()
    gained_ids: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What became of the access."""
        if self.gained:
            return Verdict.GAINED
        if self.lost:
            return Verdict.LOST
        return Verdict.BY_DESIGN if self.by_design else Verdict.SAME


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum over all people of one kind; rows are counted once per person and command."""

    people: int = 0
    lost: int = 0
    gained: int = 0
    by_design: int = 0
    people_lost: int = 0
    people_gained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEvent(Event):
    """One cell of the matrix, for scripts. `user` is the role's name for anon and service_role."""

    kind: ClassVar[str] = "access"

    user: str
    who: str
    role: str
    table: str
    command: str
    verdict: str
    before: int
    now: int
    since: int = 0
    lost: int = 0
    gained: int = 0
    by_design: int = 0
    lost_ids: tuple[str, ...] = ()
    gained_ids: tuple[str, ...] = ()


CellKey = tuple[str, str, str]
"""A person's id, a table of v2, a command."""


@dataclass(frozen=True, slots=True)
class AccessMatrix:
    """A whole measurement.

    Attributes:
        people: those whose cells are kept: the sample, and with `everyone` those who lost or gained something.
        tables: the tables of v2, in the order in which they are shown.
        cells: by (person's id, table, command); one for every person kept, table and command.
        totals: per kind, over all people measured, whether their cells are kept or not.
        everyone: whether all users were measured, or a sample.
        compared: whether v1 was there to compare with; else v2 was held against its rules alone.
        tried: how many real statements of these people were held against the figures, and `disagreements` says where
            the server itself let through other numbers of rows.
        gaps: where row level security is off or a command has no policy, so that there is nothing to be applied.
        at, operator: when it was measured, and by whom; run_id the migration that made v2, where known.
    """

    people: tuple[Person, ...]
    tables: tuple[str, ...]
    cells: Mapping[CellKey, Cell]
    totals: Mapping[Kind, Totals]
    everyone: bool = False
    compared: bool = True
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    operator: str = ""
    run_id: str | None = None
    seconds: float = 0.0
    tried: int = 0
    disagreements: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst that became of anybody's access."""
        totals = self.totals.values()
        if any(total.gained for total in totals):
            return Verdict.GAINED
        if any(total.lost for total in totals):
            return Verdict.LOST
        return Verdict.BY_DESIGN if any(total.by_design for total in totals) else Verdict.SAME

    @property
    def measured(self) -> int:
        """How many people were measured."""
        return sum(total.people for total in self.totals.values())

    def worst(self, person: Person, table: str | None = None) -> Verdict:
        """The worst that became of one person's access, to one table or to any."""
        order = (Verdict.GAINED, Verdict.LOST, Verdict.BY_DESIGN)
        found = {
            cell.verdict
            for (who, where, _), cell in self.cells.items()
            if who == person.id and (table is None or where == table)
        }
        return next((verdict for verdict in order if verdict in found), Verdict.SAME)

    def events(self) -> Iterable[AccessEvent]:
        """Every cell kept, for scripts."""
        for person in self.people:
            for table in self.tables:
                for command in COMMANDS:
                    cell = self.cells[person.id, table, command]
                    yield AccessEvent(
                        user=person.id,
                        who=person.kind.value,
                        role=person.role,
                        table=table,
                        command=command,
                        verdict=cell.verdict.value,
                        before=cell.before,
                        now=cell.now,
                        since=cell.since,
                        lost=cell.lost,
                        gained=cell.gained,
                        by_design=cell.by_design,
                        lost_ids=cell.lost_ids,
                        gained_ids=cell.gained_ids,
                    )


def packed(matrix: AccessMatrix) -> dict[str, Any]:
    """The matrix as plain data: per person one list of cells, in the order of tables and commands."""
    return {
        "people": [
            {
                "id": person.id,
                "role": person.role,
                "kind": person.kind.value,
                "label": person.label,
                "cells": [
                    _packed_cell(matrix.cells[person.id, table, command])
                    for table in matrix.tables
                    for command in COMMANDS
                ],
            }
            for person in matrix.people
        ],
        "tables": list(matrix.tables),
        "totals": {
            kind.value: [t.people, t.lost, t.gained, t.by_design, t.people_lost, t.people_gained]
            for kind, t in matrix.totals.items()
        },
        "everyone": matrix.everyone,
        "compared": matrix.compared,
        "at": matrix.at.isoformat(),
        "operator": matrix.operator,
        "run_id": matrix.run_id,
        "seconds": matrix.seconds,
        "tried": matrix.tried,
        "disagreements": list(matrix.disagreements),
        "gaps": list(matrix.gaps),
    }


def _packed_cell(cell: Cell) -> list[Any]:
    figures: list[Any] = [cell.before, cell.now, cell.since, cell.lost, cell.gained, cell.by_design]
    if cell.lost_ids or cell.gained_ids:
        figures += [list(cell.lost_ids), list(cell.gained_ids)]
    return figures


def _cell(values: list[Any]) -> Cell:
    before, now, since, lost, gained, by_design = values[:6]
    lost_ids, gained_ids = values[6:8] if len(values) > 6 else ((), ())
    return Cell(before, now, since, lost, gained, by_design, tuple(lost_ids), tuple(gained_ids))


def unpacked(body: Mapping[str, Any]) -> AccessMatrix:
    """The matrix that `packed` made plain data of."""
    tables = tuple(body["tables"])
    places = [(table, command) for table in tables for command in COMMANDS]
    people, cells = [], {}
    for item in body["people"]:
        person = Person(item["id"], item["role"], Kind(item["kind"]), item["label"])
        people.append(person)
        for (table, command), values in zip(places, item["cells"], strict=True):
            cells[person.id, table, command] = _cell(values)
    return AccessMatrix(
        people=tuple(people),
        tables=tables,
        cells=cells,
        totals={Kind(kind): Totals(*values) for kind, values in body["totals"].items()},
        everyone=body["everyone"],
        compared=body["compared"],
        at=datetime.fromisoformat(body["at"]),
        operator=body["operator"],
        run_id=body["run_id"],
        seconds=body["seconds"],
        tried=body["tried"],
        disagreements=tuple(body["disagreements"]),
        gaps=tuple(body.get("gaps", ())),
    )


async def keep_matrix(connection: Connection, matrix: AccessMatrix) -> None:
    """Keep a matrix in the journal, where there is one: looking alone makes none."""
    if await journal_exists(connection):
        await store.note(connection, TOPIC, packed(matrix), operator=matrix.operator)


async def access_matrix(connection: Connection) -> AccessMatrix | None:
    """The latest matrix that was measured on this database, or None when there is none.

    Its `cells` are by (person's id, table, command); `totals` per kind of person say what the report's one line needs
    (people, rows lost, gained, gained by design); `people` are in the order in which they are shown.
    """
    body = await store.latest_note(connection, TOPIC)
    return None if body is None else unpacked(body)
