"""What the journal's notes say, in words. A topic that is bookkeeping alone says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from vagus_tui.format import plural, span
from vagus_tui.runbook.index import title_of

Told = tuple[str, str]
"""Words and tone, as in a line of the story; no words where there is nothing to tell."""

NOTHING: Told = ("", "")


def _planned(_: str, body: Any) -> Told:
    try:
        at = datetime.fromisoformat(str(body))
    except ValueError:
        return f"Set T−0 to {body}", ""
    return f"Set T−0 to {at:%Y-%m-%d %H:%M} (UTC{f'{at:%z}' or ', no zone given'})", ""


def _text(rest: str, body: Any) -> Told:
    title = title_of(rest) or rest
    return (f"Rewrote the message “{title}”" if body else f"Put the runbook's message “{title}” back"), ""


def _page(_: str, body: Any) -> Told:
    return "Chose the text that users read during the cut-over", ""


def _app_update(rest: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    ok, took = bool(body.get("ok")), span(float(body.get("seconds") or 0))
    title = title_of(rest) or rest
    if ok:
        return f"Ran for the app: {title}, {took}", "good"
    return f"Ran for the app: {title}; it ended with status {body.get('status')}", "bad"


def _rehearsal(_: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    waited = body.get("writes_blocked_seconds")
    words = "Rehearsed the migration on a restored backup"
    if waited is not None:
        words += f": writes would wait {span(float(waited))}"
    return (words, "good") if body.get("complete") else (f"{words}; it did not get to its end", "bad")


def _access(_: str, body: Any) -> Told:
    totals = body.get("totals") if isinstance(body, Mapping) else None
    if not isinstance(totals, Mapping):
        return NOTHING
    people, lost, gained = (sum(int(kind[place]) for kind in totals.values()) for place in (0, 1, 2))
    words = f"Compared what {people:,} people and roles may do in v1 and v2"
    if lost or gained:
        return f"{words}: {plural(lost, 'row')} lost, {gained:,} gained", "bad"
    return f"{words}: nothing lost, nothing gained", "good"


def _repair(_: str, body: Any) -> Told:
    name = body.get("repair") if isinstance(body, Mapping) else None
    return (f"Repaired: {name}", "warn") if name else ("Ran a repair", "warn")


def _undone(_: str, body: Any) -> Told:
    name = body.get("repair") if isinstance(body, Mapping) else None
    return f"Took a repair back{f': {name}' if name else ''}", "warn"


def _maintenance(_: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    # Notes of before do not say whether the flag was switched too: then it was.
    switched = [words for key, words in (("flag", "maintenance"), ("fence", "the write fence")) if body.get(key, True)]
    on = bool(body.get("on"))
    return f"Switched {' and '.join(switched)} {'on' if on else 'off'} by hand", "warn" if on else ""


def _banner(_: str, body: Any) -> Told:
    if isinstance(body, Mapping) and not body.get("message"):
        return "Took the banner out of the app's maintenance row", ""
    return "Wrote the banner into the app's maintenance row", ""


def _upload(_: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    return f"Copied the backup to {body.get('url')} and read it back from there", "good"


def _damage(_: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    name, test = str(body.get("path")).rstrip("/").rpartition("/")[2], body.get("by")
    if found := body.get("found"):
        return f"A {test} found the backup {name} damaged: {found}", "bad"
    return f"A {test} found the backup {name} whole again", "good"


def _self_test(_: str, body: Any) -> Told:
    if not isinstance(body, Mapping):
        return NOTHING
    seen, missed = (sum(_length(one) for one in (body.get(name) or {}).values()) for name in ("seen", "missed"))
    words = f"Tested the checks with planted faults: {seen:,} seen"
    return (f"{words}, {missed:,} missed", "bad") if missed else (f"{words}, none missed", "good")


def _length(value: Any) -> int:
    return value if isinstance(value, int) else len(value)


def _withdrawn(_: str, body: Any) -> Told:
    return (f"Took the override of {body.get('check')} back", "") if isinstance(body, Mapping) else NOTHING


_EXACT: Mapping[str, Callable[[str, Any], Told]] = {
    "planned_at": _planned,
    "maintenance-page": _page,
    "rehearsal": _rehearsal,
    "access-matrix": _access,
    "repair": _repair,
    "repair-undone": _undone,
    "maintenance": _maintenance,
    "banner": _banner,
    "upload": _upload,
    "backup-damage": _damage,
    "self-test": _self_test,
    "override-withdrawn": _withdrawn,
}
_PREFIXES: Mapping[str, Callable[[str, Any], Told]] = {"text.": _text, "app-update.": _app_update}


def note_in_words(topic: str, body: Any) -> Told:
    """What a note says; no words for one that nobody needs to read."""
    if topic in _EXACT:
        return _EXACT[topic](topic, body)
    for prefix, words in _PREFIXES.items():
        if topic.startswith(prefix):
            return words(topic.removeprefix(prefix), body)
    return NOTHING
