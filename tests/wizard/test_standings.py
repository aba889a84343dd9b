"""What a group of checks comes to, and how one is shown that was let pass."""

from __future__ import annotations

import pytest

from vagus_tui.events import CheckEvent, Status
from vagus_tui.session.standings import display_status, worst


@pytest.mark.parametrize(
    ("status", "overridden", "shown"),
    [
        (Status.FAIL, None, Status.FAIL),
        # It is still there, but holds nothing up.
        (Status.FAIL, "a drill", Status.WARN),
        (Status.ERROR, "a drill", Status.WARN),
        (Status.PASS, "a drill", Status.PASS),
        (Status.RUNNING, "a drill", Status.RUNNING),
    ],
)
def test_what_was_let_pass_warns(status: Status, overridden: str | None, shown: Status) -> None:
    event = CheckEvent(id="tls", group="prerequisites", title="TLS", status=status, overridden=overridden)
    assert display_status(event) is shown


@pytest.mark.parametrize(
    ("statuses", "sum_up"),
    [
        ([], Status.PENDING),
        ([Status.PASS, Status.SKIP], Status.PASS),
        ([Status.PASS, Status.WARN, Status.PASS], Status.WARN),
        ([Status.WARN, Status.FAIL], Status.FAIL),
        ([Status.FAIL, Status.ERROR], Status.ERROR),
        # One that never ran is no pass, and hides no failure.
        ([Status.PASS, Status.PENDING], Status.PENDING),
        ([Status.FAIL, Status.PENDING], Status.FAIL),
        ([Status.FAIL, Status.RUNNING], Status.RUNNING),
    ],
)
def test_the_worst_counts(statuses: list[Status], sum_up: Status) -> None:
    assert worst(statuses) is sum_up
