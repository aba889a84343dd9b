"""What `?` says about the views that are opened from a screen, by the name of their class."""

from __future__ import annotations

from collections.abc import Mapping

VIEW_HELP: Mapping[str, str] = {
    "CheckDetail": "Everything about one check: why it matters, what it measured, the rows it objects to as the "
    "server has them, a page at a time, and its SQL. Nothing is changed here.",
    "FixScreen": "The fixes for one check. Each says how many rows it would touch and how; look at the rows, then "
    "apply it after a question. Every original is kept whole, so that each fix can be taken back.",
    "UndoScreen": "The fixes that were applied, newest first. Enter puts one back to the byte; it is refused where a "
    "row has been changed since. The check that objected will object again.",
    "OverridesScreen": "Every gate that somebody let pass by name, the oldest first: since when, by whom and why. An "
    "override stays in force for every run to come until it is taken back, which Enter does after a question.",
    "BlockersScreen": "Sessions that hold a lock on the workout tables, the longest transaction first. A cut-over "
    "waits for them briefly and gives up. Cancel what one runs, or end it, by its id and after a question.",
    "AccessMatrixScreen": "Who may do what: kinds of users by tables by commands, measured as real users in a "
    "transaction that is undone, v1's rules beside v2's. Enter opens a cell.",
    "AccessCell": "One cell of the matrix: how many rows were seen or could be changed in v1 and in v2, which were "
    "lost or gained, and the policies that decide.",
    "RehearsalScreen": "The whole migration and the way back, on a restored backup on this machine. The real database "
    "is only told the result: its figures become the forecast.",
    "SelfTestScreen": "Are the checks worth anything? Each fault is planted in a transaction that is rolled back, and "
    "its check has to turn red.",
    "MonitorScreen": "After-care: checks that run again and again while users come back, each with its course. M "
    "chooses how often. What begins to fail is told on every screen, with the bell, until A says that it was seen.",
    "CleanUpScreen": "Removing v1's kept tables, weeks after the cut-over. It is optional, and from then on only a "
    "backup leads back: every gate has to hold, or be let pass by name and with a reason.",
    "FromBackupScreen": "Going back to a backup, for damaged data. It is verified, restored locally and compared "
    "first, then put in place; what stands there now is set aside, never dropped.",
}
"""One to three sentences each: what the view is for, why, and what comes of it."""
