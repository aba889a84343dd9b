"""Whom to call: the guide's "Support Contacts"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact.

    Attributes:
        id: unique in the whole runbook.
        role: who it is.
        address: mail address or number; None when the guide has no real one.
        when: what to call them for.
    """

    id: str
    role: str
    address: str | None
    when: str


CONTACTS: tuple[Contact, ...] = (
    Contact(
        id="contact.lead",
        role="Migration lead",
        address="dev@vagushealth.com",
        when="Go or no-go, overrides, the decision to roll back.",
    ),
    Contact(
        id="contact.dba",
        role="Database admin",
        address="dba@vagushealth.com",
        when="A check that fails, locks that do not clear, anything about the server.",
    ),
    Contact(
        id="contact.support",
        role="Support team",
        address="support@vagushealth.com",
        when="What users report; the address that goes into messages.",
    ),
    Contact(
        id="contact.hotline",
        role="Emergency hotline",
        address=None,
        when="The lead cannot be reached and users are affected. The guide has no number: note yours.",
    ),
)
