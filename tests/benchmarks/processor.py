"""How much processor time a server has used: what a busy disk or a second program takes is not in it. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def seconds_used(data_dir: Path) -> float:
    """Processor seconds of a server so far, of all its processes, those that have ended too."""
    postmaster = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # After the name, which may hold anything: state, parent, ten more, then time as user and system, of the
            # process and of its children that have ended.
            parent, *fields = (folder / "stat").read_text().rpartition(")")[2].split()[1:]
        except OSError:
            continue
        if int(folder.name) == postmaster:
            total += sum(int(ticks) for ticks in fields[9:13])
        elif int(parent) == postmaster:
            total += sum(int(ticks) for ticks in fields[9:11])
    return total / TICKS
