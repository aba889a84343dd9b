"""A run that broke off: what is done about it, on which screen, and under which key; the same wherever it is told."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.journal.state import DatabaseState
from vagus_tui.rollback.finish import owes_steps, was_stopped
from vagus_tui.runbook.model import Screen as Step

DROP, FINISH = "x", "u"
"""The keys: what was made aside goes, as when a run is stopped; or what is left to be done is done."""

FINISHING = "finish"
"""The job that does or clears away what a rollback has left."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is done about an interrupted run.

    Attributes:
        screen: the one on which it is at home, and shown at work; `action` is what it is called there.
        key: `DROP` or `FINISH`, on every screen.
        label: it in a few words, for a button and for the title of its question.
        does: it in words that follow its key.
    """

    screen: Step
    action: str
    key: str
    label: str
    does: str


BUILT = Leftover(Step.MIGRATION, "abandon", DROP, "Clean up, v1 untouched", "drops what was built aside")
UNSETTLED = Leftover(
    Step.MIGRATION,
    "resume",
    FINISH,
    "Finish the migration",
    "does what is left: references checked, statistics; users notice nothing",
)


def leftover(state: DatabaseState | None) -> Leftover | None:
    """What is done about the run that broke off; None where none did."""
    if state is None or not state.interrupted:
        return None
    if state.owes_settling:
        return UNSETTLED
    cleaning = state.run is not None and state.run.kind == "clean-up"
    # The clean-up is a window over Rollout, which shows it.
    screen, what = (Step.ROLLOUT, "clean-up") if cleaning else (Step.ROLLBACK, "rollback")
    if owes_steps(state.run):
        does = "does what is left; users notice nothing"
        return Leftover(screen, "clean_up" if cleaning else "finish", FINISH, f"Finish the {what}", does)
    if was_stopped(state.run):
        does = "clears it away: what it had made aside is dropped, the maintenance flag goes down"
        return Leftover(screen, "clean_up" if cleaning else "clear_away", DROP, f"Clear the {what} away", does)
    return BUILT
