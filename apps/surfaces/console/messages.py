"""One message, or the decision not to send one: as it was sent, and why it looks so."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

from django.utils.translation import gettext as _

from apps.data.consent.models import ConsentRecord
from apps.data.profiles.addresses import value_mask
from apps.data.profiles.attributes import sensitive_names
from apps.data.profiles.models import Profile
from apps.decisioning.decisions.digests import DigestTold, PieceTold, digest_told
from apps.decisioning.decisions.replay import Replay, decision_replay
from apps.decisioning.decisions.selectors import ERASED, Explanation, SlotExplained, decision_explain
from apps.decisioning.playbooks.models import PlaybookVersion, Run
from apps.delivery.sending.models import DeliveryAttempt, Message, MessageEvent
from apps.delivery.sending.rendering import message_again
from apps.foundation.core.errors import DomainError, PermanentError
from apps.foundation.core.signing import BadToken
from apps.foundation.governance.models import Approval
from apps.foundation.governance.selectors import review_of

from .reviews import role_title
from .words import BOUNCES, HEARD, MACHINES, OUTCOMES, REPLAYED, reason_in_words, state_in_words

HEARD_MOST = 50
"""Of what came back, how much the page shows."""
SOURCE_LIMIT = 300_000
"""Characters of the source that the page shows."""

_ACTING_LINK = re.compile(r"(/[upcxalnb]/[A-Za-z0-9]{1,20}\.)[A-Za-z0-9_=-]{20,}")
"""The token of a link by which the person acts, or that tells that they did."""


@dataclass(frozen=True, slots=True)
class AsSent:
    """The message rendered again, to the very bytes that were handed over: others are never shown.

    The tokens of its links are cut: who may read a message may not therefore choose for the person.
    """

    to: str
    subject: str
    html: str
    text: str
    headers: Sequence[tuple[str, str]]
    source: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand it over."""

    number: int
    started_at: datetime
    finished_at: datetime | None
    words: str
    code: str
    response: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that came back of it."""

    at: datetime
    words: str
    details: str


@dataclass(frozen=True, slots=True)
class MessageShown:
    """All that the page of a message shows. problem: why it can't be rendered again, else ""."""

    id: UUID
    run: Run
    version: PlaybookVersion
    profile: Profile
    message: Message | None
    state: str
    state_words: str
    reason: str
    reason_words: str
    explanation: Explanation
    digest: DigestTold
    again: Replay
    as_sent: AsSent | None
    problem: str
    attempts: Sequence[Attempt]
    heard: Sequence[Heard]
    consent: ConsentRecord | None
    agreed: Sequence[tuple[str, Approval]]

    @property
    def again_words(self) -> str:
        """What came of computing the decision again, in words."""
        return str(REPLAYED[self.again.state])

    @property
    def erased(self) -> bool:
        """Whether the person was erased, and the message with them."""
        return self.explanation.gone == ERASED

    @property
    def digest_reason(self) -> str:
        """Why a digest left it out, in words, "" where none did."""
        return reason_in_words(self.digest.reason) if self.digest.reason else ""

    @property
    def pieces(self) -> list[tuple[PieceTold, str]]:
        """For a digest, what was collected, each with why it was left out, in words, "" where it is shown."""
        return [(piece, reason_in_words(piece.reason) if piece.reason else "") for piece in self.digest.pieces]

    @property
    def chosen(self) -> list[SlotExplained]:
        """Slots for which there was something to choose."""
        return [slot for slot in self.explanation.slots if slot.passed_over or slot.rule != "always"]

    @property
    def fixed(self) -> list[SlotExplained]:
        """Slots that look the same for everybody."""
        return [slot for slot in self.explanation.slots if slot not in self.chosen]


def message_shown(decision_id: UUID, *, whole: bool = True, sensitive: bool = True) -> MessageShown:
    """The page of a decision and of its message, where there is one. whole: its address as it is, else masked.

    sensitive: for somebody who may see sensitive attributes; for others a message that prints one is not made again.

    Raises NotFound.
    """
    hidden = set() if sensitive else sensitive_names()
    explanation = decision_explain(decision_id, masked=hidden)
    run = Run.objects.select_related("playbook", "version", "version__published_by").get(pk=explanation.run_id)
    message = Message.objects.filter(pk=decision_id).first()
    state, reason = ("withheld", explanation.outcome) if explanation.outcome != "send" else ("decided", "")
    as_sent, problem = None, ""
    if message is not None:
        state, reason = message.state, message.reason
        if hidden.intersection(name for name, value in explanation.values.items() if value):
            problem = "It shows a sensitive attribute of the person, which your role may not see."
        elif message.content_digest:
            as_sent, problem = _again(message, whole=whole)
    return MessageShown(
        id=decision_id,
        run=run,
        version=run.version,
        profile=Profile.objects.get(pk=explanation.profile_id),
        message=message,
        state=state,
        state_words=state_in_words(state),
        reason=reason,
        reason_words=reason_in_words(reason) if reason else "",
        explanation=explanation,
        digest=digest_told(decision_id),
        again=decision_replay(decision_id),
        as_sent=as_sent,
        problem=problem,
        attempts=[_attempt(attempt) for attempt in message.delivery_attempts.order_by("number")] if message else [],
        heard=[_heard(event) for event in message.events.order_by("occurred_at", "pk")[:HEARD_MOST]] if message else [],
        consent=_consent(run, explanation, message),
        agreed=_agreed(run.version),
    )


def _again(message: Message, *, whole: bool) -> tuple[AsSent | None, str]:
    try:
        source = message_again(message.pk)
    except (DomainError, PermanentError) as error:
        return None, error.message
    except BadToken:
        return None, "The key that signed its links is gone, so it can't be made again."
    parsed = message_from_bytes(source, policy=policy.default)
    digest = hashlib.sha256(source).hexdigest()
    address = str(parsed["To"] or "")
    masked = address if whole else value_mask("email", address)

    def plain(text: str) -> str:
        return _tokens_cut(text.replace(address, masked) if address else text)

    headers = [(name, plain(str(value))) for name, value in parsed.items()]
    return (
        AsSent(
            to=masked,
            subject=plain(str(parsed["Subject"] or "")),
            html=plain(_part(parsed, "html")),
            text=plain(_part(parsed, "plain")),
            headers=headers,
            source=plain(_source(headers, parsed))[:SOURCE_LIMIT],
            digest=digest,
            size=len(source),
        ),
        "",
    )


def _part(parsed: EmailMessage, kind: str) -> str:
    part = parsed.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def _tokens_cut(text: str) -> str:
    return _ACTING_LINK.sub(r"\1…", text)


def _source(headers: Sequence[tuple[str, str]], parsed: EmailMessage) -> str:
    """The message as text, each part decoded: in base64 nobody could read it."""
    lines = [f"{name}: {value}" for name, value in headers]
    for part in parsed.walk():
        if not part.is_multipart():
            lines += ["", f"--- {part['Content-Type']}", "", str(part.get_content())]
    return "\n".join(lines)


def _attempt(attempt: DeliveryAttempt) -> Attempt:
    return Attempt(
        number=attempt.number,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        words=str(OUTCOMES.get(attempt.outcome, attempt.outcome)),
        code=attempt.code,
        response=attempt.response,
    )


def _heard(event: MessageEvent) -> Heard:
    said = [
        str(BOUNCES.get(event.bounce, "")),
        event.reason.replace("_", " ") if event.bounce else "",
        event.code,
        event.response,
        _("link {number}").format(number=event.link) if event.link else "",
        str(MACHINES.get(event.machine, event.machine)),
    ]
    return Heard(
        at=event.occurred_at,
        words=str(HEARD.get(event.kind, event.kind)),
        details=" · ".join(part for part in said if part),
    )


def _consent(run: Run, explanation: Explanation, message: Message | None) -> ConsentRecord | None:
    """What the ledger said when the gate was passed, or when it was decided where it never was."""
    asked_at = (message.sending_at if message is not None else None) or explanation.decided_at
    return (
        ConsentRecord.objects.select_related("purpose")
        .filter(
            profile_id=explanation.profile_id,
            purpose_id=run.version.spec["purpose"],
            channel=run.version.spec["channel"],
            recorded_at__lte=asked_at,
        )
        .order_by("-occurred_at", "-pk")
        .first()
    )


def _agreed(version: PlaybookVersion) -> list[tuple[str, Approval]]:
    review = review_of(version)
    if review is None:
        return []
    return [
        (role_title(approval.role), approval) for approval in review.approvals.all() if approval.verdict == "approve"
    ]
