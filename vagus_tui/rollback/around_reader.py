"""Comparing what points at v2 with what the cut-over left: what has moved, what is missing, what is altered."""

from __future__ import annotations

import re
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
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.back_trial import try_back
from vagus_tui.rollback.mending import Prevents
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import free_name, qualified, quote

_READERS = (Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.FUNCTION)
_WORDS = {"i": "index", "I": "index", "S": "sequence", "v": "view", "m": "materialized view", "c": "type"}


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

    async def read(self) -> Around:
        """Look at everything, what carries others first."""
        noted = self.noted = await read_noted(self.connection)
        before = bound_to_v2(self.survey)
        await self._numbers()
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
            names = ", ".join(one.name for one in on_it)
            self.back.append(f"{names} on table {old}, which is called {new} now")
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
        )

    async def _numbers(self) -> None:
        """What the relations that were noted by their numbers are called now.

        A copy that was made from a dump has numbers of its own. v2's own tables tell: nobody renames those.
        """
        noted = {int(number): name for one in self.noted.values() for number, name in _reads(one)}
        async with self.connection.transaction():
            await self.connection.execute(f"set local search_path = {quote(self.schema)}, pg_temp")
            rows = await self.connection.fetch(queries.NUMBERED, [*noted])
        now = {row["number"]: (row["home"], row["name"], row["spelled"]) for row in rows}
        sure = [number for number in now if noted[number] in v2.TABLES or noted[number].startswith(f"{COMPAT}.")]
        if sure and all(now[number][2] == noted[number] for number in sure):
            self.numbered = now

    def _renamed_sources(self, before: Iterable[Dependent]) -> None:
        """Follow tables that views, functions and policies read and that are called otherwise by now."""
        for was, now in self._pairs(before):
            # Its own table's name `_on` has seen to.
            carrier = _spellings(was.schema, was.on) if was.kind is Kind.POLICY else set()
            renamed = {old: new for old, new in self._renamed(was).items() if old not in carrier}
            if not renamed or was.kind not in _READERS or (was.kind is Kind.FUNCTION and not was.fact("atomic")):
                continue
            facts = tuple((key, _by_new_names(value, renamed)) for key, value in now.facts)
            followed = replace(now, definition=_by_new_names(now.definition, renamed), facts=facts)
            if followed != now:
                self.now[thing(was)] = followed
                names = ", ".join(f"{new} for {old}" for old, new in renamed.items())
                self.back.append(f"{_named(was)}, with names of today: {names}")

    def _renamed(self, one: Dependent) -> dict[str, str]:
        """What it reads that is called otherwise by now: the name it had, and the name it has.

        Views that a rollback brings back have their own names again then.
        """
        noted = self.noted.get(thing(one))
        views = of_kind(self.survey, Kind.VIEW, Kind.MATERIALIZED_VIEW)
        again = {name for view in views for name in _spellings(view.schema, view.name)}
        return {
            name: self.numbered[int(number)][2]
            for number, name in (_reads(noted) if noted else ())
            if int(number) in self.numbered and self.numbered[int(number)][2] != name and name not in again
        }

    def _pairs(self, before: Iterable[Dependent]) -> list[tuple[Dependent, Dependent]]:
        """What is not left out: as it was, and as it is."""
        pairs = ((was, self.now.get(thing(was), was)) for was in before)
        return [(was, now) for was, now in pairs if now is not None]

    def _leave(self, one: Dependent, why: str) -> None:
        self.now[thing(one)] = None
        self.left.append(f"{_named(one)}: {why}")

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
            self._leave(one, "its table is gone, or has another name")
            return
        if place is not None:
            now = _on(one, *place)
            self.followed.setdefault((_table(one), _table(now)), []).append(one)
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
        spelled = _spellings(*table)
        noted = [self.noted[thing(one)] for one in on_it if thing(one) in self.noted]
        numbers = [int(number) for one in noted for number, name in _reads(one) if name in spelled]
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
                kind = _WORDS.get(row["relkind"], "table")
                relation, other = qualified(one.schema, one.name), quote(free_name(one.name, {one.name}, "_other"))
                self.prevents.append(
                    Prevents(
                        f"{kind} {one.title} stands where v1's {one.kind.value} of that name belongs",
                        f"alter {kind} {relation} rename to {other}",
                    )
                )
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
                self._leave(one, "it publishes every table by itself now")
            elif row["carries_v1"]:
                self._leave(one, "it publishes v1's kept table already, and goes on so")
            elif not row["ours"]:
                self.not_ours[thing(one)] = row["owner"]
        for name, those in gone.items():
            tables = ", ".join(self._as_it_was(one)[0].partition(" add table ")[2] for one in those)
            self.left.append(
                f"publication {name}: it is gone (afterwards: create publication {quote(name)} for table {tables})"
            )
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
            relation = qualified(now.schema, now.on)
            self.prevents.append(
                Prevents(
                    f"{_named(now)} would lead to v2 still, and refuse what v1 gets: its table belongs to {owner} now",
                    f"alter table {relation} owner to {quote(self.survey.me)}; or, to be without it: "
                    f"alter table {relation} drop constraint {quote(now.name)}",
                )
            )
        whose = "its table" if now.on and now.kind is not Kind.PUBLICATION else "it"
        by_hand = "; ".join(self._as_it_was(now))
        self._drop(now, f"{whose} belongs to {owner} now, who binds it to v1 afterwards (begin; {by_hand}; commit;)")

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
                self.back.append(f"{_named(now)}, which does not carry v2's any more")
            return
        if now.kind is Kind.FOREIGN_KEY and (lost := _lost_columns(now, self.columns[key])):
            self._drop(now, f"it is gone, as is {', '.join(lost)} of its table")
            return
        if now.kind is Kind.POLICY and noted is None:
            self._drop(now, "it is gone, and no note says whom it was for")
            return
        self.missing.add(key)
        unknown = noted is None and now.kind is not Kind.FOREIGN_KEY
        self.back.append(f"{_named(now)}, which is gone" + (" (its rights were not noted)" if unknown else ""))

    def _altered(self, now: Dependent, noted: Described, found: Described, renamed: Mapping[str, str]) -> None:
        expected = _by_new_names(noted.body, renamed)
        if found.body in (noted.body, expected) and noted.shape == found.shape:
            return
        if now.kind is Kind.MATERIALIZED_VIEW:
            if now.all("table"):
                self.back.append(f"{_named(now)}, which was altered (today's goes into the archive)")
            return
        if now.kind is Kind.VIEW and noted.shape != found.shape:
            self.aside.add(thing(now))
            self.back.append(f"{_named(now)}, which has other columns now (today's goes into the archive)")
            return
        if now.kind is Kind.POLICY and noted.shape != found.shape:
            self.missing.add(thing(now))
        if now.kind is Kind.VIEW:
            self.altered.add(thing(now))
        self.texts.append((_named(now), found.body))
        self.back.append(f"{_named(now)}, which was altered (today's text is kept in the archive)")

    async def _without_kept(self) -> frozenset[Thing]:
        """Materialized views whose old ones, put away by the cut-over, are not there any more."""
        views = [one for one in matviews.rebuilt(self.survey) if self.now.get(thing(one), one) is not None]
        rows = await self._relations((KEPT, matviews.staged_name(one)) for one in views)
        gone = [one for one in views if not rows[KEPT, matviews.staged_name(one)]["there"]]
        self.back += [f"{_named(one)}, whose old one is not kept any more (made again and filled)" for one in gone]
        return frozenset(thing(one) for one in gone)

    def _readers_of_archived(self) -> frozenset[Thing]:
        """Materialized views that read a view which goes into the archive: they would go on reading it there."""
        archived = {name for _, home, _, view, _ in self.aside for name in _spellings(home, view)}
        built = {thing(one) for one in matviews.rebuilt(self.survey)}
        found = [
            one
            for one in of_kind(self.survey, Kind.MATERIALIZED_VIEW)
            if (noted := self.noted.get(thing(one))) is not None
            and archived & {name for _, name in _reads(noted)}
            and (thing(one) in built or thing(one) not in self.missing)
            and self.now.get(thing(one), one) is not None
        ]
        self.back += [f"{_named(one)}, which reads a view that changed (made again and filled)" for one in found]
        return frozenset(thing(one) for one in found)

    def _without_preferences(self) -> None:
        """The table that v2 brought is no loss; one that holds what users chose in v1 is."""
        if self.survey.preferences == "none":
            self.left.append(f"table {v2.PREFERENCES}: it is gone, and so it is not in the archive")
            return
        self.prevents.append(
            Prevents(f"table {v2.PREFERENCES} is gone, and with it what users chose", "restore it from a backup")
        )

    async def _names_in_the_way(self) -> None:
        """What has taken one of the names that v1 gets back."""
        constraints = [one for one in self.survey.renames if one.kind == "constraint"]
        for row in await self.connection.fetch(
            queries.NAMED_ALIKE, self.schema, [one.table for one in constraints], [one.old for one in constraints]
        ):
            other = quote(free_name(row["old"], {row["old"]}, "_other"))
            relation = qualified(self.schema, row["carrier"])
            self.prevents.append(
                Prevents(
                    f"constraint {row['old']} of {row['carrier']} has the name that one of v1's gets back",
                    f"alter table {relation} rename constraint {quote(row['old'])} to {other}",
                )
            )
        wanted = [one for one in self.survey.renames if one.kind in ("table", "index", "sequence")]
        v2_own = [*v2.TABLES, *([] if self.survey.preferences == "jsonb" else [v2.PREFERENCES])]
        rows = await self.connection.fetch(
            queries.IN_THE_WAY, self.schema, [one.kind for one in wanted], [one.old for one in wanted], v2_own
        )
        for row in rows:
            kind = _WORDS.get(row["relkind"], "table")
            other = quote(free_name(row["old"], {row["old"]}, "_other"))
            self.prevents.append(
                Prevents(
                    f"{kind} {row['old']} has the name that v1's {row['kind']} gets back",
                    f"alter {kind} {qualified(self.schema, row['old'])} rename to {other}",
                )
            )


_CONSTANT = r"'(?:[^']|'')*'"
_QUOTED = r'"(?:[^"]|"")*"'
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def _reads(one: Described) -> Iterable[tuple[str, str]]:
    """What it was noted to stand on: the number and the name of each."""
    for text in one.reads:
        number, _, name = text.partition(" ")
        yield number, name


def _spellings(schema: str, name: str) -> set[str]:
    """How the server may spell a relation's name."""
    homes, names = ({part, quote(part)} if _PLAIN.fullmatch(part) else {quote(part)} for part in (schema, name))
    return names | {f"{home}.{one}" for home in homes for one in names}


def _by_new_names(text: str, renamed: Mapping[str, str]) -> str:
    """A definition with other names of tables, all at once: two of them may have changed names with each other."""
    if not renamed:
        return text
    olds = "|".join(re.escape(old) for old in sorted(renamed, key=len, reverse=True))
    found = re.compile(rf"""{_CONSTANT}|(?<![\w."])(?<!AS )(?P<old>{olds})(?![\w"])|{_QUOTED}""")
    return found.sub(lambda one: renamed[one["old"]] if one["old"] else one[0], text)


def _on(one: Dependent, schema: str, table: str) -> Dependent:
    """A reference or a policy on a table that is called otherwise by now; a policy may say its table's name."""
    spelled = "|".join(re.escape(name) for name in (one.on, quote(one.on)))
    said = re.compile(rf'{_CONSTANT}|(?<![\w."])(?:{spelled})\.')

    def under_its_name(text: str) -> str:
        return said.sub(lambda found: found[0] if found[0].startswith("'") else f"{quote(table)}.", text)

    facts = tuple((key, under_its_name(value) if key in ("using", "check") else value) for key, value in one.facts)
    return replace(one, schema=schema, on=table, facts=facts)


def _named(one: Dependent) -> str:
    kind = "reference" if one.kind is Kind.FOREIGN_KEY else one.kind.value
    return f"{kind} {one.title}"


def _table(one: Dependent) -> str:
    return one.on if one.schema in ("", "public") else f"{one.schema}.{one.on}"


_OWN_COLUMNS = re.compile(r"FOREIGN KEY \((.*?)\) REFERENCES ")


def _lost_columns(key: Dependent, there: list[str]) -> list[str]:
    """The columns of a reference that its table has not any more."""
    found = _OWN_COLUMNS.match(key.definition)
    own = re.findall(r'"(?:[^"]|"")+"|[^,\s]+', found[1]) if found else []
    return [column for column in own if column not in there]
