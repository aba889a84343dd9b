"""Reading everything that points at v1's tables out of the system catalogs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vagus_tui.database import dependent_queries as queries
from vagus_tui.database.connection import Connection, fetch_together
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.database.settings_sql import setting_sql
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import quote
from vagus_tui.schema.v1 import V1Shape

COMPAT = "workout_v1_compat"
KEPT = "workout_v1_kept"
OURS = ["vagus_migration", "workout_v2", COMPAT, KEPT, "workout_v1_restore"]
"""Schemas that we make: what they hold is no dependent."""


async def read_dependents(connection: Connection, shape: V1Shape) -> list[Dependent]:
    """Everything that points at v1's tables, in the order in which people would look for it."""
    bases = {table.name: base for base, table in shape.tables.items()}
    rows = await connection.fetch(queries.V1_OIDS, shape.schema, list(bases))
    oids = [row["oid"] for row in rows]
    swapped = [row["oid"] for row in await connection.fetch(queries.SWAPPED, oids, OURS)]
    major = connection.get_server_version().major
    names = "|".join(re.escape(table.name) for table in shape.tables.values())
    async with connection.transaction():
        # Names of v1's tables come out unqualified, so that a definition can be bound to other tables.
        # To compile so many queries at once would take longer than they do.
        await connection.execute(f"set local search_path = {quote(shape.schema)}, pg_temp; set local jit = off")
        found = await fetch_together(
            connection, queries.together(major), oids, OURS, rf"\m({names})\M", swapped, shape.schema
        )
    reader = _Reader(shape, bases, found)
    references = reader.references()
    return [
        *reader.foreign_keys(),
        *references,
        *reader.relations(),
        *reader.rules(),
        *reader.policies(),
        *reader.triggers(),
        *reader.functions(),
        *reader.publications(),
        *reader.others(),
        *reader.settings(frozenset((one.on, one.name) for one in references)),
        *reader.statistics(),
    ]


@dataclass(frozen=True, slots=True)
class _Reader:
    shape: V1Shape
    bases: Mapping[str, str]
    found: Mapping[str, Sequence[Mapping[str, Any]]]

    def _uses(self, found: list[str]) -> tuple[str, ...]:
        """`table.column` of the catalog with the tables' v1 names."""
        used = [name.partition(".") for name in found]
        return tuple(sorted(f"{self.bases[table]}.{column}" for table, _, column in used))

    @staticmethod
    def _whose(row: Mapping[str, Any]) -> dict[str, Any]:
        return {"owner": row["owner"], "ours": row["ours"]}

    def foreign_keys(self) -> list[Dependent]:
        return [
            Dependent(
                Kind.FOREIGN_KEY,
                row["schema"],
                row["name"],
                self.bases[row["target"]],
                row["definition"],
                on=row["on"],
                validated=row["validated"],
                uses=tuple(f"{self.bases[row['target']]}.{column}" for column in row["columns"]),
                facts=(
                    *((("partitioned", "yes"),) if row["partitioned"] else ()),
                    *(("leaf", leaf) for leaf in row["leaves"]),
                    *((("comment", row["comment"]),) if row["comment"] else ()),
                ),
                **self._whose(row),
            )
            for row in self.found["foreign_keys"]
        ]

    def references(self) -> list[Dependent]:
        """References of v1's own tables that v2 has not by itself: of columns that it does not know, such as a plan's
        parent plan, and to tables other than v1's own and auth.users.
        """
        found = []
        for row in self.found["references"]:
            base = self.bases[row["on"]]
            table = self.shape.tables[base]
            # Where only the tables' names are known, nothing is carried over either.
            carried = {column.name for column in table.carried} if table.columns else set()
            outside = not row["inner"] and f"{row['target_schema']}.{row['target']}" != v2.USERS and table.columns
            if not carried & set(row["columns"]) and not outside:
                continue
            target = self.bases[row["target"]] if row["inner"] else row["target"]
            found.append(
                Dependent(
                    Kind.REFERENCE,
                    row["schema"],
                    row["name"],
                    base,
                    row["definition"],
                    on=row["on"],
                    validated=row["validated"],
                    uses=tuple(f"{base}.{column}" for column in row["columns"])
                    + (tuple(f"{target}.{column}" for column in row["referenced"]) if row["inner"] else ()),
                    facts=(
                        ("target", target),
                        ("target schema", row["target_schema"]),
                        *((("inner", "yes"),) if row["inner"] else ()),
                        *((("comment", row["comment"]),) if row["comment"] else ()),
                    ),
                    **self._whose(row),
                )
            )
        return found

    def relations(self) -> list[Dependent]:
        """Views and materialized views, sources before readers."""
        found = []
        for row in self.found["relations"]:
            flags = [
                (name, "yes")
                for name in ("populated", "written", "inserted", "keyed", "extension")
                if row[name] and (name != "populated" or row["relkind"] == "m")
            ]
            found.append(
                Dependent(
                    Kind.MATERIALIZED_VIEW if row["relkind"] == "m" else Kind.VIEW,
                    row["schema"],
                    row["name"],
                    "",
                    row["definition"].strip().rstrip(";"),
                    detail=", ".join(row["tables"]),
                    options=tuple(row["options"]),
                    uses=self._uses(row["uses"]),
                    facts=(
                        *flags,
                        *(("table", self.bases[table]) for table in row["tables"]),
                        *(("materialized", name) for name in row["materialized"]),
                        *(("index", text) for text in row["indexes"]),
                        *(("statistics", text) for text in row["statistics"]),
                        *((("comment", row["comment"]),) if row["comment"] else ()),
                        *((("notes", row["notes"]),) if row["notes"] else ()),
                    ),
                    **self._whose(row),
                )
            )
        return found

    def rules(self) -> list[Dependent]:
        return [
            Dependent(
                Kind.RULE,
                row["schema"],
                row["name"],
                self.bases.get(row["on"], ""),
                row["definition"],
                on=row["on"],
                **self._whose(row),
            )
            for row in self.found["rules"]
        ]

    def policies(self) -> list[Dependent]:
        return [
            Dependent(
                Kind.POLICY,
                row["schema"],
                row["name"],
                "",
                "; ".join(
                    part
                    for part in (
                        f"using ({row['reads']})" if row["reads"] else "",
                        f"with check ({row['writes']})" if row["writes"] else "",
                    )
                    if part
                ),
                on=row["on"],
                uses=self._uses(row["uses"]),
                facts=(
                    *((("using", row["reads"]),) if row["reads"] else ()),
                    *((("check", row["writes"]),) if row["writes"] else ()),
                    *((("materialized", "yes"),) if row["materialized"] else ()),
                    *(("table", self.bases[table]) for table in row["tables"]),
                ),
                **self._whose(row),
            )
            for row in self.found["policies"]
        ]

    def triggers(self) -> list[Dependent]:
        return [
            Dependent(
                Kind.TRIGGER,
                row["schema"],
                row["name"],
                self.bases[row["on"]],
                row["definition"],
                on=row["on"],
                facts=(
                    *((name, row[name]) for name in ("enabled", "source", "language", "relation")),
                    ("function", f"{row['function_schema']}.{row['function_name']}"),
                    *(("column", column) for column in row["columns"]),
                    *((("comment", row["comment"]),) if row["comment"] else ()),
                ),
                **self._whose(row),
            )
            for row in self.found["triggers"]
        ]

    def functions(self) -> list[Dependent]:
        return [
            Dependent(
                Kind.FUNCTION,
                row["schema"],
                row["name"],
                "",
                row["definition"],
                detail=f"({row['arguments']})",
                uses=self._uses(row["uses"]),
                facts=(
                    *((name, row[name]) for name in ("source", "language", "path", "prokind")),
                    *((name, "yes") for name in ("atomic", "row_type", "materialized") if row[name]),
                    *(("table", self.bases[table]) for table in row["tables"]),
                ),
                **self._whose(row),
            )
            for row in self.found["functions"]
        ]

    def publications(self) -> list[Dependent]:
        named = [
            Dependent(
                Kind.PUBLICATION,
                "",
                row["name"],
                self.bases[row["on"]],
                row["filter"] or "",
                on=row["on"],
                options=tuple(row["columns"] or ()),
                **self._whose(row),
            )
            for row in self.found["publications"]
        ]
        return [
            *named,
            *(
                Dependent(
                    Kind.PUBLICATION,
                    "",
                    row["name"],
                    "",
                    "for all tables" if row["all_tables"] else f"for tables in schema {self.shape.schema}",
                    owner=row["owner"],
                )
                for row in self.found["wide_publications"]
            ),
        ]

    def others(self) -> list[Dependent]:
        """Defaults that draw from v1's sequences, and columns of v1's row types."""
        defaults = [
            Dependent(
                Kind.DEFAULT,
                row["schema"],
                row["name"],
                self.bases[row["target"]],
                row["definition"],
                on=row["on"],
                facts=(("sequence", row["sequence"]),),
            )
            for row in self.found["defaults"]
        ]
        return [
            *defaults,
            *(
                Dependent(
                    Kind.ROW_TYPE,
                    row["schema"],
                    row["name"],
                    self.bases[row["target"]],
                    row["definition"],
                    on=row["on"],
                )
                for row in self.found["row_types"]
            ),
        ]

    def settings(self, references: frozenset[tuple[str, str]]) -> list[Dependent]:
        """What was set on v1's tables, columns and indexes: one per table and kind of setting.

        Args:
            references: table and name of those that are dependents themselves, and have their comments with them.
        """
        grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in self.found["settings"]:
            if row["name"] == "comments on references" and (row["on"], row["item"]) in references:
                continue
            grouped.setdefault((row["on"], row["name"]), []).append(row)
        return [
            Dependent(
                Kind.SETTING,
                self.shape.schema,
                name,
                self.bases[on],
                "\n".join(setting_sql(name, on, row["item"], row["value"]) + ";" for row in rows),
                on=on,
                facts=tuple((part, row[part]) for row in rows for part in ("item", "value", "text")),
            )
            for (on, name), rows in grouped.items()
        ]

    def statistics(self) -> list[Dependent]:
        """Statistics over several columns or over expressions of v1's tables."""
        return [
            Dependent(
                Kind.STATISTICS,
                row["schema"],
                row["name"],
                self.bases[row["on"]],
                row["definition"],
                on=row["on"],
                uses=tuple(f"{self.bases[row['on']]}.{column}" for column in (*row["columns"], *row["within"])),
                facts=(
                    *(("kind", kind) for kind in row["kinds"]),
                    *(("column", column) for column in row["columns"]),
                    *(("expression", expression) for expression in row["expressions"]),
                    *(("within", column) for column in row["within"]),
                    # Only those that v2's may be called too: others come and go, and mean nothing to the plan.
                    *(("taken", name) for name in row["taken"] if name != row["name"] and name.startswith(begins)),
                    # NULL or -1, by the version, where nothing was set.
                    *((("target", str(row["target"])),) if row["target"] is not None and row["target"] >= 0 else ()),
                    *((("comment", row["comment"]),) if row["comment"] else ()),
                ),
                **self._whose(row),
            )
            for row in self.found["statistics"]
            for begins in (row["name"].removesuffix(v1.SUFFIX)[:14],)
        ]
