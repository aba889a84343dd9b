"""Comparing what points at v2 with what the cut-over left: what others own, what is missing, what is altered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import KEPT
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.migration import matviews
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.repoint import (
    function_as_it_was,
    functions,
    of_kind,
    policy_bound,
    publication_of_v2,
    publications,
    published,
    repointed,
    view_as_it_was,
)
from vagus_tui.migration.surroundings import Described, Thing, bound_to_v2, describe, thing
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback import around_queries as queries
from vagus_tui.rollback import around_words as words
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.around_places import Places, relations, touched
from vagus_tui.rollback.back_trial import try_back
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.spelling import as_printed, lost_columns, reads, spellings
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote


async def read_around(connection: Connection, survey: Survey) -> Around:
    """Compare what points at v2 with what the cut-over left, and with what a rollback needs of it."""
    places = Places(connection, survey)
    await places.find()
    return await _Reader(connection, places).read()


class _Reader:
    """Looks at one database."""

    def __init__(self, connection: Connection, places: Places) -> None:
        self.connection = connection
        self.places = places
        self.survey = places.survey
        self.schema = places.schema
        self.back: list[str] = []
        self.prevents: list[Prevents] = []
        self.texts: list[tuple[str, str]] = []
        self.missing: set[Thing] = set()
        self.aside: set[Thing] = set()
        self.altered: set[Thing] = set()
        self.unpublished: set[Thing] = set()

    async def read(self) -> Around:
        """Look at everything that is not left out."""
        places, noted, before = self.places, self.places.noted, bound_to_v2(self.survey)
        await self._relation_kinds()
        await self._functions()
        await self._publications()
        found = await describe(self.connection, self.schema, [thing(now) for _, now in places.pairs(before)])
        for was, now in places.pairs(before):
            self._compare(now, noted.get(thing(was)), found.get(thing(now)), places.renamed(was))
        without_kept = await self._without_kept() | self._readers_of_archived()
        pairs = places.pairs(before)
        survey = replace(self.survey, dependents=tuple(now for _, now in places.pairs(self.survey.dependents)))
        doubtful = await try_back(self.connection, survey, self.missing, self.aside)
        await self._names_in_the_way()
        there = await relations(self.connection, {*touched(survey), (self.schema, v2.PREFERENCES)})
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
            back=(*places.back, *self.back),
            left=tuple(places.left),
            doubtful=tuple(doubtful),
            prevents=tuple(self.prevents),
            unknown=bool(before) and not noted,
        )

    # ── whose and what it is ────────────────────────────────────────────────────────────────────────────────────

    async def _relation_kinds(self) -> None:
        """Views that are not ours any more, and what else has a view's name."""
        views = of_kind(self.survey, Kind.VIEW, Kind.MATERIALIZED_VIEW)
        rows = await relations(self.connection, {(one.schema, one.name) for one in views})
        for one in views:
            row = rows[one.schema, one.name]
            own = "v" if one.kind is Kind.VIEW else "m"
            if row["there"] and row["relkind"] != own:
                self.prevents.append(words.other_kind(one, row["relkind"]))
            elif row["there"] and not row["ours"]:
                self.places.not_ours[thing(one)] = row["owner"]

    async def _functions(self) -> None:
        wanted = functions(self.survey)
        async with self.connection.transaction():
            # Argument types are spelled as they were read.
            await self.connection.execute(f"set local search_path = {quote(self.schema)}, pg_temp")
            rows = await self.connection.fetch(
                queries.ROUTINES,
                [*map(str, range(len(wanted)))],
                [one.schema for one in wanted],
                [one.name for one in wanted],
                [one.detail for one in wanted],
            )
        self.places.not_ours |= {thing(wanted[row["place"]]): row["owner"] for row in rows}

    async def _publications(self) -> None:
        wanted = publications(self.survey)
        kept = [qualified(self.schema, new_name(self.survey, one.base)) for one in wanted]
        gone: dict[str, list[Dependent]] = {}
        rows = await self.connection.fetch(queries.PUBLICATIONS, [one.name for one in wanted], kept)
        for one, row in zip(wanted, rows, strict=True):
            if not row["there"]:
                gone.setdefault(one.name, []).append(one)
            elif row["wide"]:
                self.places.leave(one, words.WIDE)
            elif row["carries_v1"]:
                self.places.leave(one, words.CARRIES_V1)
            elif not row["ours"]:
                self.places.not_ours[thing(one)] = row["owner"]
        for name, those in gone.items():
            tables = [self._as_it_was(one)[0].partition(" add table ")[2] for one in those]
            self.places.left.append(words.publication_gone(name, tables))
            for one in those:
                self.places.leave(one)

    # ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(
        self, now: Dependent, noted: Described | None, found: Described | None, renamed: Mapping[str, str]
    ) -> None:
        if (owner := self.places.not_ours.get(thing(now))) is not None:
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
            if self.places.now(was) == now:
                self.places.leave(was, why)

    def _missing(self, now: Dependent, noted: Described | None) -> None:
        key = thing(now)
        if now.kind is Kind.PUBLICATION:
            if publication_of_v2(self.survey, now) is not None:
                self.unpublished.add(key)
                self.back.append(words.not_carried(now))
            return
        if now.kind is Kind.FOREIGN_KEY and (lost := lost_columns(now, self.places.columns[key])):
            self._drop(now, words.columns_gone(lost))
            return
        if now.kind is Kind.POLICY and noted is None:
            self._drop(now, words.NO_ROLES)
            return
        self.missing.add(key)
        known = noted is not None or now.kind is Kind.FOREIGN_KEY
        self.back.append(words.made_again(now, self.places.called.get(key, ""), rights_known=known))

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
        views = [one for one in matviews.rebuilt(self.survey) if self.places.now(one) is not None]
        rows = await relations(self.connection, {(KEPT, matviews.staged_name(one)) for one in views})
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
            if (noted := self.places.noted.get(thing(one))) is not None
            and archived & {name for _, name in reads(noted)}
            and (thing(one) in built or thing(one) not in self.missing)
            and self.places.now(one) is not None
        ]
        self.back += [words.refilled(one, "which reads a view that changed") for one in found]
        return frozenset(thing(one) for one in found)

    def _without_preferences(self) -> None:
        """The table that v2 brought is no loss; one that holds what users chose in v1 is."""
        if self.survey.preferences == "none":
            self.places.left.append(words.NO_PREFERENCES)
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
