"""Settings of tables, columns and indexes as the SQL that makes them: to be read, and to be used by hand."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal, quote

INDEX_TARGETS = "statistics targets of index expressions"


def setting_sql(name: str, table: str, item: str, value: str) -> str:
    """The statement behind one setting.

    Args:
        name: the kind of setting, as `dependent_queries.SETTINGS` calls it.
        table: the name of the table it is on.
        item: the column, option, index or constraint it is about; "" for the table.
        value: what was set.
    """
    altered = f"alter table {quote(table)}"
    column = f"{altered} alter column {quote(item or table)}"
    number, _, target = value.partition(" ")
    option = f"{item} = {literal(value).strip()}"
    return {
        "statistics targets": f"{column} set statistics {value}",
        "numbers of distinct values": f"{column} set ({value})",
        "storage of columns": f"{column} set storage {value}",
        "compression of columns": f"{column} set compression {value}",
        "comments on columns": f"comment on column {quote(table)}.{quote(item or table)} is {literal(value)}",
        "comment": f"comment on table {quote(table)} is {literal(value)}",
        "storage parameters": f"{altered} set ({option})",
        "replica identity": f"{altered} replica identity {f'using index {quote(item)}' if item else value}",
        "CLUSTER mark": f"{altered} cluster on {quote(item or table)}",
        INDEX_TARGETS: f"alter index {quote(item or table)} alter column {number} set statistics {target}",
        "comments on indexes": f"comment on index {quote(item or table)} is {literal(value)}",
        "comments on constraints": f"comment on constraint {quote(item or table)} on {quote(table)} "
        f"is {literal(value)}",
        "comments on references": f"comment on constraint {quote(item or table)} on {quote(table)} is {literal(value)}",
        "comments on triggers": f"comment on trigger {quote(item or table)} on {quote(table)} is {literal(value)}",
        "comments on policies": f"comment on policy {quote(item or table)} on {quote(table)} is {literal(value)}",
        "FORCE ROW LEVEL SECURITY": f"{altered} force row level security",
    }[name]
