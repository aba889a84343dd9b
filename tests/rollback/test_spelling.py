"""A definition with the names that its tables have by now: only the names change, and each column is found again."""

from __future__ import annotations

import pytest

from vagus_tui.rollback.spelling import as_printed, by_new_names

KIT = {"elsewhere.gear": "elsewhere.kit"}


@pytest.mark.parametrize(
    ("text", "renamed", "bound", "printed"),
    [
        ("SELECT gyms.name FROM gyms", {"gyms": "halls"}, *["SELECT halls.name FROM halls"] * 2),
        (
            "SELECT gear.kind FROM (p JOIN elsewhere.gear ON ((gear.plan = p.id)))",
            KIT,
            "SELECT gear.kind FROM (p JOIN elsewhere.kit gear ON ((gear.plan = p.id)))",
            "SELECT kit.kind FROM (p JOIN elsewhere.kit ON ((kit.plan = p.id)))",
        ),
        # One that has an alias keeps it, and so do its columns.
        ("SELECT g.kind FROM elsewhere.gear g", KIT, *["SELECT g.kind FROM elsewhere.kit g"] * 2),
        ('FROM elsewhere.gear "G"', KIT, *['FROM elsewhere.kit "G"'] * 2),
        # A type, and where no alias may stand.
        ("SELECT g.*::elsewhere.gear", KIT, *["SELECT g.*::elsewhere.kit"] * 2),
        ("INSERT INTO elsewhere.gear (kind)", KIT, *["INSERT INTO elsewhere.kit (kind)"] * 2),
        # What only looks like it.
        ("'elsewhere.gear' AS gear, \"elsewhere.gear\"", KIT, *["'elsewhere.gear' AS gear, \"elsewhere.gear\""] * 2),
        ("FROM elsewhere.gears, nowhere.elsewhere.gear", KIT, *["FROM elsewhere.gears, nowhere.elsewhere.gear"] * 2),
        (
            'FROM "El".gear, "El"."Set"',
            {'"El".gear': '"El"."Set"', '"El"."Set"': '"El".gear'},
            'FROM "El"."Set" gear, "El".gear "Set"',
            'FROM "El"."Set", "El".gear',
        ),
    ],
)
def test_names_of_today(text: str, renamed: dict[str, str], bound: str, printed: str) -> None:
    assert by_new_names(text, renamed) == bound
    assert as_printed(text, renamed) == printed
    assert by_new_names(text, {}) == as_printed(text, {}) == text
