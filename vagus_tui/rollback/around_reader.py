"""Comparing what points at v2 with what the cut-over left: what has moved, what is missing, what is altered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.migration import matviews
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.repoint import (
    foreign_keys,
    function_as_it_was,
    functions,
    of_kind,
    policies,
    policy_bound,
    publication_of_v2,
    publications,
    published,
    references,
    repointed,
    view_as_it_was,
)
from vagus_tui.migration.surroundings import Described, Thing, bound_to_v2, describe, read_noted, thing
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback import around_queries as queries
from vagus_tui.rollback import around_words as words
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.back_trial import try_back
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.spelling import as_printed, by_new_names, lost_columns, on_table, reads, spellings
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote

_READERS = (Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.FUNCTION)
_FOLLOWED = (Kind.FOREIGN_KEY, Kind.VIEW, Kind.POLICY, Kind.PUBLICATION)
"""Kinds that are followed where they were renamed themselves. The text of a function says its name, and the old one of
a materialized view is kept by it."""


async def read_around(connection: Connection, survey: Survey) -> Around:
    """Compare what points at v2 with what the cut-over left, and with what a rollback needs of it."""
    return await _Reader(connection, survey).read()


class _Reader:
    """Looks at one database."""

    def __init__(self, connection: Connection, survey: Survey) -> None:
        self.connection = connection
        self.survey = survey
        self.schema = survey.shape.schema
        self.back: list[str] = []
        self.left: list[str] = []
        self.prevents: list[Prevents] = []
        self.texts: list[tuple[str, str]] = []
        self.missing: set[Thing] = set()
        self.aside: set[Thing] = set()
        self.altered: set[Thing] = set()
        self.unpublished: set[Thing] = set()
        # What each has become, by what it was: the same elsewhere, or None for left out.
        self.now: dict[Thing, Dependent | None] = {}
        # Tables under the names that they have now, and what is on each.
        self.moved: dict[tuple[str, str], tuple[str, str]] = {}
        self.followed: dict[tuple[str, str], list[Dependent]] = {}
        # Relations by the number that the server gave them: schema, name, and the name as definitions spell it.
        self.numbered: dict[int, tuple[str, str, str]] = {}
        self.noted: Mapping[Thing, Described] = {}
        self.columns: dict[Thing, list[str]] = {}
        self.not_ours: dict[Thing, str] = {}
        # What those are called that were renamed themselves and cannot be followed.
        self.called: dict[Thing, str] = {}

    async def read(self) -> Around:
        """Look at everything, what carries others first."""
        self.noted = await read_noted(self.connection)
        await self._numbers()
        await self._renamed_themselves()
        noted, before = self.noted, bound_to_v2(self.survey)
        carriers = await self._relations(self._touched(self.survey))
        carried = (*foreign_keys(self.survey), *policies(self.survey))
        for table in dict.fromkeys((one.schema, one.on) for one in carried):
            on_it = [one for one in carried if (one.schema, one.on) == table]
            place = await self._elsewhere(table, on_it, there=carriers[table]["there"])
            if place is not None and place != table:
                self.moved[table] = place
        for one in carried:
            await self._place(one, carriers[one.schema, one.on])
        for (old, new), on_it in self.followed.items():
            self.back.append(words.followed_table(old, new, on_it))
        await self._relation_kinds()
        await self._functions()
        await self._publications()
        self._renamed_sources(before)
        found = await describe(self.connection, self.schema, [thing(now) for _, now in self._pairs(before)])
        for was, now in self._pairs(before):
            self._compare(now, noted.get(thing(was)), found.get(thing(now)), self._renamed(was))
        without_kept = await self._without_kept() | self._readers_of_archived()
        pairs = self._pairs(before)
        survey = replace(
            self.survey,
            dependents=tuple(now for _, now in self._pairs(self.survey.dependents)),
        )
        doubtful = await try_back(self.connection, survey, self.missing, self.aside)
        await self._names_in_the_way()
        there = await self._relations({*self._touched(survey), (self.schema, v2.PREFERENCES)})
        if not there[self.schema, v2.PREFERENCES]["there"]:
            self._without_preferences()
        return Around(
            survey=survey,
            missing=frozenset(self.missing),
            aside=frozenset(self.aside),
            altered=frozenset(self.altered),
            noted={thing(now): noted[thing(was)] for was, now in pairs if thing(was) in noted},
            unpublished=frozenset(self.unpublished),
            without_kept=without_kept,
            gone=frozenset(qualified(*name) for name, row in there.items() if not row["there"]),
            texts=tuple(self.texts),
            back=tuple(self.back),
            left=tuple(self.left),
            doubtful=tuple(doubtful),
            prevents=tuple(self.prevents),
            unknown=bool(before) and not noted,
        )

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
            self.numbered = now

    async def _renamed_themselves(self) -> None:
        """Follow what is called otherwise itself by now, where nothing else has taken its name.

        From then on it goes by its name of today, in the record and in the note.
        """
        before = bound_to_v2(self.survey) if self.numbered else []
        there = await describe(self.connection, self.schema, [thing(one) for one in before])
        # A table that was renamed takes along what is on it, and that has its name yet.
        gone = [
            (one, noted.number)
            for one in before
            if thing(one) not in there and (noted := self.noted.get(thing(one))) and noted.number
        ]
        again: dict[Thing, Dependent] = {}
        for row in await self.connection.fetch(
            queries.OWN_NAMES, [one.kind.value for one, _ in gone], [number for _, number in gone]
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
        for was, now in self._pairs(before):
            # Its own table's name `_on` has seen to.
            carrier = spellings(was.schema, was.on) if was.kind is Kind.POLICY else set()
            renamed = {old: new for old, new in self._renamed(was).items() if old not in carrier}
            if not renamed or was.kind not in _READERS or (was.kind is Kind.FUNCTION and not was.fact("atomic")):
                continue
            facts = tuple((key, by_new_names(value, renamed)) for key, value in now.facts)
            followed = replace(now, definition=by_new_names(now.definition, renamed), facts=facts)
            if followed != now:
                self.now[thing(was)] = followed
                self.back.append(words.names_of_today(was, renamed))

    def _renamed(self, one: Dependent) -> dict[str, str]:
        """What it reads that is called otherwise by now: the name it had, and the name it has.

        Views that a rollback brings back have their own names again then.
        """
        noted = self.noted.get(thing(one))
        views = of_kind(self.survey, Kind.VIEW, Kind.MATERIALIZED_VIEW)
        again = {name for view in views for name in spellings(view.schema, view.name)}
        return {
            name: self.numbered[int(number)][2]
            for number, name in (reads(noted) if noted else ())
            if int(number) in self.numbered and self.numbered[int(number)][2] != name and name not in again
        }

    def _pairs(self, before: Iterable[Dependent]) -> list[tuple[Dependent, Dependent]]:
        """What is not left out: as it was, and as it is."""
        pairs = ((was, self.now.get(thing(was), was)) for was in before)
        return [(was, now) for was, now in pairs if now is not None]

    def _leave(self, one: Dependent, why: str) -> None:
        self.now[thing(one)] = None
        self.left.append(words.left(one, why))

    # ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _touched(survey: Survey) -> set[tuple[str, str]]:
        """The tables that carry references and policies, and those that v2 refers to as v1 did."""
        names = {(one.schema, one.on) for one in (*foreign_keys(survey), *policies(survey))}
        outside = [one for one in references(survey) if not one.fact("inner")]
        return names | {(one.fact("target schema"), one.fact("target")) for one in outside}

    async def _relations(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], asyncpg.Record]:
        listed = sorted(names)
        rows = await self.connection.fetch(
            queries.RELATIONS, [home for home, _ in listed], [name for _, name in listed]
        )
        return {(row["home"], row["name"]): row for row in rows}

    async def _place(self, one: Dependent, row: asyncpg.Record) -> None:
        """Find the table of a reference or a policy, under the name that it has now."""
        now = one
        if (place := self.moved.get((one.schema, one.on))) is None and not row["there"]:
            self._leave(one, words.NO_TABLE)
            return
        if place is not None:
            now = on_table(one, *place)
            self.followed.setdefault((words.table(one), words.table(now)), []).append(one)
            row = (await self._relations([place]))[place]
        if now.fact("partitioned"):
            facts = tuple(fact for fact in now.facts if fact[0] != "leaf")
            now = replace(now, facts=(*facts, *(("leaf", leaf) for leaf in row["leaves"])))
        self.now[thing(one)] = now
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
        if numbers and self.numbered:
            return next((self.numbered[number][:2] for number in numbers if number in self.numbered), None)
        for one in () if there else on_it:
            if one.kind is Kind.FOREIGN_KEY:
                rows = await self.connection.fetch(queries.MOVED_KEYS, self.schema, one.base, one.name)
                found = {(row["home"], row["carrier"]) for row in rows}
                if len(found) == 1 and not found & self._touched(self.survey):
                    return found.pop()
        return None

    async def _relation_kinds(self) -> None:
        """Views that are not ours any more, and what else has a view's name."""
        views = of_kind(self.survey, Kind.VIEW, Kind.MATERIALIZED_VIEW)
        rows = await self._relations((one.schema, one.name) for one in views)
        for one in views:
            row = rows[one.schema, one.name]
            own = "v" if one.kind is Kind.VIEW else "m"
            if row["there"] and row["relkind"] != own:
                self.prevents.append(words.other_kind(one, row["relkind"]))
            elif row["there"] and not row["ours"]:
                self.not_ours[thing(one)] = row["owner"]

    async def _functions(self) -> None:
        wanted = functions(self.survey)
        async with self.connection.transaction():
            # Argument types are spelled as they were read.
            await self.connection.execute(f"set local search_path = {quote(self.schema)}, pg_temp")
            rows = await self.connection.fetch(
                queries.ROUTINES,
                [*range(len(wanted))],
                [one.schema for one in wanted],
                [one.name for one in wanted],
                [one.detail for one in wanted],
            )
        self.not_ours |= {thing(wanted[row["place"]]): row["owner"] for row in rows}

    async def _publications(self) -> None:
        wanted = publications(self.survey)
        kept = [qualified(self.schema, new_name(self.survey, one.base)) for one in wanted]
        gone: dict[str, list[Dependent]] = {}
        rows = await self.connection.fetch(queries.PUBLICATIONS, [one.name for one in wanted], kept)
        for one, row in zip(wanted, rows, strict=True):
            if not row["there"]:
                gone.setdefault(one.name, []).append(one)
            elif row["wide"]:
                self._leave(one, words.WIDE)
            elif row["carries_v1"]:
                self._leave(one, words.CARRIES_V1)
            elif not row["ours"]:
                self.not_ours[thing(one)] = row["owner"]
        for name, those in gone.items():
            tables = [self._as_it_was(one)[0].partition(" add table ")[2] for one in those]
            self.left.append(words.publication_gone(name, tables))
            self.now |= {thing(one): None for one in those}

    # ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(
        self, now: Dependent, noted: Described | None, found: Described | None, renamed: Mapping[str, str]
    ) -> None:
        if (owner := self.not_ours.get(thing(now))) is not None:
            self._not_ours(now, owner, there=found is not None)
        elif found is None:
            self._missing(now, noted)
        elif noted is not None and self.connection.get_server_version().major == self.survey.server_version:
            self._altered(now, noted, found, renamed)

    def _not_ours(self, now: Dependent, owner: str, *, there: bool) -> None:
        if now.kind is Kind.FOREIGN_KEY and there:
            self.prevents.append(words.leads_to_v2(now, owner, self.survey.me))
        self._drop(now, words.others(now, owner, self._as_it_was(now)))

    def _as_it_was(self, now: Dependent) -> list[str]:
        """The statements that bind one to v1 again."""
        path = f"{quote(self.schema)}, pg_temp"
        table = self.survey.shape.tables.get(now.base)
        if now.kind is Kind.POLICY:
            return policy_bound(now, path)
        if now.kind is Kind.FUNCTION:
            return function_as_it_was(now, self.schema)
        if now.kind is Kind.FOREIGN_KEY and table is not None:
            return repointed(self.schema, now, table.name)[1:]
        if now.kind is Kind.PUBLICATION and table is not None:
            return [published(now, qualified(self.schema, table.name), now.options)]
        if now.kind is Kind.VIEW:
            return view_as_it_was(now, self.schema)
        return matviews.made_again(self.survey, now, None)

    def _drop(self, now: Dependent, why: str) -> None:
        for was in self.survey.dependents:
            if self.now.get(thing(was), was) == now:
                self._leave(was, why)

    def _missing(self, now: Dependent, noted: Described | None) -> None:
        key = thing(now)
        if now.kind is Kind.PUBLICATION:
            if publication_of_v2(self.survey, now) is not None:
                self.unpublished.add(key)
                self.back.append(words.not_carried(now))
            return
        if now.kind is Kind.FOREIGN_KEY and (lost := lost_columns(now, self.columns[key])):
            self._drop(now, words.columns_gone(lost))
            return
        if now.kind is Kind.POLICY and noted is None:
            self._drop(now, words.NO_ROLES)
            return
        self.missing.add(key)
        known = noted is not None or now.kind is Kind.FOREIGN_KEY
        self.back.append(words.made_again(now, self.called.get(key, ""), rights_known=known))

    def _altered(self, now: Dependent, noted: Described, found: Described, renamed: Mapping[str, str]) -> None:
        expected = as_printed(noted.body, renamed)
        if found.body in (noted.body, expected) and noted.shape == found.shape:
            return
        if now.kind is Kind.MATERIALIZED_VIEW:
            if now.all("table"):
                self.back.append(words.altered(now, itself=True))
            return
        if now.kind is Kind.VIEW and noted.shape != found.shape:
            self.aside.add(thing(now))
            self.back.append(words.altered(now, itself=True, columns=True))
            return
        if now.kind is Kind.POLICY and noted.shape != found.shape:
            self.missing.add(thing(now))
        if now.kind is Kind.VIEW:
            self.altered.add(thing(now))
        self.texts.append((words.named(now), found.body))
        self.back.append(words.altered(now))

    async def _without_kept(self) -> frozenset[Thing]:
        """Materialized views whose old ones, put away by the cut-over, are not there any more."""
        views = [one for one in matviews.rebuilt(self.survey) if self.now.get(thing(one), one) is not None]
        rows = await self._relations((KEPT, matviews.staged_name(one)) for one in views)
        gone = [one for one in views if not rows[KEPT, matviews.staged_name(one)]["there"]]
        self.back += [words.refilled(one, "whose old one is not kept any more") for one in gone]
        return frozenset(thing(one) for one in gone)

    def _readers_of_archived(self) -> frozenset[Thing]:
        """Materialized views that read a view which goes into the archive: they would go on reading it there."""
        archived = {name for _, home, _, view, _ in self.aside for name in spellings(home, view)}
        built = {thing(one) for one in matviews.rebuilt(self.survey)}
        found = [
            one
            for one in of_kind(self.survey, Kind.MATERIALIZED_VIEW)
            if (noted := self.noted.get(thing(one))) is not None
            and archived & {name for _, name in reads(noted)}
            and (thing(one) in built or thing(one) not in self.missing)
            and self.now.get(thing(one), one) is not None
        ]
        self.back += [words.refilled(one, "which reads a view that changed") for one in found]
        return frozenset(thing(one) for one in found)

    def _without_preferences(self) -> None:
        """The table that v2 brought is no loss; one that holds what users chose in v1 is."""
        if self.survey.preferences == "none":
            self.left.append(words.NO_PREFERENCES)
            return
        self.prevents.append(words.preferences_gone())

    async def _names_in_the_way(self) -> None:
        """What has taken one of the names that v1 gets back."""
        constraints = [one for one in self.survey.renames if one.kind == "constraint"]
        for row in await self.connection.fetch(
            queries.NAMED_ALIKE, self.schema, [one.table for one in constraints], [one.old for one in constraints]
        ):
            self.prevents.append(words.constraint_alike(self.schema, row["carrier"], row["old"]))
        wanted = [one for one in self.survey.renames if one.kind in ("table", "index", "sequence")]
        v2_own = [*v2.TABLES, *([] if self.survey.preferences == "jsonb" else [v2.PREFERENCES])]
        rows = await self.connection.fetch(
            queries.IN_THE_WAY, self.schema, [one.kind for one in wanted], [one.old for one in wanted], v2_own
        )
        for row in rows:
            self.prevents.append(words.in_the_way(self.schema, row["old"], row["relkind"], row["kind"]))
