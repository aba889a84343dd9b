"""The addresses that a Supabase project has, and which of them a migration can use."""

from __future__ import annotations

NEEDED = "Settings, advisory locks and temporary tables do not survive there, and every one of them is needed."
"""Why not a transaction pooler."""


def right_address(host: str) -> str:
    """What to put into the address instead of a transaction pooler's, in the words of the host that was used."""
    if host.endswith(".pooler.supabase.com"):
        return (
            f"Use the session pooler, postgresql://postgres.<project-ref>:<password>@{host}:5432/postgres, "
            "or the direct address, postgresql://postgres:<password>@db.<project-ref>.supabase.co:5432/postgres."
        )
    return (
        "Use the direct address, postgresql://postgres:<password>@db.<project-ref>.supabase.co:5432/postgres, "
        "or the session pooler, postgresql://postgres.<project-ref>:<password>@<region>.pooler.supabase.com:5432/postgres."
    )
