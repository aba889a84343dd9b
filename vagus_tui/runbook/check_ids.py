"""The ids of the checks that the runbook refers to, by group. The checks themselves live elsewhere."""

from __future__ import annotations

PREREQUISITES: frozenset[str] = frozenset(
    {
        "server-version",
        "encoding",
        "connection-kind",
        "tls",
        "answer-time",
        "rights",
        "pg-dump",
        "supabase-cli",
        "disk-space",
        "server-space",
        "table-sizes",
        "active-connections",
        "long-transactions",
        "idle-in-transaction",
        "replication-slots",
        "timeouts",
        "migration-lock",
        "default-privileges",
        "upload-target",
        "clock",
        "v1-shape",
    }
)

DATA_QUALITY: frozenset[str] = frozenset(
    {
        "plans-null-owner",
        "plans-unknown-owner",
        "orphaned-exercises",
        "duplicate-plan-names",
        "exercises-sets",
        "exercises-reps",
        "exercises-weight",
        "abandoned-sessions",
    }
)

VERIFICATION: frozenset[str] = frozenset(
    {
        "plans-migrated",
        "exercises-migrated",
        "sessions-migrated",
        "logs-migrated",
        "orphaned-weeks",
        "orphaned-days",
        "orphaned-exercises-v2",
        "orphaned-groups",
        "orphaned-sessions-v2",
        "weeks-complete",
        "v2-constraints",
        "v2-indexes",
        "v2-behaviour",
        "grants",
        "preferences-intact",
        "sessions-linked",
        "row-proof",
        "rls-enforced",
        "cascade-deletes",
        "writes-noted",
    }
)

PERFORMANCE: frozenset[str] = frozenset(
    {
        "plan-loading",
        "current-week",
        "session-tracking",
        "history",
        "plan-volume",
        "personal-records",
        "muscle-groups",
        "slowdown",
        "missing-indexes",
        "statements-per-page",
        "database-cpu",
        "database-memory",
    }
)

ACCESS: frozenset[str] = frozenset(
    {
        "access-owners",
        "access-coaches",
        "access-former-coaches",
        "access-others",
        "access-anon",
        "access-service",
        "access-as-applied",
    }
)

ROLLOUT: frozenset[str] = frozenset({"maintenance-off", "activity", "progressions"})

CHECK_IDS: frozenset[str] = PREREQUISITES | DATA_QUALITY | VERIFICATION | PERFORMANCE | ACCESS | ROLLOUT
