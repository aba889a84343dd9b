"""What protects the link between this program and whatever it is connected to: measured on the link itself."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass

from vagus_tui.database.connection import Connection


@dataclass(frozen=True, slots=True)
class LinkSecurity:
    """How a connection is protected.

    Args:
        encrypted: TLS is in use.
        verified: the other side proved, by a certificate that was checked with its host name, who it is.
        version: such as TLSv1.3, or "".
        local: a unix socket: no network is involved.
        loopback: this machine's own network address, behind which a tunnel may lead anywhere.
    """

    encrypted: bool
    verified: bool
    version: str = ""
    local: bool = False
    loopback: bool = False


def link_security(connection: Connection) -> LinkSecurity:
    """How this connection is protected. The server's own view would be that of a pooler's link, not of ours."""
    transport = connection._transport  # type: ignore[attr-defined]
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        peer = transport.get_extra_info("peername")
        if not isinstance(peer, tuple):
            return LinkSecurity(encrypted=False, verified=False, local=True)
        return LinkSecurity(encrypted=False, verified=False, loopback=_is_loopback(str(peer[0])))
    context: ssl.SSLContext = tls.context
    verified = context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    return LinkSecurity(encrypted=True, verified=verified, version=tls.version() or "")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
