"""One plan: v1's flat list beside v2's weeks and days, before the migration and after it, and why each is where."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from vagus_tui.format import plural
from vagus_tui.preview.plan import (
    PAGE,
    Kind,
    PlanHead,
    TreeLine,
    TreePage,
    V1Exercise,
    V1Page,
    plan_head,
    tree_page,
    v1_page,
)
from vagus_tui.screens.base import WizardScreen
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.plan_lists import TreeList, V1List, repetitions
from vagus_tui.widgets.text import safe, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

V1, V2 = "v1", "v2"


class PlanPreviewScreen(WizardScreen):
    """Both sides, the same exercise selected on both; in narrow windows one side at a time."""

    HELP: ClassVar[str] = (
        "Left is v1's flat list, right is v2's tree of weeks, days and exercises with the sessions on their days. "
        "Before the migration it is computed by the very SELECTs that will fill v2; afterwards it is read from v2. "
        "The line below says why the selected exercise is on its day."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("v", "side", "other side"),
        Binding("u", "user", "as its user"),
        Binding("greater_than_sign", "page(1)", "next rows", key_display=">"),
        Binding("less_than_sign", "page(-1)", "previous rows", key_display="<"),
        Binding("r", "reload", "read again"),
    ]
    AUTO_FOCUS = ""

    def __init__(self, plan_id: str) -> None:
        super().__init__()
        self.plan_id = plan_id
        self.head: PlanHead | None = None
        self.before = V1Page((), 0, 0)
        self.after = TreePage((), 0, 0)

    def compose(self) -> ComposeResult:
        """The plan's own row, both sides, the reason."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Plan")
            yield WaitLine(self.session)
            yield Static("", id="plan-head")
            with Horizontal(id="plan-sides", classes=f"-{V2}"):
                yield V1List(id="plan-v1")
                yield TreeList(id="plan-v2")
            yield Static("", id="plan-why")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read it."""
        self.action_reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that have nothing to work on are left out."""
        if action == "page":
            page = self.after if self._tree_side else self.before
            shown = len(self.after.lines) if self._tree_side else len(self.before.exercises)
            return page.offset + shown < page.total if parameters == (1,) else page.offset > 0
        if action == "user":
            return self.head is not None and bool(self.head.user_id)
        return True

    @property
    def _tree_side(self) -> bool:
        return not self.is_mounted or isinstance(self.focused, TreeList)

    def action_reload(self) -> None:
        """Read everything again."""
        self.read(lambda: self._load(self.before.offset, self.after.offset), group="plan")

    async def _load(self, before: int, after: int) -> None:
        async with self.session.looking("plan") as context:
            self.head = await plan_head(context, self.plan_id)
            self.before = await v1_page(context, self.plan_id, offset=before)
            self.after = await tree_page(context, self.plan_id, offset=after)
        flat, tree = self.query_one(V1List), self.query_one(TreeList)
        tree.built = self.head.built
        flat.fill([("", self.before.exercises)])
        tree.fill([("", self.after.lines)])
        self._show_head(self.head)
        if self.focused is None:
            tree.focus()
            first = next((line for line in self.after.lines if line.kind is Kind.EXERCISE), None)
            if first is not None:
                tree.select(tree.key(first))
        self.refresh_bindings()

    def _show_head(self, head: PlanHead) -> None:
        title = self.query_one(TitleLine)
        title.set_title(safe(head.name if head.name.strip() else "(no name)"))
        title.set_summary(safe("in v2, as it stands" if head.built else "not moved yet: v2 as it will be"))
        owner = head.email or head.user_id or "nobody"
        before = (
            ", ".join(f"{name} {safe_str(value, limit=40)}" for name, value in head.before if value) or "v1 is gone"
        )
        after = ", ".join(f"{name} {safe_str(value, limit=40)}" for name, value in head.after if value) or "not in v2"
        lines = [
            Content.assemble(
                ("Of ", "$text-muted"),
                safe(owner),
                f" · {plural(self.before.total, 'exercise')} in v1 · {self.after.total:,} lines in v2",
            ),
            Content.assemble(("v1  ", "$text-muted"), before),
            Content.assemble(("v2  ", "$text-muted"), after),
        ]
        if self.after.problem:
            lines.append(safe(f"! {self.after.problem}", "$warning"))
        self.query_one("#plan-head", Static).update(Content("\n").join(lines))

    # The same exercise on both sides

    @on(V1List.At)
    def _at_exercise(self, message: V1List.At) -> None:
        if self.focused is message.table:
            exercise: V1Exercise = message.item
            self.query_one(TreeList).select(f"{Kind.EXERCISE.value}:{exercise.id}")
            self._explain(exercise, self._line(exercise.id))

    @on(TreeList.At)
    def _at_line(self, message: TreeList.At) -> None:
        line: TreeLine = message.item
        if self.focused is not message.table and self.focused is not None:
            return
        if line.kind is not Kind.EXERCISE:
            self._explain_place(line)
            return
        exercise = next((one for one in self.before.exercises if one.id == line.id), None)
        if exercise is not None:
            self.query_one(V1List).select(exercise.id)
        self._explain(exercise, line)

    @on(V1List.Opened)
    @on(TreeList.Opened)
    def _cross(self) -> None:
        self.action_side()

    def _line(self, exercise: str) -> TreeLine | None:
        return next((one for one in self.after.lines if one.kind is Kind.EXERCISE and one.id == exercise), None)

    def _day_of(self, line: TreeLine) -> str:
        day = next(
            (one for one in self.after.lines if (one.kind, one.week, one.day) == (Kind.DAY, line.week, line.day)), None
        )
        return day.title if day is not None else ""

    def _explain(self, exercise: V1Exercise | None, line: TreeLine | None) -> None:
        parts: list[Content] = []
        if exercise is not None:
            figures = repetitions(exercise.sets, exercise.reps_min, exercise.reps_max)
            named = exercise.name or "(no name)"
            parts.append(Content.assemble(safe(named, "bold", limit=80), f" · {safe_str(figures)}" if figures else ""))
            parts.append(Content.assemble(("Why: ", "$text-muted"), safe(exercise.reason.text, limit=600)))
            if exercise.week_number not in (None, "1"):
                parts.append(safe(f"Its own week_number is {exercise.week_number}; weeks are kept within the plan's."))
        elif line is not None:
            why = (
                "Written in v2 since the migration; v1 has no such exercise." if line.new else "On another page of v1."
            )
            parts.append(Content.assemble(safe(line.title, "bold"), "\n", why))
        if line is not None:
            place = f"In v2: week {line.week}, {safe_str(self._day_of(line) or 'a day further up')}."
            if line.expected:
                place += f" The migration put it on {safe_str(line.expected)}; somebody has moved it since."
            parts.append(Content.styled(place, "$text-muted"))
        elif exercise is not None:
            parts.append(Content.styled("Its line in v2 is on another page.", "$text-muted"))
        self.query_one("#plan-why", Static).update(Content("\n").join(parts))

    def _explain_place(self, line: TreeLine) -> None:
        if line.kind is Kind.WEEK:
            text = (
                f"Week {line.week} of the plan's duration. Its dates follow the plan's start date, seven days each. "
                "Exercises stand in week 1, or in their own week; later weeks have the days without exercises."
            )
        elif line.kind is Kind.DAY:
            text = (
                f"“{safe_str(line.title, limit=80)}” of week {line.week}: every day of the plan stands in every week, "
                "in the order of its first exercise."
            )
        else:
            text = (
                f"A session of {line.starts}, in week {line.week} by its date (kept within the plan's weeks), "
                f"on “{safe_str(self._day_of(line), limit=80)}”: the day most of its sets belong to, "
                "or the first day when it has none."
            )
        self.query_one("#plan-why", Static).update(safe(text, limit=600))

    # Acts

    def action_side(self) -> None:
        """The other side: the focus, and in narrow windows what is shown."""
        tree = not self._tree_side
        self.query_one("#plan-sides").set_class(tree, f"-{V2}").set_class(not tree, f"-{V1}")
        widget = self.query_one(TreeList) if tree else self.query_one(V1List)
        self.call_after_refresh(widget.focus)
        self.call_after_refresh(self.refresh_bindings)

    def action_page(self, direction: int) -> None:
        """The next or previous rows of the side that has the focus."""
        before, after = self.before.offset, self.after.offset
        if self._tree_side:
            after = max(0, after + direction * PAGE)
        else:
            before = max(0, before + direction * PAGE)
        self.read(lambda: self._load(before, after), group="plan")

    def action_user(self) -> None:
        """What the owner sees."""
        from vagus_tui.screens.user_view import UserViewScreen

        if self.head is not None and self.head.user_id:
            self.open_window(UserViewScreen(self.head.user_id))

    def action_back(self) -> None:
        """Back to the list."""
        if self.is_active:
            self.dismiss(None)
