"""The plan of a rollback from a backup: v1 made again aside, proved, and put where it belongs in one transaction.

What stands there now is set aside in an archive, never dropped (the guide drops v2 first, and then finds that the
dump holds nothing it can use: "Option A: Restore from Backup").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus_tui.backup.digest import digest_sql
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.database.search_path import CATALOG_PATH, OWN_PATH
from vagus_tui.events import Phase
from vagus_tui.journal.state import RESTORING, STAGING
from vagus_tui.migration import capture, maintenance, matviews, repoint
from vagus_tui.migration.cut_over import rename_statement
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Rename, Survey
from vagus_tui.migration.tuning import statistics_archived
from vagus_tui.rollback import kept_rows
from vagus_tui.rollback.blueprint import Blueprints
from vagus_tui.rollback.in_place import SCHEMA, FromCopy, InPlace
from vagus_tui.rollback.names_back import names_to_take_back, own_not_nulls
from vagus_tui.rollback.room import Room
from vagus_tui.rollback.take_up import no_rows
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import moved, signatures
from vagus_tui.schema.helpers import dropped, made, retired, set_aside
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.rights import bare, bare_schema

COMPARE = "compare-with-now"
_UNSTAGE = f"drop schema {RESTORING}"
CHECK = "restore-check-"
"""Begins the ids of the steps that look at rows of a reference to a table outside v1."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Everything that a rollback from a backup is made of.

    Args:
        publications: the publications that there are, and which workout tables each names.
        tables: every table and view there is, as schema and name.
        room: what else is in the way of v1's names.
    """

    blueprints: Blueprints
    now: InPlace
    copy: FromCopy
    archive: str
    publications: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tables: frozenset[tuple[str, str]] = frozenset()
    room: Room = field(default_factory=Room)

    @property
    def renames(self) -> tuple[Rename, ...]:
        """The names that a migration had given when the backup was made, to be taken back."""
        return names_to_take_back(self.blueprints, self.now.survey)

    @property
    def finals(self) -> dict[str, str]:
        """The names that v1's tables have at the end, by base name."""
        back = {rename.new: rename.old for rename in self.renames if rename.kind == "table"}
        return {table.base: back.get(table.name, table.name) for table in self.blueprints.tables}

    # ── aside ────────────────────────────────────────────────────────────────────────────────────────────────────

    def build_steps(self) -> list[PlanStep]:
        """Make v1 again in a schema of our own; nobody else can see it."""
        hang: list[str] = []
        for table in self.blueprints.tables:
            hang += table.keys()
        for table in self.blueprints.tables:
            hang += [*table.references(), *table.triggers(), *table.row_security(), *table.number_on()]
        hang += [f"analyze {table.relation}" for table in self.blueprints.tables]
        return [
            self._stage_step(),
            *self._load_steps(),
            PlanStep("restore-keys", Phase.BUILD, "keys, indexes, triggers, sequences", tuple(hang), undo=_UNSTAGE),
            *self._outside_steps(),
            *self._proof_steps(),
        ]

    def _stage_step(self) -> PlanStep:
        """The bare tables, in a schema that nobody else may look into."""
        create = [
            dropped(RESTORING),
            *made(RESTORING),
        ]
        for table in self.blueprints.tables:
            create += table.create()
        create += self.copy.layout
        return PlanStep("restore-stage", Phase.BUILD, "make v1's tables aside", tuple(create), undo=_UNSTAGE)

    def _load_steps(self) -> list[PlanStep]:
        """The rows, streamed from the backup: no statement makes them."""
        return [
            PlanStep(
                f"restore-load-{table.base}",
                Phase.BUILD,
                f"stream the rows of {table.name}",
                (),
                rows=table.entry.rows,
                undo=_UNSTAGE,
                table=table.base,
                printed=(f"select {literal(f'{table.entry.rows} rows are streamed from the backup').strip()}",),
            )
            for table in self.blueprints.tables
        ]

    def _outside_steps(self) -> list[PlanStep]:
        """References to tables that are in use: made unchecked under a short lock, then checked without one."""
        steps = []
        for table in self.blueprints.tables:
            for key in table.outside():
                steps.append(
                    PlanStep(
                        f"restore-key-{key.name}",
                        Phase.BUILD,
                        f"{key.name} to {key.target}",
                        (key.add,),
                        lock=f"SHARE ROW EXCLUSIVE on {key.target}, for an instant",
                        undo=_UNSTAGE,
                        tables=(key.target,),
                    )
                )
                if key.validated:
                    steps.append(
                        PlanStep(
                            f"{CHECK}{key.name}",
                            Phase.BUILD,
                            f"check {key.name}",
                            (f"alter table {table.relation} validate constraint {quote(key.name)}",),
                            undo=_UNSTAGE,
                        )
                    )
        return steps

    def _proof_steps(self) -> list[PlanStep]:
        """Every row, against the manifest."""
        return [
            PlanStep(
                f"restore-prove-{table.base}",
                Phase.PROVE,
                f"every row of {table.name} as the manifest has it",
                (digest_sql(RESTORING, table.name, table.entry.as_table().columns, like=table.entry.digest),),
                rows=table.entry.rows,
                undo="none needed: it only reads",
                table=table.base,
            )
            for table in self.blueprints.tables
        ]

    def compare_step(self) -> PlanStep:
        """Rows that are there now and not in the backup (they go into the archive), and the other way round."""
        apart = []
        for table in self.blueprints.tables:
            there = [(SCHEMA, name) for name in (table.base, table.name) if name in self.now.tables]
            # What is in use counts: v2's, under whatever name, before v1's kept one.
            known = self.room.known.get(table.base)
            place = next(iter([known, *there] if known else there), None)
            if place is not None:
                apart.append(
                    f"select {literal(table.base).strip()} as table_name, "
                    "count(*) filter (where b.id is null) as only_now,\n"
                    "  count(*) filter (where n.id is null) as only_in_backup\n"
                    f"from (select id::text as id from {qualified(*place)}) n\n"
                    f"full join (select id::text as id from {table.relation}) b on b.id = n.id"
                )
        return PlanStep(
            COMPARE,
            Phase.PROVE,
            "compare with the rows in use now",
            tuple(apart),
            lock="none: it only reads",
            undo="none needed: it only reads",
        )

    # ── the one transaction ──────────────────────────────────────────────────────────────────────────────────────

    def locked(self) -> list[str]:
        """What the swap locks."""
        relations = [qualified(SCHEMA, name) for name in self.now.tables]
        relations += [qualified(*place) for place in self.room.stray]
        keyed = {qualified(key.schema, key.on) for key in self._keys()}
        return [*relations, *sorted(keyed)]

    def _keys(self) -> list[Dependent]:
        return [
            dependent
            for dependent in self.now.dependents
            if dependent.kind is Kind.FOREIGN_KEY and (dependent.schema, dependent.on) in self.tables
        ]

    def swap_steps(self, granted: Mapping[str, list[str]]) -> list[PlanStep]:
        """The swap, step by step; the proof of the inventory stands between placing and renaming.

        Args:
            granted: the roles that have any right on each staged table, by its name.
        """
        held = "ACCESS EXCLUSIVE on the workout tables until the transaction ends; reads and writes wait"
        undo = "automatic: the transaction fails as a whole"

        def step(name: str, title: str, statements: list[str]) -> PlanStep:
            return PlanStep(name, Phase.ROLLBACK, title, tuple(statements), lock=held, undo=undo)

        locked = self.locked()
        steps = [step("lock", "lock what is in place", [f"lock table {', '.join(locked)} in access exclusive mode"])]
        if not locked:
            steps = []
        return [
            *steps,
            step("set-aside", f"set aside what is in place, in {self.archive}", self._set_aside()),
            step("place", "put the restored tables in place", self._place(granted)),
            step("restore", "references, views, publications", [*self._names(), *self._dependents()]),
        ]

    def _set_aside(self) -> list[str]:
        archive = quote(self.archive)
        statements = [f"create schema {archive}", bare_schema(self.archive)]
        statements.append(statistics_archived([qualified(SCHEMA, name) for name in self.now.tables], self.archive))
        for name in self.now.tables:
            relation = qualified(SCHEMA, name)
            statements += [*capture.remove_triggers(relation), maintenance.remove_fence(relation)]
            statements += [
                f"alter publication {quote(publication)} drop table {relation}"
                for publication, carried in sorted(self.publications.items())
                if name in carried
            ]
            statements.append(f"alter table {relation} set schema {archive}")
        statements += self.room.set_aside(self.archive)
        survey = self.now.survey
        if self.now.v2 and survey is not None:
            statements += self._set_v2_aside(survey)
        return statements

    def _set_v2_aside(self, survey: Survey) -> list[str]:
        """What else v2 brought: its functions, its preferences, what was captured since."""
        archive = quote(self.archive)
        ddl = V2Ddl(SCHEMA, survey.shape, survey.taken, preferences=survey.preferences != "jsonb")
        statements = []
        if (SCHEMA, PREFERENCES) in self.tables:
            watched = qualified(SCHEMA, PREFERENCES)
            statements.append(f"drop trigger if exists {capture.CAPTURE_TRIGGER} on {watched}")
        if survey.preferences != "jsonb" and (SCHEMA, PREFERENCES) in self.tables:
            statements.append(f"alter table {qualified(SCHEMA, PREFERENCES)} set schema {archive}")
        statements += [
            f"do $vagus$ begin {moved(ddl, name, self.archive)};\n"
            "exception when undefined_function then null; end $vagus$"
            for name in signatures(ddl)
        ]
        statements += [
            f"create table if not exists {capture.V2_CHANGES} (table_name text not null, row_id text not null)",
            f"create table {qualified(self.archive, 'changes_after_cut_over')} as table {capture.V2_CHANGES}",
            f"truncate {capture.V2_CHANGES}",
            f"drop table if exists {capture.V2_UNNOTED}",
            *kept_rows.archived(self.archive),
            no_rows(self.archive),
        ]
        return statements

    def _place(self, granted: Mapping[str, list[str]]) -> list[str]:
        tables = self.blueprints.tables
        statements = [f"alter table {table.relation} set schema {quote(SCHEMA)}" for table in tables]
        # The expressions were read with every name outside pg_catalog qualified.
        statements.append(CATALOG_PATH)
        for table in tables:
            statements += table.policies()
        for table in tables:
            statements += table.rights(granted.get(table.name, []))
            owner = table.inventory.get("owner", {}).get("owner")
            statements.append(
                f"do $vagus$ begin if {literal(owner or '').strip()} not in ('', current_user) then\n"
                f"  alter table {table.placed} owner to {quote(owner or 'nobody')};\nend if; end $vagus$"
            )
        if self.copy.known:
            statements += [bare(qualified(SCHEMA, name)) for table in tables for name in table.sequences().values()]
        else:
            statements += [statement for table in tables for statement in table.rights_on_sequences()]
        statements += self.copy.words
        statements += [statement for table in tables for statement in table.statistics()]
        return statements

    def _names(self) -> list[str]:
        statements = [OWN_PATH]
        statements += [rename_statement(SCHEMA, rename, back=True) for rename in reversed(self.renames)]
        statements += [own_not_nulls(qualified(SCHEMA, r.old), r.new, r.old) for r in self.renames if r.kind == "table"]
        survey = self.now.survey
        if self.renames and survey is not None:
            statements += [
                f"do $vagus$ begin {rename_statement(SCHEMA, rename, back=True)};\n"
                "exception when undefined_object then null; end $vagus$"
                for rename in survey.renames
                if rename.kind == "statistics"
            ]
        if survey is None or not self.now.v2:
            return statements
        for rename in survey.functions_in_the_way:
            statements.append(
                f"do $vagus$ begin {rename_statement(SCHEMA, rename, back=True)};\n"
                "exception when undefined_function then null; end $vagus$"
            )
        if survey.preferences == "rows":
            statements += self._preferences(survey)
        if survey.preferences == "jsonb" and ("vagus_migration", "preferences_added") in self.tables:
            statements += [
                f"delete from {qualified(SCHEMA, PREFERENCES)} p using vagus_migration.preferences_added a\n"
                "where a.user_id = p.user_id and a.preferences = p.preferences",
                "truncate vagus_migration.preferences_added",
            ]
        return statements

    def _preferences(self, survey: Survey) -> list[str]:
        """The table of preferences that the migration had put aside under another name."""
        kept = next((r.new for r in survey.renames if r.kind == "table" and r.old == PREFERENCES), PREFERENCES)
        if (SCHEMA, kept) not in self.tables:
            return []
        own = [r for r in survey.renames if r.table == PREFERENCES or r.table == kept]
        back = [rename_statement(SCHEMA, rename, back=True) for rename in reversed(own)]
        return [maintenance.remove_fence(qualified(SCHEMA, kept)), *back]

    def _dependents(self) -> list[str]:
        statements: list[str] = []
        for key in self._keys():
            first, *made = repoint.repointed(SCHEMA, key, self.finals[key.base])
            statements += [first.replace(" drop constraint ", " drop constraint if exists ", 1), *made]
        survey = self.now.survey if self.now.v2 else None
        if survey is not None:
            statements += matviews.remade_statements(survey, self.archive)
        for view in self.now.dependents:
            if view.kind is Kind.VIEW:
                statements += repoint.view_as_it_was(view, SCHEMA)
                if (view.schema, view.name) not in self.tables:
                    statements.append(bare(qualified(view.schema, view.name)))
                    statements += (self.copy.view_rights or {}).get((view.schema, view.name), ())
        for publication in self.now.dependents:
            if publication.kind is Kind.PUBLICATION and publication.name in self.publications:
                relation = qualified(SCHEMA, self.finals[publication.base])
                statements.append(repoint.published(publication, relation, publication.options))
        if survey is not None:
            statements += repoint.bound_as_before(survey)
        statements += [
            *self._helpers_gone(known=survey is not None),
            dropped(STAGING),
            dropped(RESTORING),
        ]
        return statements

    def _helpers_gone(self, *, known: bool) -> list[str]:
        """Take away the schemas that helped v2 along; set them aside where no record says what leans on them."""
        if known:
            return [retired(COMPAT, self.archive), dropped(KEPT)]
        return [
            f"do $vagus$ begin if to_regnamespace({literal(name).strip()}) is not null then\n"
            f"  alter schema {quote(name)} rename to {quote(set_aside(name, self.archive))};\nend if; end $vagus$"
            for name in (COMPAT, KEPT)
        ]

    # ── after the commit ─────────────────────────────────────────────────────────────────────────────────────────

    def settle_steps(self) -> list[PlanStep]:
        """References of other tables that were made again still owe a look at their rows; and statistics."""
        steps = [
            PlanStep(
                f"settle-{key.on}-{key.name}",
                Phase.SETTLE,
                f"check {key.name} of {key.on}",
                tuple(repoint.validated(SCHEMA, key, self.finals[key.base])),
                lock=f"SHARE UPDATE EXCLUSIVE on {key.on}: reads and writes go on",
                undo="none needed",
            )
            for key in self._keys()
            if key.validated
        ]
        if self.now.v2 and self.now.survey is not None:
            steps += [
                PlanStep(f"settle-fill-{view.schema}-{view.name}", Phase.SETTLE, f"fill {view.title}", (filled,))
                for view, filled in matviews.refreshed(self.now.survey, anew=True)
            ]
        analyze = tuple(f"analyze {qualified(SCHEMA, name)}" for name in self.finals.values())
        return [*steps, PlanStep("settle-analyze", Phase.SETTLE, "statistics", analyze, undo="none needed")]
