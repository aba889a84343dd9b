"""Why a certificate was refused, in words that say what to do about it."""

from __future__ import annotations

import ssl

_OTHER_HOST = (62, 64)
_OTHER_AUTHORITY = (2, 18, 19, 20, 21)
_NOT_NOW = (9, 10)
"""OpenSSL's numbers for what is wrong with a certificate."""


def refusal_of(error: ssl.SSLError) -> tuple[str, str]:
    """What went wrong with TLS, and what to do, in words."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if code in _OTHER_HOST:
        return (
            "its certificate is for another host",
            "Use the host name that the project's database settings show; an address or another name will not do. "
            "If the name is right, somebody else may be answering.",
        )
    if code in _OTHER_AUTHORITY:
        return (
            "its certificate is by an authority that is not in the CA file",
            "Download the CA certificate from the project's database settings and name it in VAGUS_SSL_ROOT_CERT. "
            "If it is this project's file, somebody else may be answering.",
        )
    if code in _NOT_NOW:
        return (
            "its certificate has expired, or is not valid yet",
            "Compare this machine's clock with the real time, and look at the certificate in the project's settings.",
        )
    return (
        getattr(error, "reason", None) or "handshake refused",
        "Check that VAGUS_SSL_ROOT_CERT is this server's CA file and the host name is the real one.",
    )
