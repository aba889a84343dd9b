"""The lists of the plan preview: plans found, v1's flat exercises, v2's tree. Drawn a line at a time, however long."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from vagus_tui.format import plural
from vagus_tui.preview.plan import Kind, TreeLine, V1Exercise
from vagus_tui.preview.search import PlanHit
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe_str

WIDE = 64
"""From this width on a list has room for the columns that explain rather than name."""


def repetitions(sets: str | None, low: str | None, high: str | None) -> str:
    """`3 × 8–12`, `3 × 8`, `3 sets`; empty for nothing."""
    if low is None and high is None:
        return f"{sets} sets" if sets else ""
    reps = low if high is None or high == low else f"{low or '?'}–{high}"
    return f"{sets or '?'} × {reps}"


class PlanList(SectionList[PlanHit]):
    """Plans that were found."""

    class Opened(SectionList.Opened):
        """Look at this plan."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "v1 beside v2")]

    def key(self, item: PlanHit) -> str:
        """The plan's id."""
        return item.id

    def _columns(self, width: int, start: str, name: str, email: str, exercises: str, sessions: str) -> str:
        mail = 26 if width >= WIDE else 0
        left = max(10, width - 2 - mail - 22)
        parts = [start + fitted(name, left)]
        if mail:
            parts.append(fitted(email, mail - 1))
        return " ".join([*parts, fitted(exercises, 10, right=True), fitted(sessions, 9, right=True)])

    def header(self, width: int) -> Content:
        """The columns' names."""
        return Content.styled(self._columns(width, "  ", "Plan", "User", "Exercises", "Sessions"), "$text-muted")

    def row(self, item: PlanHit, width: int, *, here: bool, focused: bool) -> Content:
        """Name, owner, sizes."""
        name = item.name if item.name.strip() else "(no name)"
        owner = item.email or item.user_id or "nobody"
        return Content(self._columns(width, "  ", name, owner, f"{item.exercises:,}", f"{item.sessions:,}"))


class V1List(SectionList[V1Exercise]):
    """v1's exercises in their order, each with the day it goes to and the rule that decided."""

    class At(SectionList.At):
        """The cursor is on another exercise."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "find it on the other side")]

    class Opened(SectionList.Opened):
        """Find it in the tree."""

    def key(self, item: V1Exercise) -> str:
        """The exercise's id."""
        return item.id

    def _columns(self, width: int, start: str, name: str, group: str, reps: str, day: str, rule: str) -> str:
        right, rules = (16, 12) if width >= 48 else (14, 0)
        groups = 12 if width >= WIDE else 0
        figures = 11 if width >= WIDE + 8 else 0
        left = max(8, width - 2 - right - rules - groups - figures - 2)
        parts = [start + fitted(name, left)]
        if groups:
            parts.append(fitted(group, groups - 1))
        if figures:
            parts.append(fitted(reps, figures - 1))
        parts.append(fitted(day, right))
        if rules:
            parts.append(fitted(rule, rules - 1))
        return " ".join(parts)

    def header(self, width: int) -> Content:
        """The columns' names."""
        names = ("  ", "v1: flat list", "Muscles", "Sets", "→ day in v2", "decided by")
        return Content.styled(self._columns(width, *names), "$text-muted")

    def row(self, item: V1Exercise, width: int, *, here: bool, focused: bool) -> Content:
        """Name, muscle group, sets, the day and why."""
        return Content(
            self._columns(
                width,
                "  ",
                item.name or "(no name)",
                item.muscle_group or "–",
                repetitions(item.sets, item.reps_min, item.reps_max),
                f"→ {safe_str(item.reason.label or item.reason.day)}",
                item.reason.short,
            )
        )


class TreeList(SectionList[TreeLine]):
    """v2's weeks, days, exercises and sessions."""

    class At(SectionList.At):
        """The cursor is on another line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "find it on the other side")]

    class Opened(SectionList.Opened):
        """Find it in v1's list."""

    built = False

    def key(self, item: TreeLine) -> str:
        """Kind and id: ids that are numbers occur in several tables."""
        return f"{item.kind.value}:{item.id}"

    def header(self, width: int) -> Content:
        """Which v2 this is."""
        words = "v2: as it stands" if self.built else "v2: as it will be"
        return Content.styled(fitted(f"  {words}", width), "$text-muted")

    def row(self, item: TreeLine, width: int, *, here: bool, focused: bool) -> Content:
        """One line, indented by its depth."""
        start = "  "
        if item.kind is Kind.WEEK:
            dates = f"{item.starts} … {(item.ends or '')[5:]}" if item.starts else "no dates"
            right = f"{dates}, {plural(item.exercises, 'exercise')}, {plural(item.sessions, 'session')}"
            return _line(start, f"Week {item.week}", right, width, "bold $accent" if not (here and focused) else "bold")
        if item.kind is Kind.DAY:
            right = item.groups if item.exercises else "no exercises in this week"
            return _line(start + "├ ", item.title or "(no label)", right, width, "bold")
        if item.kind is Kind.EXERCISE:
            sets, low, high, weight = item.figures
            right = repetitions(sets, low, high) + (f" at {weight}" if weight else "")
            if item.expected:
                right = f"! moved, was on {item.expected}"
            elif item.new:
                right = f"new  {right}"
            return _line(start + "│  ", item.title or "(no name)", right, width, "$warning" if item.expected else "")
        words = f"session {item.starts}{f'–{item.ends}' if item.ends else ', not completed'}"
        return _line(start + "│  ", f"• {words}", f"{item.figures[0] or 0} sets", width, "$text-muted")


def _line(start: str, left: str, right: str, width: int, style: str) -> Content:
    """Name at the left, figures at the right; the name keeps at least half of the line."""
    room = max(8, width - len(start))
    shown = safe_str(right)
    most = room // 2 if len(safe_str(left)) > room - len(shown) - 2 else len(shown)
    tail = fitted(shown, min(len(shown), most), right=True) if shown else ""
    return Content.assemble(start, (fitted(left, room - len(tail) - 1), style), " ", (tail, "$text-muted"))
