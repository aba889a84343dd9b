"""Notification preferences: which of the known shapes v1's table has, and the statement that fills v2's from it."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal, qualified
from vagus_tui.schema.rules import QUIET_PREFERENCES
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.schema.v2 import PREFERENCES, USERS

SHAPES = "(user_id, preferences jsonb) and (id, user_id, category, enabled)"
"""The shapes that are known, in words."""

QUIET = f"{literal(QUIET_PREFERENCES).strip()}::jsonb"


def preferences_kind(shape: V1Shape) -> str | None:
    """ "none" where there is no such table, "jsonb" or "rows" by its shape, None where that is a fourth one."""
    if shape.preferences is None:
        return "none"
    if {"user_id", "preferences"} <= shape.preferences.keys():
        return "jsonb"
    if {"id", "user_id", "category", "enabled"} <= shape.preferences.keys():
        return "rows"
    return None


def chosen(relation: str, user: str) -> str:
    """What a user chose in v1's rows, as one value; what is quiet where they chose nothing.

    Of two rows for one category the one that is off counts: nobody is opted in to what they had switched off.
    """
    return (
        "coalesce((select jsonb_object_agg(o.category, o.enabled order by o.enabled desc nulls first)\n"
        f"  from {relation} o where o.user_id = {user} and o.category is not null), {QUIET})"
    )


def preferences_upsert(kind: str, schema: str, relation: str, *, into_empty: bool = False, only: str = "true") -> str:
    """Fill v2's notification preferences: what users had, quiet defaults for those who had none.

    Run again it brings what changed meanwhile and overwrites nothing that v2's users set.

    Args:
        kind: v1's, as `preferences_kind` has it.
        schema: where v1's table is.
        relation: the quoted name of the table to fill.
        into_empty: for the first time, when the table has no key yet that a conflict could be told by.
        only: a condition on the user `u`, where v1 has rows.
    """
    if kind == "rows":
        old = qualified(schema, PREFERENCES)
        filled = (
            f"insert into {relation} as t (user_id, preferences)\nselect u.id, {chosen(old, 'u.id')} from {USERS} u\n"
            f"where {only}"
        )
        if into_empty:
            return filled
        return (
            f"{filled}\non conflict (user_id) do update set preferences = excluded.preferences\n"
            "where t.preferences is distinct from excluded.preferences"
        )
    return (
        f"insert into {relation} (user_id, preferences)\nselect u.id, {QUIET} from {USERS} u\n"
        f"where not exists (select from {relation} t where t.user_id = u.id)"
    )
