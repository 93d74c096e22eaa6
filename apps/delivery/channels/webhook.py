"""Webhooks by HTTPS: a POST to an address that was looked at, on the very connection that goes there.

How the address is looked at: `core.outward`. Redirects are failures. Answers are not read beyond a little.
"""

import http.client
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from apps.foundation.core.outward import AddressRefused, PinnedConnection, Target, addresses_public, target_read

TIMEOUT_SECONDS: Final = 10.0
"""For connecting, and for each wait on the socket after that."""
_READ: Final = 2_048


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a POST. status: of HTTP, None when there was no answer; error: a code, "" for none."""

    status: int | None
    error: str = ""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def webhook_post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    inside: Collection[str] = (),
    timeout: float = TIMEOUT_SECONDS,
) -> Answer:
    """POST a body of JSON. Never raises for what the other side does: the answer says it."""
    try:
        target = target_read(url, inside=inside)
        addresses = addresses_public(target, inside=inside)
    except AddressRefused:
        return Answer(None, "address_refused")
    except OSError:
        return Answer(None, "name_not_found")
    answer = Answer(None, "no_address")
    for address in addresses[:2]:
        answer = _post(target, address, body, headers, timeout)
        if answer.error != "not_connected":
            break
    return answer


def _post(target: Target, address: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    connection = PinnedConnection(target, address, timeout)
    try:
        try:
            connection.connect()
        except ssl.SSLError:
            return Answer(None, "tls")
        except OSError:
            return Answer(None, "not_connected")
        sent = {"Host": target.host_header, "Content-Type": "application/json", "User-Agent": "Tessera", **headers}
        connection.request("POST", target.path, body=body, headers=sent)
        response = connection.getresponse()
        response.read(_READ)
    except TimeoutError:
        return Answer(None, "timeout")
    except (OSError, http.client.HTTPException):
        return Answer(None, "connection_lost")
    else:
        if 300 <= response.status < 400:
            return Answer(response.status, "redirect")
        return Answer(response.status, "" if 200 <= response.status < 300 else "refused")
    finally:
        connection.close()
