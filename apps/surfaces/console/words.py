"""What states, reasons, tiers and rules are called on staff pages."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

REASONS: Mapping[str, Any] = {
    "no_consent": _("Never agreed to it"),
    "withdrawn": _("Left: consent was withdrawn"),
    "wording_outdated": _("Agreed to an older text, and must agree again"),
    "suppressed": _("Address is suppressed (bounced, complained or blocked)"),
    "restricted": _("Their data may only be kept for now"),
    "channel_off": _("Wants nothing by this channel"),
    "topic_off": _("Does not want this topic"),
    "paused": _("Paused messages for a while"),
    "frequency_cap": _("Had enough messages lately"),
    "contact_limit": _("Had enough messages of all kinds lately"),
    "item_limit": _("It shows something that they were shown often enough"),
    "outranked": _("A more important message waits for them"),
    "quiet_hours": _("Quiet hours"),
    "holdout": _("Held out, to measure against"),
    "not_in_audience": _("Not in the audience"),
    "open_ticket": _("Waits for help: a support ticket is open"),
    "invalid_address": _("No address that works"),
    "sealed_address": _("Their address can't be read"),
    "duplicate_address": _("Somebody else with the same address gets it"),
    "merged": _("Got it already, or was merged with somebody, under another number"),
    "too_late": _("Past its “do not send after”"),
    "render_failed": _("Could not be rendered whole, so it was not sent"),
    "erased": _("The person was erased before it went out"),
    "tampered": _("What it was made of was changed in the database, so it was not sent"),
    "refused": _("The mail server refused it"),
    "too_long": _("Its text is too long for its channel"),
    "opted_out": _("The number opted out at the provider"),
    "retries_exhausted": _("The mail server put it off too often"),
    "uncertain": _("Handed over, and no answer came"),
    "cancelled": _("The run was cancelled"),
    "restored": _("Waited in a backup that was restored, so it may be out already"),
    "digest": _("Kept for the digest that they chose"),
    "digest_empty": _("Nothing of what was collected can be shown any more"),
    "digest_changed": _("They switched off a topic in it meanwhile; the rest comes in another digest"),
    "digest_full": _("Newer ones came first in the digest"),
    "out_of_date": _("What it shows is over, or not there any more"),
    "unreadable": _("What it was made of can’t be read any more"),
}

TIERS: Mapping[str, Any] = {
    "personal": _("Personal: picked for this person"),
    "category": _("Category: best sellers of what they buy most"),
    "country": _("Country: best sellers where they live"),
    "segment": _("Segment: a rule matched"),
    "site": _("Shop: best sellers overall"),
    "static": _("Static: the same for everybody"),
}

TIER_ORDER = tuple(TIERS)

STATES: Mapping[str, Any] = {
    "decided": _("Decided, not yet taken up"),
    "queued": _("Waiting"),
    "claimed": _("Waiting"),
    "retry": _("Waiting to be tried again"),
    "sending": _("Being handed over"),
    "sent": _("Sent"),
    "delivered": _("Delivered"),
    "bounced": _("Bounced"),
    "complained": _("Complained"),
    "withheld": _("Withheld"),
    "failed": _("Failed"),
    "uncertain": _("Uncertain"),
    "cancelled": _("Cancelled"),
}

OUTCOMES: Mapping[str, Any] = {
    "accepted": _("Accepted by the mail server"),
    "deferred": _("Put off by the mail server"),
    "refused": _("Refused by the mail server"),
    "unknown": _("Unknown: the connection broke"),
    "not_tried": _("Not tried: it surely did not go out"),
}


REPLAYED: Mapping[str, Any] = {
    "same": _("The same answer"),
    "differs": _("Another answer"),
    "gone": _("Can’t be: what it was made from is gone"),
    "failed": _("Failed"),
}

HEARD: Mapping[str, Any] = {
    "delivered": _("Delivered"),
    "deferred": _("Delayed on the way"),
    "bounced": _("Bounced"),
    "rejected": _("Rejected by the provider"),
    "failed": _("Failed at the provider"),
    "complained": _("Complained"),
    "unsubscribed": _("Left at the provider"),
    "autoresponded": _("Answered by a machine"),
    "opened": _("Opened"),
    "clicked": _("Followed a link"),
}
BOUNCES: Mapping[str, Any] = {
    "hard": _("for good: the address is suppressed"),
    "soft": _("for now"),
    "other": _("for a reason that says nothing of the address"),
}
MACHINES: Mapping[str, Any] = {
    "scanner": _("by a scanner, not counted"),
    "proxy": _("by a mail program on its own, not counted"),
    "honeypot": _("by a machine that followed a link nobody sees, not counted"),
    "burst": _("faster than a hand, not counted"),
    "too_soon": _("sooner than it can have arrived, not counted"),
}


def reason_in_words(code: str) -> str:
    """A reason for people; an unknown code as it reads best."""
    return str(REASONS.get(code) or code.replace("_", " ").replace(".", ": ").capitalize())


def tier_in_words(code: str) -> str:
    """A tier for people."""
    return str(TIERS.get(code) or code.replace("_", " ").capitalize())


def state_in_words(code: str) -> str:
    """A message's state for people."""
    return str(STATES.get(code) or code.capitalize())
