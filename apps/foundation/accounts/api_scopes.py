"""What clients of the API may do: the table of scopes, and which kind of client may have which.

A scope opens a resource for reading or writing. It never gives more than its client's owner may: where people need a
right (content, audiences, playbooks, runs, webhooks, imports), the service asks for the owner's too.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scope:
    """code: `resource:action`; does: what it opens, for people."""

    code: str
    does: str


SCOPES_OF_API: Final[tuple[Scope, ...]] = (
    Scope("profiles:read", "read people: what is known of them, and by which identifiers"),
    Scope("profiles:write", "add and change people, their attributes and identifiers"),
    Scope("consents:read", "read what people agreed to, and the ledger"),
    Scope("consents:write", "record consent with its evidence, and withdrawals"),
    Scope("preferences:read", "read what people chose on the preference page"),
    Scope("preferences:write", "change it for them"),
    Scope("changes:read", "read the feed of changes of people and consent"),
    Scope("events:read", "read what people did: the events that are known of them"),
    Scope("events:write", "send events"),
    Scope("items:read", "read items"),
    Scope("items:write", "add and change items"),
    Scope("promotions:read", "read promotions"),
    Scope("promotions:write", "add and change promotions"),
    Scope("tickets:read", "read support tickets: open or closed"),
    Scope("tickets:write", "open and close support tickets"),
    Scope("audiences:read", "read audiences, count them, and ask whether a person is in one"),
    Scope("audiences:write", "add and change audiences that the owner may change"),
    Scope("content:read", "read blocks and templates"),
    Scope("content:write", "write drafts of blocks and templates that the owner may change, and hand them in"),
    Scope("playbooks:read", "read playbooks and runs"),
    Scope("runs:write", "start, pause, go on with and cancel runs that the owner may"),
    Scope("messages:read", "read messages and what came of them, without addresses and content"),
    Scope("messages:fetch", "fetch the messages that wait on the web for a person, and say that they were shown"),
    Scope("decisions:read", "read decisions and why they were made"),
    Scope("decisions:make", "ask for decisions"),
    Scope("webhooks:read", "read webhooks and their deliveries"),
    Scope("webhooks:write", "set webhooks up and send deliveries again, as the owner may"),
    Scope("imports:read", "read imports and fetch their errors"),
    Scope("imports:write", "start imports, as the owner may"),
)
SCOPE_BY_CODE: Final = {scope.code: scope for scope in SCOPES_OF_API}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client. scopes: those it may have; basic: whether its key may be the user name of HTTP's Basic
    authentication, as Segment's libraries send their write key."""

    code: str
    title: str
    does: str
    scopes: frozenset[str]
    basic: bool = False


KINDS_OF_CLIENTS: Final[tuple[Kind, ...]] = (
    Kind(
        "system",
        "System",
        "one of your own systems, such as a shop, a CRM or a warehouse: any scopes",
        frozenset(SCOPE_BY_CODE),
    ),
    Kind(
        "channel",
        "Channel",
        "where people are, such as a web shop or an app's back end: asks for decisions, tells what people do and want",
        frozenset(
            {
                "decisions:make",
                "messages:fetch",
                "events:write",
                "items:read",
                "promotions:read",
                "preferences:read",
                "preferences:write",
                "consents:read",
                "consents:write",
            }
        ),
    ),
    Kind(
        "event_source",
        "Event source",
        "sends events and nothing else: its key is the write key of Segment's libraries",
        frozenset({"events:write"}),
        basic=True,
    ),
)
KIND_OF_CLIENT: Final = {kind.code: kind for kind in KINDS_OF_CLIENTS}
