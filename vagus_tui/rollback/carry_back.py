"""Carrying back what was written to v2 after the cut-over: new and changed rows, through the inverse mapping.

Change capture on v2 has the ids. For those rows, what v2 held at the cut-over is worked out again from the kept v1
tables; a v1 value is replaced only where the v2 row says something else now than it did then. So a row that nobody
changed, and a value that the mapping only normalised, stay byte for byte.
"""

from __future__ import annotations

import dataclasses

from vagus_tui.migration import catch_up
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.cut_over import new_name
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.unique import keyed_rows, made_again, out_of_the_way
from vagus_tui.rollback.kept import Kept, KeptApart, KeptReference, RowCheck
from vagus_tui.schema import v1, v2
from vagus_tui.schema.comparing import comparable
from vagus_tui.schema.identifiers import free_name, literal, qualified, quote
from vagus_tui.schema.inverse import InverseMapping
from vagus_tui.schema.mapping import MappingOptions, WorkoutMapping
from vagus_tui.schema.preferences import chosen
from vagus_tui.schema.v1 import Column, V1Shape, V1Table


def kept_shape(survey: Survey) -> V1Shape:
    """v1 as it stands after the cut-over, under its `*_v1` names."""
    tables = {base: V1Table(base, new_name(survey, base), table.columns) for base, table in survey.shape.tables.items()}
    return dataclasses.replace(survey.shape, tables=tables)


_PARENTS = (
    (v1.EXERCISES, "plan_id", v1.PLANS),
    (v1.SESSIONS, "plan_id", v1.PLANS),
    (v1.LOGS, "session_id", v1.SESSIONS),
    (v1.LOGS, "exercise_id", v1.EXERCISES),
)


class CarryBack:
    """The SQL that carries writes back. `collect()` first; then count, apply and prove what it found."""

    def __init__(self, survey: Survey, options: MappingOptions, kept: Kept) -> None:
        self.survey = survey
        self.kept = kept
        self.shape = kept_shape(survey)
        self.mapping = WorkoutMapping(self.shape, options)
        # Columns of our own beside v1's, whatever those are called. The first names the columns of a row that v1 cannot
        # hold as v2 has them: too long, out of range, against a check. The others tell whether a row is new to v1, and
        # which of its columns get another value.
        known = {name for table in survey.shape.tables.values() for name in table.columns}
        self._unfit, self._is_new, self._changing = (
            free_name(name, known) for name in ("vagus_unfit", "vagus_new", "vagus_written")
        )
        self._now = InverseMapping(self.shape, lambda table: qualified(self.shape.schema, table))
        self._before = InverseMapping(self.shape, catch_up.expected)

    def _v1(self, base: str) -> str:
        return self.mapping.source(base)

    def _v2(self, table: str) -> str:
        return qualified(self.shape.schema, table)

    def _id_type(self, base: str) -> str:
        return v2.id_types(self.shape)[v2.ID_PLACEHOLDERS[base]]

    @staticmethod
    def touched(base: str) -> str:
        """The temporary table with the ids of touched rows of one v1 table."""
        return f"pg_temp.{quote(f'vagus_a_{base}')}"

    @staticmethod
    def now(base: str) -> str:
        """The temporary table with what v2 says of those rows now, in v1's columns."""
        return f"pg_temp.{quote(f'vagus_now_{base}')}"

    @staticmethod
    def before(base: str) -> str:
        """The temporary table with what v2 said of them at the cut-over, in v1's columns."""
        return f"pg_temp.{quote(f'vagus_before_{base}')}"

    @staticmethod
    def final(base: str) -> str:
        """The temporary table with the touched rows as v1 will have them; see `_final`."""
        return f"pg_temp.{quote(f'vagus_final_{base}')}"

    @staticmethod
    def going(base: str) -> str:
        """The temporary table with the ids of rows that v1 loses, where what was deleted in v2 is to go."""
        return f"pg_temp.{quote(f'vagus_going_{base}')}"

    def collect(self, *, deletions: bool = False) -> list[str]:
        """Name the touched rows, and lay what they were and what they are side by side.

        Args:
            deletions: rows that were deleted in v2 will go, and make room for others.
        """
        days, weeks = self._v2(v2.DAYS), self._v2(v2.WEEKS)
        changed = "(select id from pg_temp.vagus_changed where table_name = '{}')"
        moved_days = (
            f"(select d.id from {days} d where d.id::text in {changed.format(v2.DAYS)} "
            f"or d.week_id::text in {changed.format(v2.WEEKS)})"
        )
        ids = {
            v1.PLANS: f"select w.plan_id from {weeks} w where w.id::text in {changed.format(v2.WEEKS)}",
            v1.EXERCISES: f"select e.id from {self._v2(v2.EXERCISES)} e where e.day_id in {moved_days}",
            v1.SESSIONS: f"select s.id from {self._v2(v2.SESSIONS)} s where s.day_id in {moved_days}",
            v1.LOGS: "",
        }
        statements = [
            "create temporary table vagus_changed on commit drop as\n"
            f"select distinct table_name, row_id as id from {V2_CHANGES}",
            "analyze pg_temp.vagus_changed",
        ]
        for base, further in ids.items():
            own = f"select id::{self._id_type(base)} as id from pg_temp.vagus_changed where table_name = '{base}'"
            body = f"{own}\nunion {further}" if further else own
            statements.append(f"create temporary table {quote(f'vagus_a_{base}')} on commit drop as\n{body}")
            statements.append(f"analyze {self.touched(base)}")
        plan, session = self._id_type(v1.PLANS), self._id_type(v1.SESSIONS)
        in_touched = {base: f"in (select id from {self.touched(base)})" for base in v1.TABLES}
        statements += [
            "create temporary table vagus_delta_plans on commit drop as\n"
            f"select id from {self.touched(v1.PLANS)}\n"
            f"union select e.plan_id::{plan} from {self._v1(v1.EXERCISES)} e where e.id {in_touched[v1.EXERCISES]}\n"
            # Exercises that the mapping repeated are known by their plan in v2 alone.
            f"union select w.plan_id from {self._v2(v2.EXERCISES)} x join {days} d on d.id = x.day_id\n"
            f"  join {weeks} w on w.id = d.week_id where x.id {in_touched[v1.EXERCISES]}\n"
            f"union select s.plan_id::{plan} from {self._v1(v1.SESSIONS)} s where s.id {in_touched[v1.SESSIONS]}",
            "create temporary table vagus_delta_sessions on commit drop as\n"
            f"select id from {self.touched(v1.SESSIONS)}\n"
            f"union select l.session_id::{session} from {self._v1(v1.LOGS)} l where l.id {in_touched[v1.LOGS]}",
            "analyze pg_temp.vagus_delta_plans",
            "analyze pg_temp.vagus_delta_sessions",
            *catch_up.expect(self.mapping, catch_up.DELTA),
        ]
        for base in v1.TABLES:
            where = f"{InverseMapping.alias(base)}.id {in_touched[base]}"
            for name, inverse in (("now", self._now), ("before", self._before)):
                extra = {self._unfit: inverse.unfit(base)} if name == "now" else None
                statements.append(
                    f"create temporary table {quote(f'vagus_{name}_{base}')} on commit drop as\n"
                    f"{inverse.select(base, where, extra)}"
                )
            statements += [f"analyze {self.now(base)}", f"analyze {self.before(base)}"]
        if self.mapping.options.repeat_exercises:
            statements.append(self._logs_of_copies())
        statements.append(self._settled(deletions=deletions))
        return statements

    # ── what v1 can hold ─────────────────────────────────────────────────────────────────────────────────────────

    def _settled(self, *, deletions: bool) -> str:
        """Mark what v1 cannot hold, again and again until nothing more is to be marked.

        A value that does not come back leaves the row with the one it had, which another row may have wanted; a row
        that does not come back is missed by those that belong to it; and what belongs to a row that was deleted in v2,
        and cannot be moved, keeps that row in v1 with all that it has.
        """
        marks = [
            *((check.base, self._against(check)) for check in self.kept.checks),
            *((one.base, self._taken(one, deletions=deletions)) for one in self.kept.apart),
            *((reference.base, self._without_parent(reference)) for reference in self._references()),
        ]
        # What the rows will be is put down once, and again only where something was marked.
        made = "".join(
            f"create temporary table {quote(f'vagus_final_{base}')} on commit drop as\n"
            f"select f.* from {self._final(base)};\nanalyze {self.final(base)};\n"
            for base in v1.TABLES
        )
        passes = "".join(
            f"{mark};\nget diagnostics vagus_marked = row_count;\nif vagus_marked > 0 then\n"
            f"vagus_more := vagus_more + vagus_marked;\ntruncate {self.final(base)};\n"
            f"insert into {self.final(base)} select f.* from {self._final(base)};\nend if;\n"
            for base, mark in marks
        )
        if deletions:
            made += "".join(
                f"create temporary table {quote(f'vagus_going_{base}')} on commit drop as\n"
                f"select o.id from {self._deleted(base)};\nanalyze {self.going(base)};\n"
                for base in v1.TABLES
            )
            passes += "".join(
                f"{self._stays(one)};\nget diagnostics vagus_marked = row_count;\n"
                "vagus_more := vagus_more + vagus_marked;\n"
                for one in self._references()
                if one.to_base
            )
        body = (
            # Conditions of v1's name its columns, whatever these are called.
            "#variable_conflict use_column\ndeclare vagus_marked bigint; vagus_more bigint;\nbegin\n"
            f"{made}loop\nvagus_more := 0;\n{passes}exit when vagus_more = 0;\nend loop;\nend"
        )
        return f"do {literal(body)}"

    def _references(self) -> list[KeptReference]:
        """What v1's rows refer to, by a reference of v1's or by what they are."""
        found = list(self.kept.references)
        known = {(one.base, one.columns) for one in found}
        found += [
            KeptReference(base, (column,), self._v1(parent), parent, ("id",))
            for base, column, parent in _PARENTS
            if (base, (column,)) not in known
        ]
        made = {base: {column.name for column in self._columns(base)} for base in v1.TABLES}
        return [one for one in found if made[one.base] & set(one.columns)]

    def _final(self, base: str) -> str:
        """The touched rows as v1 will have them: changed ones and new ones, with what of them is another value."""
        columns = self._columns(base)
        kept = ", ".join(
            f"case when {self._written(column)} then n.{quote(column.name)} else o.{quote(column.name)} end "
            f"as {quote(column.name)}"
            for column in columns
            if column.name != "id"
        )
        written = ", ".join(
            f"case when {self._written(column)} then {literal(column.name).strip()} end"
            for column in columns
            if column.name != "id"
        )
        new = ", ".join(self._value(base, column) for column in columns if column.name != "id")
        rows = (
            f"select o.id, false as {self._is_new}, array_remove(array[{written}]::text[], null) as {self._changing},\n"
            f"{kept}\n"
            f"from {self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
            f"join {self._v1(base)} o on o.id = n.id\n"
            f"union all select n.id, true, '{{}}', {new}\n"
            f"from {self._new(base)} and ({self._expressible(base)})"
        )
        generated = [column for column in self.shape.tables[base].columns.values() if column.generated]
        if not generated:
            return f"({rows}) f"
        worked_out = ", ".join(f"({column.default})::{column.type} as {quote(column.name)}" for column in generated)
        return f"(select r.*, g.* from ({rows}) r cross join lateral (select {worked_out}) g) f"

    def _moved(self, row: str, columns: tuple[str, ...]) -> str:
        """Whether a row gets another value in one of some columns, or is new."""
        named = ", ".join(literal(column).strip() for column in columns)
        return f"({row}.{self._is_new} or {row}.{self._changing} && array[{named}]::text[])"

    def _mark(self, base: str, columns: tuple[str, ...], found: str) -> str:
        """Mark columns as unfit in the rows whose ids a query finds, unless they are marked already."""
        named = ", ".join(literal(column).strip() for column in columns)
        return (
            f"update {self.now(base)} n set {self._unfit} = {self._unfit} || array[{named}]::text[]\n"
            f"where not n.{self._unfit} @> array[{named}]::text[] and n.id in (\n{found})"
        )

    def _against(self, check: RowCheck) -> str:
        """Mark what a check of v1 refuses. One that old rows need not meet is asked of what is written alone."""
        found = (
            f"select f.id from {self.final(check.base)} f\n"
            f"where {self._moved('f', check.columns)} and not coalesce(({check.condition}), true)"
        )
        return self._mark(check.base, check.columns, found)

    def _taken(self, one: KeptApart, *, deletions: bool) -> str:
        """Mark what another row of v1 has, or gets before: v1 takes it only once."""
        unique = one.index.unique
        moved = f"{self._moved('f', one.columns)} as moved, {self._is_new} as is_new, "
        final = self.final(one.base)
        going = f"\nand not exists (select from {self.going(one.base)} g where g.id = z.id)" if deletions else ""
        return self._mark(
            one.base,
            one.columns,
            f"with final as materialized ({keyed_rows(unique, f'{final} f', moved)})\n"
            # Of two rows that want the same, one gets it: one that has it already, or one that v1 knows.
            f"select x.id from final x join final y on {unique.clash('x', 'y')} and y.id <> x.id\n"
            "where x.moved and (not y.moved or (y.is_new, y.id) < (x.is_new, x.id))\n"
            f"union all\nselect x.id from final x join ({keyed_rows(unique, self._v1(one.base))}) z\n"
            f"on {unique.clash('x', 'z')} and z.id <> x.id\n"
            f"where x.moved and not exists (select from {final} f where f.id = z.id){going}",
        )

    def _without_parent(self, one: KeptReference) -> str:
        """Mark what refers to a row that v1 has not, and will not have."""
        given = " and ".join(f"f.{quote(column)} is not null" for column in one.columns)
        pairs = list(zip(one.columns, one.to_columns, strict=True))
        same = " and ".join(f"t.{quote(there)} = f.{quote(here)}" for here, there in pairs)
        missing = f"not exists (select from {one.target} t where {same})"
        if one.to_base:
            final = self.final(one.to_base)
            missing = (
                f"not exists (select from {self._v1(one.to_base)} t where {same}\n"
                f"  and not exists (select from {final} z where z.id = t.id))\n"
                f"and not exists (select from {final} t where {same})"
            )
        columns = tuple(column for column in one.columns if column in {c.name for c in self._columns(one.base)})
        return self._mark(
            one.base,
            columns,
            f"select f.id from {self.final(one.base)} f\nwhere {self._moved('f', columns)} and {given} and {missing}",
        )

    def _stays(self, one: KeptReference) -> str:
        """Keep what was deleted in v2 where a row belongs to it in v1 yet: one whose new parent v1 cannot hold."""

        def same(child: str) -> str:
            pairs = zip(one.columns, one.to_columns, strict=True)
            return " and ".join(f"{child}.{quote(here)} = o.{quote(there)}" for here, there in pairs)

        return (
            f"delete from {self.going(one.to_base)} g where exists (\n"
            f"select from {self._v1(one.to_base)} o join {self._v1(one.base)} c on {same('c')}\nwhere o.id = g.id "
            f"and not exists (select from {self.going(one.base)} k where k.id = c.id)\n"
            f"and not exists (select from {self.final(one.base)} f where f.id = c.id and ({same('f')}) is not true))"
        )

    def _logs_of_copies(self) -> str:
        """Sets logged on an exercise that was repeated in a later week belong to the one exercise that v1 has."""
        copy = self.mapping.copy_id("e.id", "w.week_number")
        return (
            f"update {self.now(v1.LOGS)} n set exercise_id = e.id\n"
            f"from {self._v2(v2.EXERCISES)} x join {self._v2(v2.DAYS)} d on d.id = x.day_id\n"
            f"join {self._v2(v2.WEEKS)} w on w.id = d.week_id\n"
            f"join {self._v1(v1.EXERCISES)} e on e.plan_id = w.plan_id\n"
            f"where x.id = n.exercise_id and x.id = {copy}"
        )

    # ── what was found ───────────────────────────────────────────────────────────────────────────────────────────

    def _columns(self, base: str) -> list[Column]:
        made = self._now.expressions(base)
        return [column for column in self.shape.tables[base].columns.values() if column.name in made]

    @staticmethod
    def _differs(column: Column, left: str, right: str) -> str:
        one, other = (comparable(f"{side}.{quote(column.name)}", column.type) for side in (left, right))
        return f"{one} is distinct from {other}"

    def _expressible(self, base: str) -> str:
        """The condition under which v1 can hold a new row: nothing is missing that v1 insists on."""
        needed = [f"cardinality(n.{self._unfit}) = 0"]
        needed += [
            f"n.{quote(column.name)} is not null"
            for column in self._columns(base)
            if column.not_null and column.default is None and not column.identity
        ]
        return " and ".join(needed)

    def _written(self, column: Column) -> str:
        """The condition under which a changed value is put into a row that v1 has: it changed, and v1 can hold it."""
        fits = f" and {literal(column.name).strip()} <> all(n.{self._unfit})"
        given = f" and n.{quote(column.name)} is not null" if column.not_null else ""
        return f"({self._differs(column, 'n', 'b')}{fits}{given})"

    def _value(self, base: str, column: Column) -> str:
        """What a new row gets: v2's value, or v1's default where v1 insists on one."""
        if column.identity and column.name != "id":
            source = f"{literal(self._v1(base)).strip()}, {literal(column.name).strip()}"
            return f"coalesce(n.{quote(column.name)}, nextval(pg_get_serial_sequence({source})))"
        default = self.kept.defaults.get((base, column.name), column.default)
        if column.not_null and default is not None:
            return f"coalesce(n.{quote(column.name)}, {default})"
        return f"n.{quote(column.name)}"

    def _new(self, base: str) -> str:
        """FROM and WHERE of rows that v1 does not have. Rows the mapping itself made (repeats) are not new."""
        return (
            f"{self.now(base)} n where not exists (select from {self._v1(base)} o where o.id = n.id)\n"
            f"and not exists (select from {self.before(base)} b where b.id = n.id)"
        )

    def _changed(self, base: str) -> str:
        """FROM and WHERE of rows that say something else now than at the cut-over."""
        written = " or ".join(self._written(column) for column in self._columns(base) if column.name != "id")
        return (
            f"{self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
            f"where ({written}) and exists (select from {self._v1(base)} o where o.id = n.id)"
        )

    def _copies(self, base: str) -> str:
        """FROM and WHERE of changed rows that the mapping itself had made (repeats): v1 has no row for them."""
        differs = " or ".join(self._differs(column, "n", "b") for column in self._columns(base) if column.name != "id")
        return (
            f"{self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
            f"where ({differs}) and not exists (select from {self._v1(base)} o where o.id = n.id)"
        )

    def _kept_values(self, base: str) -> str:
        """The number of changed values that stay as v1 has them, since it cannot hold the new ones."""
        kept = " + ".join(
            f"({self._differs(column, 'n', 'b')} and not {self._written(column)})::integer"
            for column in self._columns(base)
            if column.name != "id"
        )
        return (
            f"select coalesce(sum({kept}), 0) from {self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
            f"where exists (select from {self._v1(base)} o where o.id = n.id)"
        )

    def _deleted(self, base: str) -> str:
        """FROM and WHERE of v1 rows whose v2 row was deleted after the cut-over."""
        return (
            f"{self._v1(base)} o where o.id in (select id from {self.touched(base)})\n"
            f"and not exists (select from {self._v2(base)} t where t.id = o.id)"
        )

    def counts(self, base: str) -> str:
        """One row: how many rows are new, changed, deleted, and new but not expressible in v1."""
        return (
            f"select (select count(*) from {self._new(base)} and ({self._expressible(base)})) as new,\n"
            f"(select count(*) from {self._changed(base)}) as changed,\n"
            f"(select count(*) from {self._deleted(base)}) as deleted,\n"
            f"(select count(*) from {self._new(base)} and not ({self._expressible(base)}))\n"
            f"  + (select count(*) from {self._copies(base)}) as not_expressible,\n"
            f"({self._kept_values(base)})::bigint as kept_values"
        )

    def withheld(self) -> str:
        """The number of rows that were deleted in v2 and stay in v1 all the same, though what was deleted goes."""
        parts = [
            f"(select count(*) from {self._deleted(base)} and o.id not in (select id from {self.going(base)}))"
            for base in v1.TABLES
        ]
        return f"select {' + '.join(parts)}"

    def kept_out(self) -> str:
        """Every row of which v1 cannot hold something: table_name, row_id, and the columns that are in the way.

        For a new row those keep it out of v1 whole; for others v1 keeps its own values in them.
        """
        parts = []
        for base in v1.TABLES:
            columns = [column for column in self._columns(base) if column.name != "id"]
            missing = ", ".join(
                f"case when n.{quote(column.name)} is null then {literal(column.name).strip()} end"
                for column in columns
                if column.not_null and column.default is None and not column.identity
            )
            kept = ", ".join(
                f"case when {self._differs(column, 'n', 'b')} and not {self._written(column)} "
                f"then {literal(column.name).strip()} end"
                for column in columns
            )
            head = f"select {literal(base).strip()} as table_name, n.id::text as row_id, "
            unfit = f"n.{self._unfit} || array_remove(array[{missing}]::text[], null)"
            parts.append(
                f"{head}array(select distinct unnest({unfit}) order by 1) as columns\n"
                f"from {self._new(base)} and not ({self._expressible(base)})"
            )
            parts.append(
                f"{head}k.columns\nfrom {self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
                f"cross join lateral (select array_remove(array[{kept}]::text[], null) as columns) k\n"
                f"where k.columns <> '{{}}' and exists (select from {self._v1(base)} o where o.id = n.id)"
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
            parts.append(f"{named} {self._new(base)} and not ({self._expressible(base)})")
            parts.append(f"{named} {self._copies(base)}")
        return f"create table {qualified(archive, 'left_in_archive')} as\n" + "\nunion all ".join(parts)

    # ── applying and proving ─────────────────────────────────────────────────────────────────────────────────────

    def apply(self, *, deletions: bool) -> list[str]:
        """Write v1: changed columns, new rows, and deletions where the operator chose so."""
        # v1's own triggers would put new times on rows that only come back.
        statements = [trigger.off for trigger in self.kept.triggers]
        statements.extend(off for check in self.kept.checks for off in check.off)
        statements.extend(self._numbering("by default"))
        # Two rows may have changed places, or one may have what a row had that is about to go.
        schema = self.shape.schema
        statements.extend(out_of_the_way(one.index, schema, self.final(one.base)) for one in self.kept.apart)
        statements.extend(late for one in self.kept.references for late in one.late)
        for base in v1.TABLES:
            columns = self._columns(base)
            names = ", ".join(quote(column.name) for column in columns)
            values = ", ".join(self._value(base, column) for column in columns)
            sets = ", ".join(
                f"{quote(column.name)} = case when {self._written(column)} then n.{quote(column.name)} "
                f"else o.{quote(column.name)} end"
                for column in columns
                if column.name != "id"
            )
            written = " or ".join(self._written(column) for column in columns if column.name != "id")
            statements.append(
                f"update {self._v1(base)} o set {sets}\n"
                f"from {self.now(base)} n join {self.before(base)} b on b.id = n.id\n"
                f"where o.id = n.id and ({written})"
            )
            statements.append(
                f"insert into {self._v1(base)} ({names}) overriding system value\nselect {values}\n"
                f"from {self._new(base)} and ({self._expressible(base)})"
            )
        if self.survey.preferences == "rows":
            statements.extend(self._preferences())
        if deletions:
            statements.extend(
                f"delete from {self._v1(base)} o where o.id in (select id from {self.going(base)})"
                for base in reversed(v1.TABLES)
            )
        # No table can be altered while it owes a look at its rows.
        statements.append("set constraints all immediate")
        statements.extend(self._numbering("always"))
        statements.extend(back for one in self.kept.references for back in one.back)
        statements.extend(made_again(one.index, schema) for one in self.kept.apart)
        statements.extend(on for check in self.kept.checks for on in check.on)
        return [*statements, *(trigger.on for trigger in self.kept.triggers)]

    def _numbering(self, how: str) -> list[str]:
        """Columns whose numbers v1 insists on giving itself: for once they take those that come back."""
        return [
            f"alter table {self._v1(base)} alter column {quote(column.name)} set generated {how}"
            for base in v1.TABLES
            for column in self._columns(base)
            if column.identity == "a" and column.name != "id"
        ]

    def _preferences(self) -> list[str]:
        """What users chose since in v2's preferences, back into v1's rows per category."""
        now = self._v2(v2.PREFERENCES)
        kept = next((r.new for r in self.survey.renames if r.kind == "table" and r.old == v2.PREFERENCES), None)
        if kept is None:
            return []
        old = qualified(self.shape.schema, kept)
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

        A column that did not change since the cut-over may differ: v1 keeps its own spelling of it.
        """
        disagree = " or ".join(
            f"({self._differs(column, 'n', 'o')} and (b.id is null or {self._written(column)}))"
            for column in self._columns(base)
            if column.name != "id" and not (column.not_null and column.default is not None)
        )
        return (
            f"select count(*) from {self.now(base)} n left join {self.before(base)} b on b.id = n.id\n"
            f"left join {self._v1(base)} o on o.id = n.id\n"
            f"where (o.id is null and b.id is null and ({self._expressible(base)}))\n"
            f"   or (o.id is not null and ({disagree}))"
        )
