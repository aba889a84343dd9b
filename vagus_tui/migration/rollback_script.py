"""What the script of a rollback writes into the journal, when psql runs it in the program's place.

Without it the database would look as if nothing had ever been moved, and migrating again would leave what v2 alone
can hold in the archive, without a word.
"""

from __future__ import annotations

import dataclasses
import json

from vagus_tui.events import Phase
from vagus_tui.journal.state import ARCHIVE_PREFIX
from vagus_tui.journal.store import AFTER_ALL_RUNS
from vagus_tui.migration.steps import Plan, ScriptJournal, latest_run
from vagus_tui.rollback.finish import owed_record
from vagus_tui.schema.identifiers import literal
from vagus_tui.settings import Settings


def journalled(plan: Plan, settings: Settings) -> Plan:
    """The plan of a quick rollback whose script notes that it was done, what is owed after the commit, and its end."""
    owed = json.dumps(owed_record(plan.of(Phase.SETTLE)), ensure_ascii=False)
    # The newest, since this transaction has just made it; by its name others may be newer than a plan of last week.
    archives = f"pg_namespace where starts_with(nspname, {literal(ARCHIVE_PREFIX)})"
    newest = f"(select nspname from {archives} order by oid desc limit 1)"
    journal = ScriptJournal(
        begun="",
        swapped="insert into vagus_migration.runs "
        "(kind, status, phase, operator, environment, client, options, catalog, figures, started_at) values "
        f"('rollback', 'done', {literal(Phase.SETTLE.value).strip()}, session_user, "
        f"{literal(settings.environment.value).strip()}, 'psql', '{{\"script\": true, \"deletions\": false}}', "
        f"{literal(owed).strip()}::jsonb, jsonb_build_object('archive', {newest}), {AFTER_ALL_RUNS});\n"
        "notify pgrst, 'reload schema';",
        done=f"update vagus_migration.runs set finished_at = greatest(started_at, clock_timestamp()) "
        f"{latest_run('rollback')};",
    )
    return dataclasses.replace(plan, journal=journal)
