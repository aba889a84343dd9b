"""Prerequisites: whether server, connection, rights, tools and space allow the migration."""

from __future__ import annotations

from vagus_tui.checks.base import Check
from vagus_tui.checks.prerequisites import activity, link, rights, server, shape, space, tools, upload

_ORDER = (
    "server-version",
    "encoding",
    "connection-kind",
    "tls",
    "answer-time",
    "v1-shape",
    "rights",
    "migration-lock",
    "long-transactions",
    "idle-in-transaction",
    "active-connections",
    "timeouts",
    "replication-slots",
    "default-privileges",
    "table-sizes",
    "server-space",
    "disk-space",
    "pg-dump",
    "supabase-cli",
    "upload-target",
    "clock",
)

_BY_ID = {
    check.id: check
    for module in (activity, link, rights, server, shape, space, tools, upload)
    for check in module.CHECKS
}

CHECKS: tuple[Check, ...] = tuple(_BY_ID[check_id] for check_id in _ORDER)
