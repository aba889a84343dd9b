"""The words for what was done by hand to what points at v2: what comes back, what is left out, what is to be decided.

Of `back` and `left` each is the end of a sentence that `Around.told` begins; none has a full stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.rollback.findings import Prevents, relation_kind
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import free_name, qualified, quote


def named(one: Dependent) -> str:
    """What it is and what it is called."""
    kind = "reference" if one.kind is Kind.FOREIGN_KEY else one.kind.value
    return f"{kind} {one.title}"


def table(one: Dependent) -> str:
    """The table that carries it."""
    return one.on if one.schema in ("", "public") else f"{one.schema}.{one.on}"


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────


def followed_table(old: str, new: str, on_it: Iterable[Dependent]) -> str:
    """What is on a table that was renamed."""
    return f"{', '.join(one.name for one in on_it)} on table {old}, which is called {new} now"


def followed_name(was: Dependent, now: Dependent) -> str:
    """One that was renamed itself."""
    place = now.name if now.schema in ("", "public", was.schema) else f"{now.schema}.{now.name}"
    return f"{named(was)}, which is called {place} now and keeps that name"


def names_of_today(one: Dependent, renamed: Mapping[str, str]) -> str:
    """One that reads tables that were renamed."""
    return f"{named(one)}, with names of today: {', '.join(f'{new} for {old}' for old, new in renamed.items())}"


def made_again(one: Dependent, called: str, *, rights_known: bool) -> str:
    """One that is not there under its name.

    Args:
        called: what it is called now, where somebody renamed it and it cannot be followed.
    """
    why = f"which is called {called} now: it is made again, and that one stays with v2" if called else "which is gone"
    return f"{named(one)}, {why}{'' if rights_known else ' (its rights were not noted)'}"


def not_carried(one: Dependent) -> str:
    """A publication that does not carry v2's table."""
    return f"{named(one)}, which does not carry v2's any more"


def altered(one: Dependent, *, itself: bool = False, columns: bool = False) -> str:
    """One that says something else now.

    Args:
        itself: it goes into the archive itself; otherwise its text of today is kept there.
        columns: it has other columns.
    """
    what = "which has other columns now" if columns else "which was altered"
    today = "today's goes into the archive" if itself else "today's text is kept in the archive"
    return f"{named(one)}, {what} ({today})"


def refilled(one: Dependent, why: str) -> str:
    """A materialized view that is made again and filled."""
    return f"{named(one)}, {why} (made again and filled)"


# ── what is left out ─────────────────────────────────────────────────────────────────────────────────────────────


def left(one: Dependent, why: str) -> str:
    """One that is not bound to v1 again."""
    return f"{named(one)}: {why}"


NO_TABLE = "its table is gone, or has another name"
WIDE = "it publishes every table by itself now"
CARRIES_V1 = "it publishes v1's kept table already, and goes on so"
NO_ROLES = "it is gone, and no note says whom it was for"
NO_PREFERENCES = f"table {v2.PREFERENCES}: it is gone, and so it is not in the archive"


def publication_gone(name: str, tables: Sequence[str]) -> str:
    """A publication that was dropped, with what makes it again for v1."""
    made = f"create publication {quote(name)} for table {', '.join(tables)}"
    return f"publication {name}: it is gone (afterwards: {made})"


def columns_gone(columns: Sequence[str]) -> str:
    """Why a reference cannot be made again."""
    return f"it is gone, as is {', '.join(columns)} of its table"


def others(one: Dependent, owner: str, by_hand: Sequence[str]) -> str:
    """Why one that belongs to somebody else is left to them, and what they do."""
    whose = "its table" if one.on and one.kind is not Kind.PUBLICATION else "it"
    return f"{whose} belongs to {owner} now, who binds it to v1 afterwards (begin; {'; '.join(by_hand)}; commit;)"


# ── what is to be decided ────────────────────────────────────────────────────────────────────────────────────────


def other_kind(one: Dependent, relkind: str) -> Prevents:
    """Something of another kind that has a view's name."""
    kind, other = relation_kind(relkind), quote(free_name(one.name, {one.name}, "_other"))
    return Prevents(
        f"{kind} {one.title} stands where v1's {one.kind.value} of that name belongs",
        f"alter {kind} {qualified(one.schema, one.name)} rename to {other}",
    )


def leads_to_v2(key: Dependent, owner: str, me: str) -> Prevents:
    """A reference on a table of somebody else's, which would refuse what v1 gets."""
    relation = qualified(key.schema, key.on)
    return Prevents(
        f"{named(key)} would lead to v2 still, and refuse what v1 gets: its table belongs to {owner} now",
        f"alter table {relation} owner to {quote(me)}; or, to be without it: "
        f"alter table {relation} drop constraint {quote(key.name)}",
    )


def preferences_gone() -> Prevents:
    """The table that holds what users chose in v1 is no more."""
    return Prevents(f"table {v2.PREFERENCES} is gone, and with it what users chose", "restore it from a backup")


def constraint_alike(schema: str, carrier: str, name: str) -> Prevents:
    """A constraint of a kept v1 table that has the name which one of its own gets back."""
    return Prevents(
        f"constraint {name} of {carrier} has the name that one of v1's gets back",
        f"alter table {qualified(schema, carrier)} rename constraint {quote(name)} to "
        f"{quote(free_name(name, {name}, '_other'))}",
    )


def in_the_way(schema: str, name: str, relkind: str, wanted: str) -> Prevents:
    """What has taken the name that v1's table, index or sequence gets back."""
    kind = relation_kind(relkind)
    return Prevents(
        f"{kind} {name} has the name that v1's {wanted} gets back",
        f"alter {kind} {qualified(schema, name)} rename to {quote(free_name(name, {name}, '_other'))}",
    )
