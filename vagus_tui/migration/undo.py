"""What a rollback and an interrupted settling need to know, written down in the cut-over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependents import Dependent
from vagus_tui.journal import store
from vagus_tui.migration.survey import Rename, Survey
from vagus_tui.rollback.later_columns import LaterColumn
from vagus_tui.schema.v1 import Column, V1Shape, V1Table


def undo_record(survey: Survey) -> dict[str, Any]:
    """The survey as plain data: names before and after, what pointed at v1 and how."""
    shape = survey.shape
    return {
        "survey": {
            "shape": {
                "schema": shape.schema,
                "renamed": shape.renamed,
                "tables": {
                    base: {"name": table.name, "columns": [asdict(column) for column in table.columns.values()]}
                    for base, table in shape.tables.items()
                },
                "coach_clients": _columns(shape.coach_clients),
                "preferences": _columns(shape.preferences),
            },
            "renames": [asdict(rename) for rename in survey.renames],
            "functions_in_the_way": [asdict(rename) for rename in survey.functions_in_the_way],
            "dependents": [dependent.to_dict() for dependent in survey.dependents],
            "preferences": survey.preferences,
            "taken": sorted(survey.taken),
            "owners": dict(survey.owners),
            "me": survey.me,
            "server_version": survey.server_version,
            "archive": survey.archive,
            "later": [asdict(column) for column in survey.later],
        }
    }


def _columns(columns: Mapping[str, Column] | None) -> list[dict[str, Any]] | None:
    return None if columns is None else [asdict(column) for column in columns.values()]


def _read_columns(data: list[dict[str, Any]] | None) -> dict[str, Column] | None:
    return None if data is None else {item["name"]: Column(**item) for item in data}


async def last_record(connection: Connection) -> tuple[store.Run, Survey] | None:
    """The latest migration that wrote down how v1 looked, and what it wrote; None where there was none."""
    for run in reversed(await store.runs(connection)):
        if run.kind == "migrate" and "survey" in run.catalog:
            return run, read_record(run.catalog)
    return None


def read_record(catalog: Mapping[str, Any]) -> Survey:
    """The survey that `undo_record` wrote down; counts are not kept."""
    data = catalog["survey"]
    shape = data["shape"]
    return Survey(
        shape=V1Shape(
            tables={
                base: V1Table(base, table["name"], _read_columns(table["columns"]) or {})
                for base, table in shape["tables"].items()
            },
            renamed=shape["renamed"],
            schema=shape["schema"],
            coach_clients=_read_columns(shape["coach_clients"]),
            preferences=_read_columns(shape["preferences"]),
        ),
        rows={},
        log_blocks=0,
        renames=tuple(Rename(**item) for item in data["renames"]),
        taken=frozenset(data["taken"]),
        dependents=tuple(Dependent.from_dict(item) for item in data["dependents"]),
        grants=(),
        owners=data["owners"],
        me=data["me"],
        preferences=data["preferences"],
        functions_in_the_way=tuple(Rename(**item) for item in data["functions_in_the_way"]),
        server_version=data["server_version"],
        archive=data.get("archive", ""),
        later=tuple(LaterColumn(**{**item, "rests": tuple(item["rests"])}) for item in data.get("later", ())),
    )
