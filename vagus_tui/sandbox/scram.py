"""SCRAM-SHA-256 verifiers made here, so that a clear password never travels in SQL, where logs can catch it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

_ITERATIONS = 16
"""Many rounds make a guessable password slow to guess. These are 144 random bits, and a client goes through all of the
rounds at every single connection."""


def verifier(password: str) -> str:
    """What PostgreSQL stores for an ASCII password (RFC 5803), as `ALTER ROLE … PASSWORD` takes it."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *parts)
