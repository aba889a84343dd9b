"""The search paths of our sessions."""

from __future__ import annotations

OWN = "public, pg_temp"
"""What our sessions have. The system's own schema comes before it, and nobody's temporary objects do."""

OWN_PATH = f"set local search_path = {OWN}"
"""Back to it within a transaction; RESET would go to the path of the role, for all that the session does later."""

CATALOG_PATH = "set local search_path = pg_catalog"
"""For reading definitions: every name from elsewhere comes out with its schema."""
