"""Addresses as they go over the wire."""

import re
from typing import Final

import idna

from apps.foundation.core.errors import PermanentError

INVALID: Final = "invalid_address"
"""The code of an address that no server would take."""
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}|[^\x00-\x20\x7f-\x9f\"(),:;<>@\[\\\]\s]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?")


def address_for_wire(address: str) -> str:
    """`address` with its domain in ASCII (IDNA 2008, RFC 5891); its local part stays as it is.

    A local part beyond ASCII needs SMTPUTF8 (RFC 6531) of the server. Raises PermanentError with the code INVALID for
    what can't stand in an envelope or header: no `@`, white space, control characters, brackets, quotes.
    """
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        raise PermanentError(INVALID, "not an address")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            raise PermanentError(INVALID, "the domain does not exist") from None
    if not _DOMAIN.fullmatch(domain) or ".." in domain:
        raise PermanentError(INVALID, "the domain does not exist")
    return f"{local}@{domain}"
