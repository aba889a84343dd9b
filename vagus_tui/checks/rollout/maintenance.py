"""Whether maintenance is off: the flag that the app reads, and the fence that refuses its writes."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.verification.base import on_v2
from vagus_tui.events import Status
from vagus_tui.migration.maintenance import read_maintenance

OFF = "f on Migration takes it back, or: vagus-tui maintenance off."


@on_v2
async def _maintenance(context: Context) -> Outcome:
    found = await read_maintenance(context.connection)
    if not found.flag and not found.fence:
        return Outcome(Status.PASS, "off", "No row of system_maintenance is enabled, and the write fence is down.")
    told = []
    if found.flag:
        since = f" since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
        told.append(f"The flag is on{since}: the app shows its maintenance page.")
    if found.fence:
        by = f", by {found.fence_operator}" if found.fence_operator else ""
        told.append(f"The write fence is up{by}: what the app writes is refused.")
    measured = "flag and fence" if found.flag and found.fence else "flag on" if found.flag else "fence up"
    return Outcome(Status.FAIL, measured, f"{' '.join(told)} {OFF}")


CHECKS = (
    Check(
        id="maintenance-off",
        group=Group.ROLLOUT,
        title="Maintenance is off",
        why="Whoever installs the update while maintenance is on sees a closed door, and nobody can try anything.",
        expected="off",
        probe=_maintenance,
        guide="Migration Steps",
    ),
)
