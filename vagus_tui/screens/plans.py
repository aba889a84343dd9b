"""Finding a plan: by its name, its user, its size, or by what is odd about it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from vagus_tui.preview.oddities import Oddity, offered
from vagus_tui.preview.search import Order, PlanHit, Search, find_plans
from vagus_tui.preview.sources import mapping, migrated
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.pick import PickDialog
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.plan_lists import PlanList
from vagus_tui.widgets.search_field import SearchField
from vagus_tui.widgets.text import safe
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

TYPING_SECONDS = 0.25
ORDER_WORDS = {Order.NAME: "by name", Order.EXERCISES: "most exercises first", Order.SESSIONS: "most sessions first"}


class PlansScreen(WizardScreen):
    """A field to search in, and the plans found; the server does the searching."""

    HELP: ClassVar[str] = (
        "Find any plan and look at it: v1's list beside v2's weeks and days, before the migration as it will be, "
        "afterwards as it is. Search takes part of a plan's name or of its user's address, or a whole id."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("slash", "search", "search", key_display="/"),
        Binding("o", "oddity", "what is odd"),
        Binding("s", "sort", "sort"),
        Binding("u", "user", "as its user"),
        Binding("greater_than_sign", "page(1)", "next plans", key_display=">"),
        Binding("less_than_sign", "page(-1)", "previous plans", key_display="<"),
        Binding("down", "list", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self.search = Search()
        self.offered: tuple[Oddity, ...] = ()
        self.starts: list[PlanHit | None] = [None]
        self.more = False
        self._typing: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, field, what is looked for, the list."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Plans")
            yield WaitLine(self.session)
            yield SearchField("plan name, user's address, or an id", id="plan-search")
            yield Static("", id="rows-note")
            yield PlanList(id="plans")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Show the first plans."""
        self._load()
        self.query_one(PlanList).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that have nothing to work on are left out."""
        if action == "page":
            return self.more if parameters == (1,) else len(self.starts) > 1
        if action == "oddity":
            return bool(self.offered)
        if action == "user":
            selected = self.query_one(PlanList).selected if self.is_mounted else None
            return selected is not None and bool(selected.user_id)
        return True

    def _load(self) -> None:
        self.read(self._found, group="plans")

    async def _found(self) -> None:
        async with self.session.looking("plans") as context:
            self.offered = offered(mapping(context))
            hits = await find_plans(context, self.search, after=self.starts[-1])
            built = migrated(context)
        self.more = hits.more
        plans = self.query_one(PlanList)
        plans.fill([("", hits.plans)])
        plans.cursor = 0
        note = [ORDER_WORDS[self.search.order]]
        if self.search.oddity is not None:
            note.insert(0, f"only with {self.search.oddity.title}")
        if len(self.starts) > 1 or hits.more:
            note.append(f"page {len(self.starts)}{', more with >' if hits.more else ', the last'}")
        text = ", ".join(note) if hits.plans else "No plan matches."
        self.query_one("#rows-note", Static).update(safe(text, "$text-muted"))
        self.query_one(TitleLine).set_summary(Content("in v2" if built else "in v1"))
        self.refresh_bindings()

    def _search(self, search: Search) -> None:
        if search != self.search:
            self.search = search
            self.starts = [None]
            self._load()

    @on(Input.Changed, "#plan-search")
    def _typed(self) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(TYPING_SECONDS, self._search_typed)

    def _search_typed(self) -> None:
        text = self.query_one("#plan-search", Input).value
        self._search(Search(text, self.search.order, self.search.oddity))

    @on(Input.Submitted, "#plan-search")
    def action_list(self) -> None:
        """From the field into the list."""
        self._search_typed()
        self.query_one(PlanList).focus()

    @on(PlanList.Opened)
    def _opened(self, message: PlanList.Opened) -> None:
        from vagus_tui.screens.plan_preview import PlanPreviewScreen

        hit: PlanHit = message.item
        self.open_window(PlanPreviewScreen(hit.id))

    def action_search(self) -> None:
        """Into the field."""
        self.query_one("#plan-search", Input).focus()

    def action_sort(self) -> None:
        """The next order."""
        orders = list(Order)
        following = orders[(orders.index(self.search.order) + 1) % len(orders)]
        self._search(Search(self.search.text, following, self.search.oddity))

    def action_oddity(self) -> None:
        """Pick what is odd."""
        self.attempt(self._pick, group="pick", exclusive=True)

    async def _pick(self) -> None:
        choices = [("", "any plan"), *((one.id, one.title) for one in self.offered)]
        chosen = self.search.oddity.id if self.search.oddity else ""
        dialog = PickDialog("Which plans", "Only plans with this, in v1.", choices, chosen)
        answer = await self.ask(dialog)
        if answer is not None:
            oddity = next((one for one in self.offered if one.id == answer), None)
            self._search(Search(self.search.text, self.search.order, oddity))

    def action_user(self) -> None:
        """What the owner of the plan sees."""
        from vagus_tui.screens.user_view import UserViewScreen

        selected = self.query_one(PlanList).selected
        if selected is not None and selected.user_id:
            self.open_window(UserViewScreen(selected.user_id))

    def action_page(self, direction: int) -> None:
        """The next or previous page."""
        if direction > 0 and (items := self.query_one(PlanList).items):
            self.starts.append(items[-1])
        elif direction < 0 and len(self.starts) > 1:
            self.starts.pop()
        self._load()

    def action_back(self) -> None:
        """Back to where it was opened; from the field, into the list first."""
        if isinstance(self.focused, Input):
            self.query_one(PlanList).focus()
        elif self.is_active:
            self.dismiss(None)
