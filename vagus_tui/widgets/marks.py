"""Status marks: a symbol, a word and a colour each, so that none of them has to be seen alone."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.events import Status

MARKS: dict[Status, str] = {
    Status.PENDING: "·",
    Status.RUNNING: "◐",
    Status.PASS: "✓",
    Status.WARN: "!",
    Status.FAIL: "✗",
    Status.SKIP: "–",
    Status.ERROR: "✗",
}

WORDS: dict[Status, str] = {
    Status.PENDING: "pending",
    Status.RUNNING: "running",
    Status.PASS: "pass",
    Status.WARN: "warn",
    Status.FAIL: "fail",
    Status.SKIP: "skip",
    Status.ERROR: "error",
}

STYLES: dict[Status, str] = {
    Status.PENDING: "$text-muted",
    Status.RUNNING: "$accent",
    Status.PASS: "$success",
    Status.WARN: "$warning bold",
    Status.FAIL: "$error bold",
    Status.SKIP: "$text-muted",
    Status.ERROR: "$error bold",
}


def mark(status: Status) -> Content:
    """The status as one coloured symbol."""
    return Content.styled(MARKS[status], STYLES[status])
