"""What one user sees: their plans as the API shows them now, and what v2's rules give them."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.events import Status
from vagus_tui.format import number, plural
from vagus_tui.preview.seen import Seen, UserView, user_view
from vagus_tui.screens.base import WizardScreen
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

COLUMNS = (Column("Plan"), Column("Whose", 16), Column("Owner", 36, wide_only=100))


class _Plans(Rows):
    """Its Enter is told at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "open the plan")]


class UserViewScreen(WizardScreen):
    """One user, impersonated in a transaction that is undone."""

    HELP: ClassVar[str] = (
        "The wizard acts as this user for a moment, inside a transaction that is undone, and looks at what row level "
        "security lets through. Beside it stands what v2's rules give them: their own rows, and those of the people "
        "they actively coach. Nothing more, nothing less."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("c", "coach", "as their coach"),
        Binding("r", "reload", "look again"),
    ]
    AUTO_FOCUS = "#seen-plans"

    def __init__(self, user_id: str) -> None:
        super().__init__()
        self.user_id = user_id
        self.view: UserView | None = None

    def compose(self) -> ComposeResult:
        """Figures, then the plans."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("A user's view")
            yield WaitLine(self.session)
            yield Static("Looking.", id="seen-figures")
            yield _Plans(COLUMNS, id="seen-plans")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Look."""
        self.action_reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only who has a coach can be looked at as theirs."""
        if action == "coach":
            return self.view is not None and bool(self.view.coaches)
        return True

    def action_reload(self) -> None:
        """Look again."""
        self.read(self._look, group="look")

    async def _look(self) -> None:
        async with self.session.looking("user's view") as context:
            self.view = await user_view(context, self.user_id)
        view = self.view
        self.query_one(TitleLine).set_title(safe(f"As {view.email or view.user_id}", limit=120))
        agrees = all(seen.agrees for seen in view.seen)
        status = Status.PASS if agrees else Status.FAIL if view.built else Status.WARN
        words = "sees what the rules give" if agrees else "sees something else than the rules give"
        self.query_one(TitleLine).set_summary(Content.styled(f"{MARKS[status]} {words}", STYLES[status]))
        where = "v2 now" if view.built else "v1 now"
        lines = [Content.styled(f"{'':<14}{where:>14}{'by v2’s rules':>18}", "$text-muted")]
        lines.extend(_figures(seen, built=view.built) for seen in view.seen)
        coached = ", ".join(safe_str(email or user) for user, email in view.coaches)
        about = [f"coached by {coached}"] if coached else []
        if view.clients:
            about.append(f"coaches {plural(view.clients, 'active client')}")
        lines.append(
            Content.styled(" · ".join([*(about or ["no coach, no clients"]), "enter opens a plan"]), "$text-muted")
        )
        self.query_one("#seen-figures", Static).update(Content("\n").join(lines))
        rows = self.query_one("#seen-plans", Rows)
        rows.set_rows(
            [
                Row(
                    plan.id,
                    (plan.name if plan.name.strip() else "(no name)", plan.relation, plan.user_id),
                    "" if plan.relation in ("own", "client's") else "bold red",
                )
                for plan in view.plans
            ]
        )
        self.refresh_bindings()

    @on(DataTable.RowSelected, "#seen-plans")
    def _opened(self) -> None:
        """Look at the selected plan."""
        from vagus_tui.screens.plan_preview import PlanPreviewScreen

        plan = self.query_one("#seen-plans", Rows).selected
        if plan is not None:
            self.open_window(PlanPreviewScreen(plan))

    def action_coach(self) -> None:
        """Look as the first of those who coach this user."""
        if self.view is not None and self.view.coaches:
            self.open_window(UserViewScreen(self.view.coaches[0][0]))

    def action_back(self) -> None:
        """Back to where it was opened."""
        if self.is_active:
            self.dismiss(None)


def _figures(seen: Seen, *, built: bool) -> Content:
    now = "not allowed" if seen.now is None else number(seen.now)
    line = f"{seen.what.capitalize():<14}{now:>14}{number(seen.rule):>18}"
    if seen.agrees:
        return Content.assemble(line, "  ", (f"{MARKS[Status.PASS]} same", STYLES[Status.PASS]))
    status = Status.FAIL if built else Status.WARN
    words = f"{plural(seen.others, 'plan')} of others" if seen.others else "differs"
    later = "" if built else ", changes with v2"
    return Content.assemble(line, "  ", (f"{MARKS[status]} {words}{later}", STYLES[status]))
