"""The seven phases of the migration: what happens, what users feel, how to get back.

The ids are those of the events that a run yields. Replaces the guide's "Migration Steps", which renames first and
transforms under a lock: here v2 is built beside v1, proved, and swapped in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPhase:
    """One phase of a run, explained to the operator.

    Attributes:
        id: the phase's id in events.
        title: its name.
        what: what the wizard does.
        users_feel: what users of the app notice.
        way_back: what undoes it, and what that costs.
    """

    id: str
    title: str
    what: str
    users_feel: str
    way_back: str


MIGRATION_PHASES: tuple[MigrationPhase, ...] = (
    MigrationPhase(
        id="prepare",
        title="Prepare",
        what="Set up the journal and start recording every change to the v1 tables.",
        users_feel="Nothing.",
        way_back="Stop recording; instant.",
    ),
    MigrationPhase(
        id="build",
        title="Build",
        what="Fill the v2 tables, out of sight, from one snapshot of v1; then keys and indexes.",
        users_feel="Nothing.",
        way_back="Drop the unfinished v2 tables; v1 is untouched.",
    ),
    MigrationPhase(
        id="catch-up",
        title="Catch up",
        what="Apply what users changed since the snapshot, in rounds, until little is left.",
        users_feel="Nothing.",
        way_back="Drop the unfinished v2 tables; v1 is untouched.",
    ),
    MigrationPhase(
        id="prove",
        title="Prove",
        what="Compare every row and every mapped column, v1 with v2, both ways. Zero differences.",
        users_feel="Nothing.",
        way_back="Drop the unfinished v2 tables; v1 is untouched.",
    ),
    MigrationPhase(
        id="hold",
        title="Hold",
        what="You look at the proof and decide when to cut over. Catch-up goes on meanwhile.",
        users_feel="Nothing.",
        way_back="Stop; v1 is untouched. You may hold for hours.",
    ),
    MigrationPhase(
        id="cut-over",
        title="Cut over",
        what="Raise the maintenance flag and the write fence; in one short transaction apply the last changes, "
        "prove them, keep v1 as *_v1 and put v2 in its place.",
        users_feel="Writes pause: the goal is under 1 s, the limit 3 s. Reads go on.",
        way_back="A failure undoes the whole transaction by itself; v1 stays in service.",
    ),
    MigrationPhase(
        id="settle",
        title="Settle",
        what="Validate keys, refresh statistics, run the verification, lower fence and flag.",
        users_feel="The v2 app works; the v1 app asks for the update.",
        way_back="Quick rollback; it keeps what users wrote since the cut-over.",
    ),
)
