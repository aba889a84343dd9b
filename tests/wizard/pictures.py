"""Takes the README's pictures from the running wizard: `python -m tests.wizard.pictures FOLDER`.

Not a test: it walks the real screens on two sandboxes, one with data-quality faults and one without.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from tests.wizard.walk import LARGE, Walk, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import start_sandbox

PLANS = 2_000
LONG = 120.0


CELL = 12.2
"""Width of a character's cell in an exported picture."""

BLANK = "&#160;"


def keep(pilot: Walk, folder: Path, name: str) -> None:
    """Export the screen as it is; the fonts that the export would fetch from the network are left out."""
    drawing = pilot.app.export_screenshot(title="vagus-tui")
    drawing = re.sub(r"@font-face\s*{.*?}", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'x="([\d.]+)"( y="[\d.]+") textLength="([\d.]+)"([^>]*)>([^<]*)', _without_margins, drawing)
    (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")
    print(name, flush=True)


def _without_margins(text: re.Match[str]) -> str:
    """A piece of text that begins and ends with what is seen: some viewers draw no blanks at either end."""
    x, y, length, rest, words = text.groups()
    left = (len(words) - len(shorter := re.sub(f"^(?:{BLANK})+", "", words))) // len(BLANK)
    right = (len(shorter) - len(bare := re.sub(f"(?:{BLANK})+$", "", shorter))) // len(BLANK)
    if not bare:
        left = right = 0
        bare = words
    start, room = float(x) + left * CELL, float(length) - (left + right) * CELL
    return f'x="{start:.1f}"{y} textLength="{room:.1f}"{rest}>{bare}'


async def job_over(pilot: Walk) -> None:
    """Wait until the job that runs has ended."""
    session = wizard(pilot).session
    await until(pilot, lambda: session.job is not None and not session.job.running, patience=LONG)


async def faulty(folder: Path) -> None:
    """What the wizard shows of a database as real ones are."""
    sandbox = await start_sandbox(SandboxOptions(plans=PLANS))
    try:
        async with walking(settings_for(sandbox.url, journal_dir=None), size=LARGE) as pilot:
            await until_text(pilot, "Exercises")
            await pilot.pause(1)
            keep(pilot, folder, "overview")
            await pilot.press("P")
            await until_text(pilot, "by name, page 1")
            await pilot.press("down", "down", "enter")
            await until_text(pilot, "v2: as it will be", "Week 2")
            await pilot.pause(1)
            keep(pilot, folder, "plan-preview")
            await pilot.press("escape", "escape")
            await until_text(pilot, "From here:")
            await pilot.press("2")
            total = len((*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY)))
            await until_text(pilot, f"{total} of {total}", patience=LONG)
            await pilot.pause(1)
            keep(pilot, folder, "prerequisites")
            await pilot.press("F")
            await until_text(pilot, "Fix all safe", "Cancel", patience=LONG)
            await pilot.pause(1)
            keep(pilot, folder, "fixes")
    finally:
        await sandbox.stop()


async def sound(folder: Path) -> None:
    """The way through: backup, migration, verification, and the way back."""
    sandbox = await start_sandbox(SandboxOptions(plans=PLANS, clean=True))
    with tempfile.TemporaryDirectory() as backups:
        try:
            settings = settings_for(sandbox.url, backup_dir=backups, journal_dir=None)
            async with walking(settings, size=LARGE) as pilot:
                await pilot.press("2")
                await pilot.pause(6)
                await pilot.press("3")
                await pilot.pause(1)
                keep(pilot, folder, "communications")
                await pilot.press("4")
                await pilot.pause(1)
                await pilot.press("b")
                await pilot.pause(1)
                if wizard(pilot).session.job is None:
                    await pilot.press("tab", "enter")
                await job_over(pilot)
                await pilot.pause(1)
                keep(pilot, folder, "backup")
                await pilot.press("5")
                await pilot.pause(1)
                keep(pilot, folder, "plan")
                await pilot.press("m")
                await pilot.pause(4)
                await pilot.press("tab", "enter")
                await until_text(pilot, "Ready to cut over")
                await pilot.pause(1.5)
                keep(pilot, folder, "hold")
                await pilot.press("c", "c")
                await job_over(pilot)
                await pilot.pause(1)
                keep(pilot, folder, "migrated")
                await pilot.press("6")
                await until_text(pilot, " skipped", patience=LONG)
                keep(pilot, folder, "verification")
                await pilot.press("m")
                await until_text(pilot, "real statements agree", patience=LONG)
                keep(pilot, folder, "access")
                await pilot.press("escape")
                await pilot.pause(1)
                await pilot.press("8")
                await pilot.pause(3)
                keep(pilot, folder, "rollback")
                await pilot.press("v", "b")
                await pilot.pause(2)
                await pilot.press("tab", "enter")
                await job_over(pilot)
                await pilot.pause(1)
                keep(pilot, folder, "rolled-back")
                await pilot.press("0")
                await until_text(pilot, "Began the migration")
                keep(pilot, folder, "report")
        finally:
            await sandbox.stop()


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    await faulty(folder)
    await sound(folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
