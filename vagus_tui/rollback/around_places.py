"""Where what points at v2 is by now: what was renamed or moved since the cut-over is followed by its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.migration.repoint import foreign_keys, of_kind, policies, references
from vagus_tui.migration.surroundings import Described, Thing, bound_to_v2, describe, read_noted, thing
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback import around_queries as queries
from vagus_tui.rollback import around_words as words
from vagus_tui.rollback.spelling import by_new_names, on_table, reads, spellings
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import quote

_READERS = (Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.FUNCTION)
_FOLLOWED = (Kind.FOREIGN_KEY, Kind.VIEW, Kind.POLICY, Kind.PUBLICATION)
"""Kinds that are followed where they were renamed themselves. The text of a function says its name, and the old one of
a materialized view is kept by it."""


async def relations(connection: Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], asyncpg.Record]:
    """What there is of some relations, by schema and name: whether it is there, of what kind, whose, its columns."""
    listed = sorted(names)
    rows = await connection.fetch(queries.RELATIONS, [home for home, _ in listed], [name for _, name in listed])
    return {(row["home"], row["name"]): row for row in rows}


def touched(survey: Survey) -> set[tuple[str, str]]:
    """The tables that carry references and policies, and those that v2 refers to as v1 did."""
    names = {(one.schema, one.on) for one in (*foreign_keys(survey), *policies(survey))}
    outside = [one for one in references(survey) if not one.fact("inner")]
    return names | {(one.fact("target schema"), one.fact("target")) for one in outside}


class Places:
    """Where everything is. Create it, then `await find()`.

    Attributes:
        survey: the record, with what was renamed itself under its name of today.
        noted: what the cut-over noted of each, by the same names.
        back, left: what is said of what is followed, and of what is left out.
        columns: of the tables that carry references and policies, by what they carry.
        not_ours: who owns what is somebody else's.
        called: the name of today of what was renamed itself and cannot be followed.
    """

    def __init__(self, connection: Connection, survey: Survey) -> None:
        self.connection = connection
        self.survey = survey
        self.schema = survey.shape.schema
        self.noted: Mapping[Thing, Described] = {}
        self.back: list[str] = []
        self.left: list[str] = []
        self.columns: dict[Thing, list[str]] = {}
        self.not_ours: dict[Thing, str] = {}
        self.called: dict[Thing, str] = {}
        # What each has become, by what it was: the same elsewhere, or None for left out.
        self._now: dict[Thing, Dependent | None] = {}
        # Tables under the names that they have now, and what is on each.
        self._moved: dict[tuple[str, str], tuple[str, str]] = {}
        self._followed: dict[tuple[str, str], list[Dependent]] = {}
        # Relations by the number that the server gave them: schema, name, and the name as definitions spell it.
        self._numbered: dict[int, tuple[str, str, str]] = {}

    async def find(self) -> None:
        """Look for everything, what carries others first."""
        self.noted = await read_noted(self.connection)
        await self._numbers()
        await self._renamed_themselves()
        before = bound_to_v2(self.survey)
        carriers = await relations(self.connection, touched(self.survey))
        carried = (*foreign_keys(self.survey), *policies(self.survey))
        for table in dict.fromkeys((one.schema, one.on) for one in carried):
            on_it = [one for one in carried if (one.schema, one.on) == table]
            place = await self._elsewhere(table, on_it, there=carriers[table]["there"])
            if place is not None and place != table:
                self._moved[table] = place
        for one in carried:
            await self._place(one, carriers[one.schema, one.on])
        for (old, new), on_it in self._followed.items():
            self.back.append(words.followed_table(old, new, on_it))
        self._renamed_sources(before)

    def now(self, one: Dependent) -> Dependent | None:
        """What one has become: itself as a rule, None where it is left out."""
        return self._now.get(thing(one), one)

    def pairs(self, before: Iterable[Dependent]) -> list[tuple[Dependent, Dependent]]:
        """What is not left out: as it was, and as it is."""
        pairs = ((was, self.now(was)) for was in before)
        return [(was, now) for was, now in pairs if now is not None]

    def leave(self, one: Dependent, why: str = "") -> None:
        """Leave one out; `why` is said, if it is not said otherwise."""
        self._now[thing(one)] = None
        if why:
            self.left.append(words.left(one, why))

    def renamed(self, one: Dependent) -> dict[str, str]:
        """What it reads that is called otherwise by now: the name it had, and the name it has.

        Views that a rollback brings back have their own names again then.
        """
        noted = self.noted.get(thing(one))
        views = of_kind(self.survey, Kind.VIEW, Kind.MATERIALIZED_VIEW)
        again = {name for view in views for name in spellings(view.schema, view.name)}
        return {
            name: self._numbered[int(number)][2]
            for number, name in (reads(noted) if noted else ())
            if int(number) in self._numbered and self._numbered[int(number)][2] != name and name not in again
        }

    async def _numbers(self) -> None:
        """What the relations that were noted by their numbers are called now.

        A copy that was made from a dump has numbers of its own. v2's own tables tell: nobody renames those.
        """
        noted = {int(number): name for one in self.noted.values() for number, name in reads(one)}
        async with self.connection.transaction():
            await self.connection.execute(f"set local search_path = {quote(self.schema)}, pg_temp")
            rows = await self.connection.fetch(queries.NUMBERED, [*noted])
        now = {row["number"]: (row["home"], row["name"], row["spelled"]) for row in rows}
        sure = [number for number in now if noted[number] in v2.TABLES or noted[number].startswith(f"{COMPAT}.")]
        if sure and all(now[number][2] == noted[number] for number in sure):
            self._numbered = now

    async def _renamed_themselves(self) -> None:
        """Follow what is called otherwise itself by now, where nothing else has taken its name.

        From then on it goes by its name of today, in the record and in the note.
        """
        before = bound_to_v2(self.survey) if self._numbered else []
        there = await describe(self.connection, self.schema, [thing(one) for one in before])
        # A table that was renamed takes along what is on it, and that has its name yet.
        gone = [
            (one, noted.number)
            for one in before
            if thing(one) not in there and (noted := self.noted.get(thing(one))) and noted.number
        ]
        again: dict[Thing, Dependent] = {}
        for row in await self.connection.fetch(
            queries.OWN_NAMES, [one.kind.value for one, _ in gone], [str(number) for _, number in gone]
        ):
            was = gone[row["place"] - 1][0]
            now = replace(was, name=row["name"], schema=row["home"] if was.kind is Kind.VIEW else was.schema)
            if (now.schema, now.name) == (was.schema, was.name):
                continue
            if was.kind in _FOLLOWED:
                again[thing(was)] = now
                self.back.append(words.followed_name(was, now))
            else:
                self.called[thing(was)] = row["name"]
        self.noted = {thing(again[key]) if key in again else key: noted for key, noted in self.noted.items()}
        self.survey = replace(
            self.survey, dependents=tuple(again.get(thing(one), one) for one in self.survey.dependents)
        )

    def _renamed_sources(self, before: Iterable[Dependent]) -> None:
        """Follow tables that views, functions and policies read and that are called otherwise by now."""
        for was, now in self.pairs(before):
            # Its own table's name `_place` has seen to.
            carrier = spellings(was.schema, was.on) if was.kind is Kind.POLICY else set()
            renamed = {old: new for old, new in self.renamed(was).items() if old not in carrier}
            if not renamed or was.kind not in _READERS or (was.kind is Kind.FUNCTION and not was.fact("atomic")):
                continue
            facts = tuple((key, by_new_names(value, renamed)) for key, value in now.facts)
            followed = replace(now, definition=by_new_names(now.definition, renamed), facts=facts)
            if followed != now:
                self._now[thing(was)] = followed
                self.back.append(words.names_of_today(was, renamed))

    async def _place(self, one: Dependent, row: asyncpg.Record) -> None:
        """Find the table of a reference or a policy, under the name that it has now."""
        now = one
        if (place := self._moved.get((one.schema, one.on))) is None and not row["there"]:
            self.leave(one, words.NO_TABLE)
            return
        if place is not None:
            now = on_table(one, *place)
            self._followed.setdefault((words.table(one), words.table(now)), []).append(one)
            row = (await relations(self.connection, [place]))[place]
        if now.fact("partitioned"):
            facts = tuple(fact for fact in now.facts if fact[0] != "leaf")
            now = replace(now, facts=(*facts, *(("leaf", leaf) for leaf in row["leaves"])))
        self._now[thing(one)] = now
        self.columns[thing(now)] = row["columns"]
        if not row["ours"]:
            self.not_ours[thing(now)] = row["owner"]

    async def _elsewhere(
        self, table: tuple[str, str], on_it: list[Dependent], *, there: bool
    ) -> tuple[str, str] | None:
        """What a table is called now, whatever has its name; None where it is gone, or nobody knows.

        Known by its number. Where none was noted, by a reference of its that leads to v2, on a table that had nothing
        to do with it before; never by a policy, since many tables have one of the same name.

        Args:
            there: a table of its name is there.
        """
        spelled = spellings(*table)
        noted = [self.noted[thing(one)] for one in on_it if thing(one) in self.noted]
        numbers = [int(number) for one in noted for number, name in reads(one) if name in spelled]
        if numbers and self._numbered:
            return next((self._numbered[number][:2] for number in numbers if number in self._numbered), None)
        for one in () if there else on_it:
            if one.kind is Kind.FOREIGN_KEY:
                rows = await self.connection.fetch(queries.MOVED_KEYS, self.schema, one.base, one.name)
                found = {(row["home"], row["carrier"]) for row in rows}
                if len(found) == 1 and not found & touched(self.survey):
                    return found.pop()
        return None
