"""What v1 can hold of the rows that come back: its checks, what keeps its rows apart, and what they refer to.

A value that v1 cannot hold leaves the row with the one it had; a new row of which v1 cannot hold something it insists
on does not come. Either may be in the way of others, so the marks go on until nothing more is to be marked.
"""

from __future__ import annotations

from vagus_tui.migration.unique import keyed_rows
from vagus_tui.rollback.kept import KeptApart, KeptReference, RowCheck
from vagus_tui.rollback.touched import Touched
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal, quote


class Fitting:
    """The SQL that marks what v1 cannot hold, in the rows that `Touched.collect()` has found."""

    def __init__(self, rows: Touched) -> None:
        self.rows = rows
        # Whether a row is new to v1, and which of its columns get another value.
        self.is_new, self.changing = rows.own_name("vagus_new"), rows.own_name("vagus_written")

    @staticmethod
    def final(base: str) -> str:
        """The temporary table with the touched rows as v1 will have them; see `_final`."""
        return f"pg_temp.{quote(f'vagus_final_{base}')}"

    @staticmethod
    def going(base: str) -> str:
        """The temporary table with the ids of rows that v1 loses: what was deleted in v2, where that is to go.

        Where it is not, sets that have another in their place all the same: a session has each of its sets once.
        """
        return f"pg_temp.{quote(f'vagus_going_{base}')}"

    def settled(self, *, deletions: bool) -> str:
        """Mark what v1 cannot hold, again and again until nothing more is to be marked.

        A value that does not come back leaves the row with the one it had, which another row may have wanted; a row
        that does not come back is missed by those that belong to it; and what belongs to a row that was deleted in v2,
        and cannot be moved, keeps that row in v1 with all that it has.
        """
        marks = [
            *((check.base, self._against(check)) for check in self.rows.kept.checks if not check.met),
            *((one.base, self._taken(one)) for one in self.rows.kept.apart),
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
        made += "".join(
            f"create temporary table {quote(f'vagus_going_{base}')} on commit drop as\n"
            f"select o.id from {self.rows.deleted(base)}{self._goes(base, deletions=deletions)};\n"
            f"analyze {self.going(base)};\n"
            for base in v1.TABLES
        )
        kept = [self._stays(one) for one in self._references() if one.to_base]
        if not deletions:
            kept.append(self._not_replaced())
        passes += "".join(
            f"{mark};\nget diagnostics vagus_marked = row_count;\nvagus_more := vagus_more + vagus_marked;\n"
            for mark in kept
        )
        body = (
            # Conditions of v1's name its columns, whatever these are called.
            "#variable_conflict use_column\ndeclare vagus_marked bigint; vagus_more bigint;\nbegin\n"
            f"{made}loop\nvagus_more := 0;\n{passes}exit when vagus_more = 0;\nend loop;\nend"
        )
        return f"do {literal(body)}"

    def _in_place_of(self, row: str) -> str:
        """Whether another set comes back in the place of one, by the alias of its row."""
        mark = ("session_id", "exercise_id", "set_number")
        theirs, ours = (", ".join(f"{alias}.{name}::text" for name in mark) for alias in ("f", row))
        return f"({ours}) in (select {theirs} from {self.final(v1.LOGS)} f)"

    def _goes(self, base: str, *, deletions: bool) -> str:
        """The further condition on rows (o) that were deleted in v2, for those that v1 loses."""
        if deletions:
            return ""
        return f"\nand {self._in_place_of('o')}" if base == v1.LOGS else "\nand false"

    def _not_replaced(self) -> str:
        """Keep sets in whose place v1 cannot hold the others after all."""
        return (
            f"delete from {self.going(v1.LOGS)} g where not exists (\n"
            f"select from {self.rows.of_v1(v1.LOGS)} o where o.id = g.id and {self._in_place_of('o')})"
        )

    def _references(self) -> list[KeptReference]:
        """What v1's rows refer to, by a reference of v1's or by what they are."""
        found = self.rows.kept.all_references(self.rows.of_v1)
        return [one for one in found if self._comes(one)]

    def _comes(self, one: KeptReference) -> tuple[str, ...]:
        """The columns of a reference that get v2's values."""
        made = {column.name for column in self.rows.columns(one.base)}
        return tuple(column for column in one.columns if column in made)

    def _final(self, base: str) -> str:
        """The touched rows as v1 will have them: changed ones and new ones, with what of them is another value."""
        columns = self.rows.values(base)
        kept = ", ".join(
            f"case when {self.rows.written(column)} then n.{quote(column.name)} else o.{quote(column.name)} end "
            f"as {quote(column.name)}"
            for column in columns
        )
        written = ", ".join(
            f"case when {self.rows.written(column)} then {literal(column.name).strip()} end" for column in columns
        )
        new = ", ".join(self.rows.value(base, column) for column in columns)
        rows = (
            f"select o.id, false as {self.is_new}, array_remove(array[{written}]::text[], null) as {self.changing},\n"
            f"{kept}\n"
            f"from {self.rows.both(base)}\n"
            f"join {self.rows.of_v1(base)} o on o.id = n.id\n"
            f"union all select n.id, true, '{{}}', {new}\n"
            f"from {self.rows.new(base)} and ({self.rows.expressible(base)})"
        )
        generated = [column for column in self.rows.shape.tables[base].columns.values() if column.generated]
        if not generated:
            return f"({rows}) f"
        worked_out = ", ".join(f"({column.default})::{column.type} as {quote(column.name)}" for column in generated)
        return f"(select r.*, g.* from ({rows}) r cross join lateral (select {worked_out}) g) f"

    def _moved(self, row: str, columns: tuple[str, ...]) -> str:
        """Whether a row gets another value in one of some columns, or is new."""
        named = ", ".join(literal(column).strip() for column in columns)
        return f"({row}.{self.is_new} or {row}.{self.changing} && array[{named}]::text[])"

    def _mark(self, base: str, columns: tuple[str, ...], found: str) -> str:
        """Mark columns as unfit in the rows whose ids a query finds, unless they are marked already."""
        named = ", ".join(literal(column).strip() for column in columns)
        return (
            f"update {self.rows.now(base)} n set {self.rows.unfit} = {self.rows.unfit} || array[{named}]::text[]\n"
            f"where not n.{self.rows.unfit} @> array[{named}]::text[] and n.id in (\n{found})"
        )

    def _against(self, check: RowCheck) -> str:
        """Mark what a check of v1 refuses. One that old rows need not meet is asked of what is written alone."""
        found = (
            f"select f.id from {self.final(check.base)} f\n"
            f"where {self._moved('f', check.columns)} and not coalesce(({check.condition}), true)"
        )
        return self._mark(check.base, check.columns, found)

    def _taken(self, one: KeptApart) -> str:
        """Mark what another row of v1 has, or gets before: v1 takes it only once.

        A row that cannot have another value keeps the one it had, and whoever wanted that is marked with it: however
        long such a chain is, it takes no further pass.
        """
        unique = one.index.unique
        moved = f"{self._moved('f', one.columns)} as moved, {self.is_new} as is_new, "
        final = self.final(one.base)
        rows = keyed_rows(unique, self.rows.of_v1(one.base))
        going = f"\nand not exists (select from {self.going(one.base)} g where g.id = z.id)"
        return self._mark(
            one.base,
            one.columns,
            f"with recursive final as materialized ({keyed_rows(unique, f'{final} f', moved)}),\n"
            f"had as materialized (select h.* from ({rows}) h\n"
            "  where h.id in (select f.id from final f where f.moved)),\n"
            # Of two rows that want the same, one gets it: one that has it already, or one that v1 knows.
            f"refused (id) as ((select x.id from final x join final y on {unique.clash('x', 'y')} and y.id <> x.id\n"
            "where x.moved and (not y.moved or (y.is_new, y.id) < (x.is_new, x.id))\n"
            f"union all\nselect x.id from final x join ({rows}) z on {unique.clash('x', 'z')} and z.id <> x.id\n"
            f"where x.moved and not exists (select from {final} f where f.id = z.id){going})\n"
            "union\nselect x.id from refused r join had h on h.id = r.id\n"
            f"join final x on {unique.clash('x', 'h')} and x.id <> h.id where x.moved)\n"
            "select r.id from refused r",
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
                f"not exists (select from {self.rows.of_v1(one.to_base)} t where {same}\n"
                f"  and not exists (select from {final} z where z.id = t.id))\n"
                f"and not exists (select from {final} t where {same})"
            )
        columns = self._comes(one)
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
            f"select from {self.rows.of_v1(one.to_base)} o join {self.rows.of_v1(one.base)} c on {same('c')}\n"
            "where o.id = g.id "
            f"and not exists (select from {self.going(one.base)} k where k.id = c.id)\n"
            f"and not exists (select from {self.final(one.base)} f where f.id = c.id and ({same('f')}) is not true))"
        )
