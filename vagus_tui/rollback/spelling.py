"""Names of relations within definitions: how the server spells them, and a definition with the names of today."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from vagus_tui.database.dependents import Dependent
from vagus_tui.migration.surroundings import Described
from vagus_tui.schema.identifiers import quote

_CONSTANT = r"'(?:[^']|'')*'"
_QUOTED = r'"(?:[^"]|"")*"'
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_WITH_SCHEMA = re.compile(rf'(?:{_QUOTED}|[^".]+)\.(?P<own>{_QUOTED}|[^".]+)\Z')
# The server prints its words in capitals, and quotes whatever else has any: so this is an alias.
_ALIAS = re.compile(r' (?:[a-z_"]|[^\x00-\x7f])')
_OWN_COLUMNS = re.compile(r"FOREIGN KEY \((.*?)\) REFERENCES ")


def reads(one: Described) -> Iterable[tuple[str, str]]:
    """What it was noted to stand on: the number and the name of each."""
    for text in one.reads:
        number, _, name = text.partition(" ")
        yield number, name


def spellings(schema: str, name: str) -> set[str]:
    """How the server may spell a relation's name."""
    homes, names = ({part, quote(part)} if _PLAIN.fullmatch(part) else {quote(part)} for part in (schema, name))
    return names | {f"{home}.{one}" for home in homes for one in names}


def _own(spelled: str) -> str:
    """The name without its schema; "" where it is spelled without one."""
    found = _WITH_SCHEMA.match(spelled)
    return found["own"] if found else ""


def by_new_names(text: str, renamed: Mapping[str, str]) -> str:
    """A definition with other names of tables, all at once: two of them may have changed names with each other.

    A table of another schema is spelled with it where it is read, and without it where its columns are. So it keeps
    the name that it had as an alias, unless it has one.
    """

    def new(found: re.Match[str]) -> str:
        old, own = found["old"], _own(found["old"] or "")
        if not old:
            return found[0]
        before, after = found.string[: found.start()], found.string[found.end() :]
        if not own or before.endswith(("::", "INSERT INTO ")) or _ALIAS.match(after):
            return renamed[old]
        return f"{renamed[old]} {own}"

    return _searched(renamed).sub(new, text) if renamed else text


def as_printed(text: str, renamed: Mapping[str, str]) -> str:
    """A definition as the server prints it once tables have other names: it spells their columns with these."""
    if not renamed:
        return text
    owns = {f"{_own(old)}.": f"{_own(new) or new}." for old, new in renamed.items() if _own(old)}
    every = {**renamed, **owns}
    return _searched(every).sub(lambda found: every[found["old"]] if found["old"] else found[0], text)


def _searched(renamed: Mapping[str, str]) -> re.Pattern[str]:
    olds = "|".join(
        re.escape(old) + ("" if old.endswith(".") else r'(?![\w"])') for old in sorted(renamed, key=len, reverse=True)
    )
    return re.compile(rf"""{_CONSTANT}|(?<![\w."])(?<!AS )(?P<old>{olds})|{_QUOTED}""")


def on_table(one: Dependent, schema: str, table: str) -> Dependent:
    """A reference or a policy on a table that is called otherwise by now; a policy may say its table's name."""
    spelled = "|".join(re.escape(name) for name in (one.on, quote(one.on)))
    said = re.compile(rf'{_CONSTANT}|(?<![\w."])(?:{spelled})\.')

    def under_its_name(text: str) -> str:
        return said.sub(lambda found: found[0] if found[0].startswith("'") else f"{quote(table)}.", text)

    facts = tuple((key, under_its_name(value) if key in ("using", "check") else value) for key, value in one.facts)
    return replace(one, schema=schema, on=table, facts=facts)


def lost_columns(key: Dependent, there: list[str]) -> list[str]:
    """The columns of a reference that its table has not any more."""
    found = _OWN_COLUMNS.match(key.definition)
    own = re.findall(r'"(?:[^"]|"")+"|[^,\s]+', found[1]) if found else []
    return [column for column in own if column not in there]
