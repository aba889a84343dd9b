"""What each screen is for: shown by `?`. Keys are added by the screen itself."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.runbook.model import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenHelp:
    """Help for one screen, each part one to three sentences."""

    screen: Screen
    purpose: str
    why: str
    next: str


HELP: tuple[ScreenHelp, ...] = (
    ScreenHelp(
        screen=Screen.OVERVIEW,
        purpose="Which database this is, where it stands, what is planned, and what it will cost.",
        why="The wrong database is the worst mistake there is. Compare host, state and counts with what you expect.",
        next="Set the planned start, read the risks, then go on to Prerequisites.",
    ),
    ScreenHelp(
        screen=Screen.PREREQUISITES,
        purpose="Checks the server, your rights and the data. Rows turn as results come in.",
        why="What would stop the migration is found here, while nothing has begun. When all data checks pass, "
        "the build cannot fail on data.",
        next="Fix what fails: guided fixes show the rows first and can be undone. "
        "An override needs a reason, and is recorded.",
    ),
    ScreenHelp(
        screen=Screen.COMMUNICATIONS,
        purpose="The messages to users, filled in with your dates, and who has sent what.",
        why="The wizard sends nothing itself. Copy each text, send it, and sign it off with your name.",
        next="Open items do not stop the backup. Before the cut-over they should be done.",
    ),
    ScreenHelp(
        screen=Screen.BACKUP,
        purpose="Takes a backup from one snapshot, restores it locally, compares it, and rehearses on the copy.",
        why="A backup that has never been restored is a hope. The rehearsal also measures how long all will take.",
        next="A backup that is verified and fresh unlocks the migration. Take the final one within two hours of it.",
    ),
    ScreenHelp(
        screen=Screen.MIGRATION,
        purpose="Shows the plan with its SQL and what becomes of everything that points at v1, builds v2 beside v1, "
        "proves it, holds, and cuts over when you say so.",
        why="Until the cut-over users notice nothing, and stopping leaves v1 as it was. At the cut-over writes pause "
        "for about a second.",
        next="After it, verification runs by itself. The v1 tables stay, as *_v1.",
    ),
    ScreenHelp(
        screen=Screen.VERIFICATION,
        purpose="Proves data, access and cascades; then the checklists that need people, and the acceptance test, "
        "person by person.",
        why="Counts can agree on wrong data. Rows are compared one by one, and what real users reach in v1 and in v2; "
        "m shows it user by user. t tests the checks themselves with planted faults.",
        next="All green: release the app. Anything red: Rollback tells you whether to go back.",
    ),
    ScreenHelp(
        screen=Screen.ROLLOUT,
        purpose="Releases the app in three phases, follows up, and in the end removes v1 under guard.",
        why="The data has moved for everyone; only the app can go out in stages, and none can be recalled.",
        next="Two weeks after the cut-over the clean-up may run. It is optional, and the only step without a quick "
        "way back.",
    ),
    ScreenHelp(
        screen=Screen.ROLLBACK,
        purpose="Advises whether to go back, shows what it would do, and does it: quickly, or from a backup.",
        why="The quick way carries what users wrote since into v1 and archives v2. From backup is for damaged data.",
        next="After it v1 is proved. Then tell users, find the cause, plan the next attempt.",
    ),
    ScreenHelp(
        screen=Screen.TROUBLESHOOTING,
        purpose="Five known troubles: how to recognise each, what is behind it, and a repair.",
        why="Hasty fixes did harm in the past. Each repair here shows what it will change, and how to undo it.",
        next="Diagnose first; the rows tell which trouble it is. If none fits, call the database admin.",
    ),
    ScreenHelp(
        screen=Screen.REPORT,
        purpose="What was done, by whom, when, with which result: checks, overrides, sign-offs, times, proofs.",
        why="It is the record for colleagues, auditors, and for the next environment. It holds no secrets.",
        next="Save it next to the backup.",
    ),
)
