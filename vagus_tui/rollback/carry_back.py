"""Carrying back what was written to v2 after the cut-over: new and changed rows, through the inverse mapping.

A v1 value is replaced only where the v2 row says something else now than it did at the cut-over. So a row that nobody
changed, and a value that the mapping only normalised, stay byte for byte.
"""

from __future__ import annotations

from vagus_tui.migration.survey import Survey
from vagus_tui.migration.unique import made_again, out_of_the_way
from vagus_tui.rollback.fitting import Fitting
from vagus_tui.rollback.kept import RowCheck
from vagus_tui.rollback.touched import Touched
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.preferences import chosen

REPLACED = "sets-replaced-in-v2"
"""What the journal calls the setting aside of sets that were deleted in v2 and have others in their place."""


class CarryBack:
    """The SQL that carries writes back. `collect()` first; then count, apply and prove what it found."""

    def __init__(self, survey: Survey, rows: Touched) -> None:
        """`rows` is what knows which were written."""
        self.survey = survey
        self.rows = rows
        self.fitting = Fitting(rows)

    def collect(self, *, deletions: bool = False) -> list[str]:
        """Find the touched rows, and what of them v1 can hold.

        Args:
            deletions: rows that were deleted in v2 will go, and make room for others.
        """
        return [*self.rows.collect(), self.fitting.settled(deletions=deletions)]

    # ── what was found ───────────────────────────────────────────────────────────────────────────────────────────

    def _kept_values(self, base: str) -> str:
        """The number of changed values that stay as v1 has them, since it cannot hold the new ones."""
        kept = " + ".join(
            f"({self.rows.differs(column, 'n', 'b')} and not {self.rows.written(column)})::integer"
            for column in self.rows.values(base)
        )
        return (
            f"select coalesce(sum({kept}), 0) from {self.rows.both(base)}\n"
            f"where exists (select from {self.rows.had(base)} h where h.id = n.id)"
        )

    def counts(self, base: str) -> str:
        """One row: how many rows are new, changed, deleted, and new but not expressible in v1."""
        new, changing = self.fitting.is_new, self.fitting.changing
        there = f"select from {self.rows.now(base)} n where n.id = h.id"
        return (
            "select f.new, f.changed,\n"
            f"(select count(*) from {self.rows.had(base)} h where not exists ({there})) as deleted,\n"
            f"(select count(*) from {self.rows.new(base)}) - f.new\n"
            f"  + (select count(*) from {self.rows.copies(base)}) as not_expressible,\n"
            f"({self._kept_values(base)})::bigint as kept_values\n"
            f"from (select count(*) filter (where {new}) as new,\n"
            f"  count(*) filter (where cardinality({changing}) > 0) as changed from {self.fitting.final(base)}) f"
        )

    def replaced(self) -> str:
        """The number of sets that were deleted in v2 and have another in their place: saved anew, say, all of them.

        They go from v1, to the journal, where the others of what was deleted stay.
        """
        return f"select count(*) from {self.fitting.going(v1.LOGS)}"

    def withheld(self) -> str:
        """The number of rows that were deleted in v2 and stay in v1 all the same, though what was deleted goes."""
        parts = [
            f"(select count(*) from {self.rows.deleted(base)}\n"
            f"  and o.id not in (select id from {self.fitting.going(base)}))"
            for base in v1.TABLES
        ]
        return f"select {' + '.join(parts)}"

    def kept_out(self) -> str:
        """Every row of which v1 cannot hold something: table_name, row_id, and the columns that are in the way.

        For a new row those keep it out of v1 whole; for others v1 keeps its own values in them.
        """
        parts = []
        for base in v1.TABLES:
            columns = self.rows.values(base)
            missing = ", ".join(
                f"case when n.{quote(column.name)} is null then {literal(column.name).strip()} end"
                for column in columns
                if column.not_null and column.default is None and not column.identity
            )
            kept = ", ".join(
                f"case when {self.rows.differs(column, 'n', 'b')} and not {self.rows.written(column)} "
                f"then {literal(column.name).strip()} end"
                for column in columns
            )
            head = f"select {literal(base).strip()} as table_name, n.id::text as row_id, "
            unfit = f"n.{self.rows.unfit} || array_remove(array[{missing}]::text[], null)"
            parts.append(
                f"{head}array(select distinct unnest({unfit}) order by 1) as columns\n"
                f"from {self.rows.new(base)} and not ({self.rows.expressible(base)})"
            )
            parts.append(
                f"{head}k.columns\nfrom {self.rows.both(base)}\n"
                f"cross join lateral (select array_remove(array[{kept}]::text[], null) as columns) k\n"
                f"where k.columns <> '{{}}' and exists (select from {self.rows.had(base)} h where h.id = n.id)"
            )
        return "\nunion all ".join(parts)

    def named(self, archive: str) -> str:
        """Name those rows, in the archive."""
        return f"create table {qualified(archive, 'kept_out_of_v1')} as\n{self.kept_out()}"

    def left_behind(self, archive: str) -> str:
        """Name, in the archive, the rows that v1 has no place for: migrating again takes them up from there."""
        parts = []
        for base in v1.TABLES:
            named = f"select {literal(base).strip()} as table_name, n.id::text as row_id from"
            parts.append(f"{named} {self.rows.new(base)} and not ({self.rows.expressible(base)})")
            parts.append(f"{named} {self.rows.copies(base)}")
        return f"create table {qualified(archive, 'left_in_archive')} as\n" + "\nunion all ".join(parts)

    def apply(self, *, deletions: bool) -> list[str]:
        """Write v1: changed columns, new rows, and deletions where the operator chose so."""
        # v1's own triggers would put new times on rows that only come back.
        statements = [trigger.off for trigger in self.rows.kept.triggers]
        statements.extend(off for check in self.rows.kept.checks for off in self._off(check))
        statements.extend(self._numbering("by default"))
        # Two rows may have changed places, or one may have what a row had that is about to go.
        schema = self.rows.shape.schema
        statements.extend(
            out_of_the_way(one.index, schema, self.fitting.final(one.base)) for one in self.rows.kept.apart
        )
        statements.extend(late for one in self.rows.kept.references for late in one.late)
        for base in v1.TABLES:
            statements += [self._changes(base), self._additions(base)]
        if self.survey.preferences == "rows":
            statements.extend(self._preferences())
        if not deletions:
            statements.append(self._set_aside())
        statements.extend(
            f"delete from {self.rows.of_v1(base)} o where o.id in (select id from {self.fitting.going(base)})"
            for base in (reversed(v1.TABLES) if deletions else (v1.LOGS,))
        )
        # No table can be altered while it owes a look at its rows.
        statements.append("set constraints all immediate")
        statements.extend(self._numbering("always"))
        statements.extend(back for one in self.rows.kept.references for back in one.back)
        statements.extend(made_again(one.index, schema) for one in self.rows.kept.apart)
        statements.extend(on for check in self.rows.kept.checks for on in self._on(check))
        return [*statements, *(trigger.on for trigger in self.rows.kept.triggers)]

    def _off(self, check: RowCheck) -> tuple[str, ...]:
        """Take a check away; one with `missing` only if a row that is written does not meet it."""
        if not check.missing:
            return check.off
        refused = f"select from {self.fitting.final(check.base)} f where not coalesce(({check.condition}), true)"
        block = f"begin\n  if exists ({refused}) then\n    {'; '.join(check.off)};\n  end if;\nend"
        return (f"do {literal(block)}",)

    def _on(self, check: RowCheck) -> tuple[str, ...]:
        """Make it again, if it was taken away."""
        if not check.missing:
            return check.on
        block = f"begin\n  if {check.missing} then\n    {'; '.join(check.on)};\n  end if;\nend"
        return (f"do {literal(block)}",)

    def _changes(self, base: str) -> str:
        """Give v1's rows the values that changed and that it can hold."""
        sets = ", ".join(f"{quote(column.name)} = f.{quote(column.name)}" for column in self.rows.values(base))
        return (
            f"update {self.rows.of_v1(base)} o set {sets}\nfrom {self.fitting.final(base)} f\n"
            f"where o.id = f.id and cardinality(f.{self.fitting.changing}) > 0"
        )

    def _additions(self, base: str) -> str:
        """Put rows into v1 that it has not."""
        names = ", ".join(quote(name) for name in ("id", *(column.name for column in self.rows.values(base))))
        return (
            f"insert into {self.rows.of_v1(base)} ({names}) overriding system value\nselect {names}\n"
            f"from {self.fitting.final(base)} f where f.{self.fitting.is_new}"
        )

    def _set_aside(self) -> str:
        """Keep sets that were replaced in the journal, as a fix does: they can be put back beside the others."""
        logs = self.rows.kept.logs
        running = "kind = 'rollback' and finished_at is null"
        operator = f"(select r.operator from vagus_migration.runs r where {running} order by started_at desc limit 1)"
        return (
            "insert into vagus_migration.quarantine (batch, remedy, action, table_name, row_id, original, operator)\n"
            f"select b.batch, {literal(REPLACED).strip()}, 'set-aside', {literal(v1.LOGS).strip()}, "
            f"{logs.row_id('t')}, {logs.original('t')},\n  coalesce({operator}, session_user)\n"
            f"from {logs.sql} t cross join (select gen_random_uuid() as batch) b\n"
            f"where t.id in (select id from {self.fitting.going(v1.LOGS)}) order by t.id"
        )

    def _numbering(self, how: str) -> list[str]:
        """Columns whose numbers v1 insists on giving itself: for once they take those that come back."""
        return [
            f"alter table {self.rows.of_v1(base)} alter column {quote(column.name)} set generated {how}"
            for base in v1.TABLES
            for column in self.rows.values(base)
            if column.identity == "a"
        ]

    def _preferences(self) -> list[str]:
        """What users chose since in v2's preferences, back into v1's rows per category."""
        now = self.rows.of_v2(v2.PREFERENCES)
        kept = next((r.new for r in self.survey.renames if r.kind == "table" and r.old == v2.PREFERENCES), None)
        if kept is None:
            return []
        old = qualified(self.rows.shape.schema, kept)
        return [
            "create temporary table vagus_chosen on commit drop as\n"
            "select p.user_id, k.key as category, k.value::text::boolean as enabled\n"
            f"from {now} p cross join lateral (select {chosen(old, 'p.user_id')} as was) b\n"
            "cross join lateral jsonb_each(case jsonb_typeof(p.preferences) when 'object' then p.preferences end) k\n"
            "where p.preferences <> b.was and jsonb_typeof(k.value) = 'boolean'\n"
            "  and b.was -> k.key is distinct from k.value",
            f"update {old} o set enabled = c.enabled from pg_temp.vagus_chosen c\n"
            "where c.user_id = o.user_id and c.category = o.category",
            f"insert into {old} (user_id, category, enabled)\nselect c.user_id, c.category, c.enabled\n"
            f"from pg_temp.vagus_chosen c where not exists (select from {old} o\n"
            "  where o.user_id = c.user_id and o.category = c.category)",
        ]

    def proof(self, base: str) -> str:
        """Counts touched rows of which v1 now says something else than v2 does; it must be none.

        A column that did not change since the cut-over may differ: v1 keeps its own spelling of it. No row that v1 had
        may be gone, but for those that are to go, and these must be.
        """
        gone = (
            f"select count(*) from {self.rows.had(base)} h left join {self.rows.of_v1(base)} o on o.id = h.id\n"
            f"left join {self.fitting.going(base)} g on g.id = h.id where (o.id is null) <> (g.id is not null)"
        )
        disagree = " or ".join(
            f"({self.rows.differs(column, 'n', 'o')} and (b.id is null or {self.rows.written(column)}))"
            for column in self.rows.values(base)
            if not (column.not_null and column.default is not None)
        )
        return (
            f"select ({gone}) +\n"
            f"(select count(*) from {self.rows.now(base)} n left join {self.rows.before(base)} b on b.id = n.id\n"
            f"left join {self.rows.of_v1(base)} o on o.id = n.id\n"
            f"where (o.id is null and b.id is null and ({self.rows.expressible(base)}))\n"
            f"   or (o.id is not null and ({disagree})))"
        )
