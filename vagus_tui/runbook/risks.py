"""The risks of the migration, and what answers each: the guide's "Risk Assessment", and those it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.runbook.model import Screen


class Level(StrEnum):
    """How likely, or how bad."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One risk.

    Attributes:
        id: unique in the whole runbook.
        title: what may go wrong.
        probability, impact: as the guide rates them; ours for the risks it leaves out.
        mitigation: what the wizard does about it.
        screen: where it is answered.
        checks: the checks that measure it.
        guide: whether the guide names it.
    """

    id: str
    title: str
    probability: Level
    impact: Level
    mitigation: str
    screen: Screen
    checks: tuple[str, ...] = ()
    guide: bool = True


RISKS: tuple[Risk, ...] = (
    Risk(
        id="risk.data-loss",
        title="Data is lost",
        probability=Level.LOW,
        impact=Level.CRITICAL,
        mitigation="A backup that was restored and compared; v1 kept; every row proved before the swap.",
        screen=Screen.BACKUP,
        checks=("row-proof", "plans-migrated", "exercises-migrated", "sessions-migrated", "logs-migrated"),
    ),
    Risk(
        id="risk.schema-conflict",
        title="The schema is not what was expected",
        probability=Level.MEDIUM,
        impact=Level.HIGH,
        mitigation="The catalog is read, never assumed; rehearse on a restored copy; staging goes first.",
        screen=Screen.PREREQUISITES,
        checks=("v1-shape", "rights", "default-privileges"),
    ),
    Risk(
        id="risk.row-level-security",
        title="Users see rows of others, or none",
        probability=Level.MEDIUM,
        impact=Level.HIGH,
        mitigation="What real users see in v2 is compared with v1, per table and per command.",
        screen=Screen.VERIFICATION,
        checks=("rls-enforced", "access-owners", "access-coaches", "access-others", "access-anon"),
    ),
    Risk(
        id="risk.performance",
        title="The app becomes slow",
        probability=Level.LOW,
        impact=Level.MEDIUM,
        mitigation="Indexes come with the build, statistics right after; queries are timed as a user.",
        screen=Screen.VERIFICATION,
        checks=("slowdown", "missing-indexes", "statements-per-page", "database-cpu", "database-memory"),
    ),
    Risk(
        id="risk.user-confusion",
        title="Users are confused",
        probability=Level.MEDIUM,
        impact=Level.LOW,
        mitigation="Announced a week ahead, in the app and by mail; a tutorial in the v2 app.",
        screen=Screen.COMMUNICATIONS,
    ),
    Risk(
        id="risk.blocked-by-locks",
        title="A long reader makes the whole app queue",
        probability=Level.MEDIUM,
        impact=Level.HIGH,
        mitigation="Locks are asked for briefly, given up, tried again; then the wizard names who is in the way.",
        screen=Screen.MIGRATION,
        checks=("long-transactions", "idle-in-transaction", "active-connections", "timeouts"),
        guide=False,
    ),
    Risk(
        id="risk.rollback-loses-writes",
        title="A rollback loses what users wrote since",
        probability=Level.MEDIUM,
        impact=Level.CRITICAL,
        mitigation="The quick rollback carries later rows back into v1 and proves it; v2 is archived, not dropped.",
        screen=Screen.ROLLBACK,
        guide=False,
    ),
    Risk(
        id="risk.app-cannot-be-recalled",
        title="An app from the stores cannot be recalled",
        probability=Level.MEDIUM,
        impact=Level.HIGH,
        mitigation="The v2 app is approved and held before T-0; v1 is ready to be released again.",
        screen=Screen.ROLLOUT,
        guide=False,
    ),
)
