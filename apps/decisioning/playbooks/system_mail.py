"""What a playbook that is system mail must be, and which links its message has. Reads only."""

from typing import Any, Final

from apps.data.profiles.mail import MailKind
from apps.decisioning.content.choosing import COLLECTED, PERSONAL
from apps.decisioning.content.contracts import LinkTerms

from .errors import Problem
from .models import Playbook, PlaybookVersion
from .steps import steps_walk

EVERYBODY: Final[dict[str, Any]] = {"all": []}
"""The rule of an audience that leaves nobody out."""
_WHERE: Final = (
    "The system mail “confirm” has links.confirm, “export” has links.export, “address” has links.new_address, “moved” "
    "has links.take_back, “welcome” has links.answer_1 to links.answer_3; every message has links.preferences and "
    "links.unsubscribe."
)
_ANSWERS: Final = frozenset({"answer_1", "answer_2", "answer_3"})
_LINKS: Final = {
    MailKind.CONFIRM: LinkTerms(frozenset({"confirm"}), frozenset({"confirm"}), _WHERE),
    MailKind.LINK: LinkTerms(frozenset(), frozenset({"preferences"}), _WHERE),
    MailKind.EXPORT: LinkTerms(frozenset({"export"}), frozenset({"export"}), _WHERE),
    MailKind.ADDRESS: LinkTerms(frozenset({"new_address"}), frozenset({"new_address"}), _WHERE),
    MailKind.MOVED: LinkTerms(frozenset({"take_back"}), frozenset({"take_back"}), _WHERE),
    MailKind.DIGEST: LinkTerms(where=_WHERE),
    MailKind.WELCOME: LinkTerms(_ANSWERS, frozenset(), _WHERE),
}


def link_terms(mail_kind: str) -> LinkTerms:
    """Which links a message has; of one that is no system mail, none of its own."""
    return _LINKS[MailKind(mail_kind)] if mail_kind else LinkTerms(where=_WHERE)


def mail_problems(playbook: Playbook) -> list[Problem]:
    """What keeps a playbook from being the system mail that it says it is."""
    problems = []
    lists, is_digest = _collecting(playbook), playbook.mail_kind == MailKind.DIGEST
    if lists and not is_digest:
        problems.append(Problem("slots", f"Only a digest shows what was collected: take the list “{COLLECTED}” out"))
    if is_digest and lists != [(0, True)]:
        why = (
            f"A digest shows what was collected: give one slot, as its first tier, the list “{COLLECTED}”, without a "
            "rule, and not as a personal or category tier, which some people don't want"
        )
        problems.append(Problem("slots", why))
    if not playbook.mail_kind:
        return problems
    asked_for = playbook.mail_kind not in (MailKind.WELCOME, MailKind.DIGEST)
    if playbook.audience.rule != EVERYBODY:
        why = "System mail goes to whoever it is wanted for: choose an audience of everybody"
        problems.append(Problem("audience", why))
    if any(step.get("kind") != "message" for _, step in steps_walk(playbook.steps)) or len(playbook.steps) > 1:
        problems.append(Problem("steps", "System mail is one message and nothing else: take the other steps out"))
    if playbook.purpose.needs_consent == asked_for:
        why = (
            "Somebody asked for this mail, so it needs no consent: choose a purpose that needs none"
            if asked_for
            else "A welcome or a digest is marketing: choose a purpose that people agree to"
        )
        problems.append(Problem("purpose", why))
    if asked_for and playbook.cap_count is not None:
        problems.append(Problem("cap_count", "Who asked for this mail waits for it: take the cap out"))
    if asked_for and playbook.quiet_start is not None:
        problems.append(Problem("quiet_start", "Who asked for this mail waits for it: take the quiet hours out"))
    return problems


def _collecting(playbook: Playbook) -> list[tuple[int, bool]]:
    """The tiers of its message that show what was collected: the place of each in its slot, and whether it is shown to
    everybody for whom something was."""
    messages = [step["slots"] for _, step in steps_walk(playbook.steps) if step.get("kind") == "message"]
    slots = messages[0] if messages else playbook.slots
    if not isinstance(slots, dict):
        return []
    return [
        (place, tier.get("when") is None and tier.get("tier") not in PERSONAL)
        for tiers in slots.values()
        if isinstance(tiers, list)
        for place, tier in enumerate(tiers)
        if isinstance(tier, dict) and tier.get("source") == COLLECTED
    ]


def mail_published(mail_kind: str) -> PlaybookVersion | None:
    """The version that goes out as a system mail, None where there is none."""
    found = PlaybookVersion.objects.filter(state=PlaybookVersion.State.PUBLISHED, mail_kind=mail_kind)
    return found.select_related("playbook").first()


def mails_missing() -> list[Playbook.Mail]:
    """Kinds of system mail that nothing is published for."""
    there = PlaybookVersion.objects.filter(state=PlaybookVersion.State.PUBLISHED).exclude(mail_kind="")
    known = set(there.values_list("mail_kind", flat=True))
    return [kind for kind in Playbook.Mail if kind.value not in known]
