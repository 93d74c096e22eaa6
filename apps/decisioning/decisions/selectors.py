"""Reads about decisions: for delivery, for the sweeper, and for people who ask why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.data.consent.models import AddressVerdict, Purpose
from apps.data.profiles.mail import mail_addresses
from apps.data.profiles.merging import family_of
from apps.data.profiles.vault import Tampered
from apps.decisioning.audiences.rules import rule_parse, rule_reading
from apps.decisioning.content.choosing import COLLECTED
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.playbooks.contracts import PlaybookSpec, TierSpec
from apps.decisioning.playbooks.models import MailWant, Run, RunBatch
from apps.decisioning.playbooks.rules import PRIORITY, SOURCES, TIERS
from apps.decisioning.playbooks.services import run_deadline
from apps.decisioning.playbooks.steps import ONLY, message_spec, step_title
from apps.foundation.core.clock import now
from apps.foundation.core.errors import NotFound
from apps.foundation.core.masking import MASK

from .contracts import DispatchTerms, Occasion
from .engine import CONTACT_LIMIT, DIGEST, DIGEST_CHANGED, DIGEST_EMPTY, ITEM_LIMIT, OUTRANKED, SEND, Verdict
from .keeping import propensity
from .models import Decision
from .sealing import Kept, decisions_open

_QUIET = timedelta(seconds=20)
"""A run on which nothing happened for so long is woken again."""

OUTCOMES: dict[str, str] = {
    SEND: "to be sent",
    "no_consent": "never agreed to this",
    "withdrawn": "withdrew their consent",
    "wording_outdated": "agreed to an older text, and was not asked again yet",
    "suppressed": "the address is suppressed",
    "invalid_address": "no usable address",
    "restricted": "their data may only be kept for now",
    "channel_off": "wants nothing by this channel",
    "topic_off": "does not want this topic",
    "paused": "paused messages for a while",
    "frequency_cap": "had enough messages lately",
    "holdout": "held out, to see what messages bring",
    "not_in_audience": "not in the audience",
    "open_ticket": "waits for help: a support ticket is open",
    CONTACT_LIMIT: "had enough messages of all kinds lately",
    ITEM_LIMIT: "it shows an item that they were shown often enough",
    OUTRANKED: "a more important message waits for them, and a cap lets one through",
    "quiet_hours": "quiet hours that end too late",
    "too_late": "it was too late to send it",
    DIGEST: "kept for their digest",
    DIGEST_EMPTY: "nothing of what was collected can be shown any more",
    DIGEST_CHANGED: "a topic in it was switched off meanwhile; the rest comes in another digest",
    "digest_full": "other pieces came first in the digest",
    "out_of_date": "what it shows is over, or not there any more",
    "cancelled": "its run was cancelled",
    "unreadable": "what it was made of can't be read any more",
}
"""Outcomes and their words for people."""

ERASED = "The person was erased, and with them what it was decided from. Nobody can read that any more."
TAMPERED = "What it was decided from does not open: the row was changed, or moved, by somebody in the database."


def dispatch_terms(*, run_id: int) -> DispatchTerms:
    """The terms of a run for delivery. Raises NotFound."""
    run = Run.objects.select_related("version").filter(pk=run_id).first()
    if run is None:
        raise NotFound("run_unknown", "There is no such run")
    spec: PlaybookSpec = run.version.spec
    brand, cap = spec["brand"], spec["cap"]
    return DispatchTerms(
        run_id=run.pk,
        label=", ".join(filter(None, (spec["name"], step_title(spec, run.step), run.occasion_key))),
        occasion=f"playbook:{run.playbook_id}:{run.step or ONLY}:{spec['channel']}:{run.occasion_key}",
        purpose=spec["purpose"],
        topic=spec.get("topic", ""),
        mail_kind=spec.get("mail_kind", ""),
        needs_consent=_needs_consent(spec["purpose"]),
        channel=spec["channel"],
        from_name=brand["from_name"],
        from_email=brand["from_email"],
        reply_to=brand["reply_to"],
        link_hosts=tuple(brand["link_hosts"]),
        cap_count=None if cap is None else cap["count"],
        cap_days=None if cap is None else cap["days"],
        not_after=run_deadline(run),
        cancelled=run.state == Run.State.CANCELLED,
        priority=spec.get("priority", PRIORITY),
        hours=_hours(spec),
    )


def _hours(spec: PlaybookSpec) -> dict[str, Any] | None:
    """When messages of a spec may go out, None for always."""
    quiet, days = spec.get("quiet"), spec.get("send_days", [])
    return {"quiet": quiet, "days": days, "zone": spec.get("time_zone", "")} if quiet or days else None


def occasion_of(*, message_id: UUID, profile_id: int) -> Occasion | None:
    """What the system mail with this id was about; None for another message, and for somebody else's."""
    numbers = family_of(profile_id)
    wanted = MailWant.objects.filter(
        profile_id__in=numbers, run__in=Decision.objects.filter(pk=message_id, profile_id__in=numbers).values("run")
    )
    found = wanted.values_list("kind", "key").first()
    return None if found is None else Occasion(*found)


def addresses_elsewhere(*, mail_kind: str, message_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The addresses that messages of a system mail go to which goes elsewhere than to main addresses, normalized.

    Without those that should not go out any more (`profiles.mail.mail_goes_elsewhere`).
    """
    about = {}
    of_people = Decision.objects.filter(pk__in=list(message_ids)).values_list("pk", "run", "profile")
    wants = {
        (run, profile): key
        for run, profile, key in MailWant.objects.filter(
            kind=mail_kind, run__in={row[1] for row in of_people}, profile__in={row[2] for row in of_people}
        ).values_list("run", "profile", "key")
    }
    for message_id, run, profile in of_people:
        if (run, profile) in wants:
            about[message_id] = (profile, wants[run, profile])
    found = mail_addresses(mail_kind, list(about.values()))
    return {message_id: found[one] for message_id, one in about.items() if one in found}


def runs_unplanned() -> list[int]:
    """Runs whose audience was not put down yet, though there was time."""
    return list(
        Run.objects.filter(state=Run.State.PLANNING, created_at__lt=now() - _QUIET).values_list("pk", flat=True)
    )


def runs_undecided() -> list[int]:
    """Runs that could go on and on which nothing happened for a while."""
    quiet_since = now() - _QUIET
    return list(
        Run.objects.filter(state=Run.State.DECIDING, created_at__lt=quiet_since)
        .exclude(~Exists(_open_batches()) & Exists(RunBatch.objects.filter(run=OuterRef("pk"), decided_at=None)))
        .exclude(Exists(RunBatch.objects.filter(run=OuterRef("pk"), decided_at__gt=quiet_since)))
        .values_list("pk", flat=True)
    )


def _open_batches() -> QuerySet[RunBatch]:
    """Those of a run that could be decided now; the others wait for the end of quiet hours."""
    due = Q(not_before=None) | Q(not_before__lte=now())
    return RunBatch.objects.filter(due, run=OuterRef("pk"), decided_at=None)


def _needs_consent(purpose: str) -> bool:
    return Purpose.objects.values_list("needs_consent", flat=True).get(pk=purpose)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A tier that was asked and did not hold, with the value that lost, in words."""

    name: str
    tier: str
    block: str
    why: str


@dataclass(frozen=True, slots=True)
class SlotExplained:
    """One slot: what it shows, by which rule, and what was passed over before that.

    rule: what the tier wanted, in words; why: the values that met it, in words; items: titles shown.
    """

    slot: str
    name: str
    tier: str
    block: str
    rule: str
    why: str
    items: tuple[str, ...]
    passed_over: tuple[PassedOver, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person got what they got, or nothing. Everything a page needs, in plain words.

    gone: why there is no more to say than outcome and tier, "" when all that was kept is told; propensity: the chance
    with which they got this outcome, from 0 to 1, as it was before their lot was drawn; None where that can't be said.
    """

    decision_id: UUID
    profile_id: int
    run_id: int
    run: str
    playbook_id: int
    version: str
    version_id: int
    version_digest: str
    compiled_id: int | None
    as_of: datetime
    decided_at: datetime
    outcome: str
    propensity: float | None
    summary: str
    language: str
    language_note: str
    tier: str
    recommendation_set: int | None
    values: dict[str, Any]
    slots: tuple[SlotExplained, ...]
    gone: str


def decision_explain(decision_id: UUID | str, *, masked: Collection[str] = ()) -> Explanation:
    """Read a decision out: which version, which rule, which tier, what was passed over and by which value.

    masked: attributes of which it is only said that they are known. Raises NotFound.
    """
    decision = Decision.objects.select_related("run__version__playbook", "run__playbook").filter(pk=decision_id).first()
    if decision is None:
        raise NotFound("decision_unknown", "There is no such decision")
    run, version = decision.run, decision.run.version
    spec = message_spec(version.spec, run.step)
    verdict, seen, gone = _verdict(decision)
    verdict = replace(verdict, inputs=_masked(verdict.inputs, masked), reasons=_masked(verdict.reasons, masked))
    return Explanation(
        decision_id=decision.pk,
        profile_id=decision.profile_id,
        run_id=run.pk,
        run=str(run),
        playbook_id=run.playbook_id,
        version=str(version),
        version_id=version.pk,
        version_digest=version.digest,
        compiled_id=decision.compiled_id,
        as_of=run.as_of,
        decided_at=decision.decided_at,
        outcome=decision.outcome,
        propensity=None if seen is None else propensity(spec, seen, decision.outcome),
        summary=verdict_summary(verdict),
        language=verdict.inputs.get("language", ""),
        language_note=language_note(spec, verdict),
        tier=TIERS.get(decision.tier, decision.tier),
        recommendation_set=verdict.reasons.get("set"),
        values=verdict.inputs.get("profile", {}),
        slots=slots_explain(spec, verdict),
        gone=gone,
    )


def _masked(told: Any, names: Collection[str]) -> Any:
    """What a decision keeps, without the values of these attributes: as inputs, and as what rules looked at."""
    if isinstance(told, list):
        return [_masked(one, names) for one in told]
    if not isinstance(told, dict):
        return told
    known = {key: _masked(value, names) for key, value in told.items()}
    if known.get("field") in names and known.get("is") is not None:
        known["is"] = MASK
    if isinstance(profile := known.get("profile"), dict):
        known["profile"] = {name: MASK if name in names and value else value for name, value in profile.items()}
    return known


def _verdict(decision: Decision) -> tuple[Verdict, dict[str, Any] | None, str]:
    """What was decided and looked at, as far as it can be read, and why not all of it can."""
    try:
        found, gone = decisions_open([decision])[decision.pk], ERASED
    except Tampered:
        found, gone = None, TAMPERED
    kept, gone = (Kept(), gone) if found is None else (found, "")
    verdict = Verdict(decision.outcome, decision.compiled_id, decision.tier, kept.inputs, kept.reasons)
    return verdict, kept.seen, gone


def language_note(spec: PlaybookSpec, decided: Verdict) -> str:
    """That a message does not come in the person's own language, "" when it does."""
    wanted = decided.reasons.get("language", "")
    return f"They speak {wanted}; the message comes in {', '.join(spec['languages'])}." if wanted else ""


def verdict_summary(decision: Verdict) -> str:
    """What was decided and why, in a sentence."""
    if decision.outcome == SEND:
        return f"Decided to send; answered by the {TIERS.get(decision.tier, decision.tier)} tier."
    if cap := decision.reasons.get("cap"):
        return f"Withheld: got {cap['got']} within {cap['days']} days already, and at most {cap['count']} are allowed."
    if decision.reasons.get("gate") == "no answer":
        return "Withheld: the gate gave no answer, and then nothing is sent."
    if fault := decision.reasons.get("address"):
        return (
            f"Withheld: the address was looked at before, and is no good: {dict(AddressVerdict.Code.choices)[fault]}."
        )
    if limit := decision.reasons.get("limit"):
        of = "" if limit["of"] == "all" else f" ({limit['of']})"
        return (
            f"Withheld: got {limit['got']} within {limit['days']} days already{of}, and at most {limit['count']} are"
            " allowed to one person."
        )
    if held := decision.reasons.get("holdout"):
        of = "all playbooks" if held["of"] == "everything" else "this playbook"
        return f"Withheld: held out of {of}, with {held['percent']:g}% of people, to see what messages bring."
    if isinstance(audience := decision.reasons.get("audience"), list):
        return f"Withheld: not in the audience: {_leaves(audience)}."
    if decision.outcome == DIGEST:
        return "Kept for the digest that they chose."
    return f"Withheld: {OUTCOMES.get(decision.outcome, decision.outcome)}."


def slots_explain(spec: PlaybookSpec, decision: Verdict) -> tuple[SlotExplained, ...]:
    """Slot by slot, what is shown and what was passed over, in words. Nothing for somebody who gets nothing."""
    chosen: dict[str, Any] = decision.inputs.get("slots", {})
    blocks = {
        version.pk: str(version)
        for version in BlockVersion.objects.select_related("block").filter(
            pk__in={tier["block_version"] for tiers in spec["slots"].values() for tier in tiers}
        )
    }
    explained = []
    for slot in sorted(chosen):
        reason = decision.reasons.get("slots", {}).get(slot, {})
        tiers = spec["slots"][slot]
        tier = tiers[reason.get("at", 0)]
        explained.append(
            SlotExplained(
                slot=slot,
                name=tier["name"],
                tier=TIERS.get(tier["tier"], tier["tier"]),
                block=blocks.get(tier["block_version"], ""),
                rule=_wanted(tier),
                why=_leaves(reason.get("why", [])),
                items=tuple(item["title"] for item in chosen[slot].get("items", [])),
                passed_over=tuple(
                    PassedOver(
                        name=lost["name"],
                        tier=TIERS.get(lost["tier"], lost["tier"]),
                        block=blocks.get(lost["block_version"], ""),
                        why=_lost(lost, why),
                    )
                    for lost, why in zip(tiers, reason.get("no", []), strict=False)
                ),
            )
        )
    return tuple(explained)


def _wanted(tier: TierSpec) -> str:
    """What a tier wants, in words; "always" for a static one."""
    parts = []
    if tier["when"] is not None:
        parts.append(rule_reading(rule_parse(tier["when"])))
    if tier["source"] is not None:
        count = f"at most {tier['count']}" if tier["source"] == COLLECTED else str(tier["count"])
        parts.append(f"{count} items {SOURCES[tier['source']]}")
    return " and ".join(parts) or "always"


def _lost(tier: TierSpec, why: Any) -> str:
    if isinstance(why, list):
        return _leaves(why)
    if "consent" in why:
        return "they don't want what they are shown to be chosen by what they did"
    if "valid" in why:
        return f"its block is valid {why['valid']}"
    if "items" in why:
        return f"{tier['source']}: only {why['items']} of {why['of']} items"
    return "nothing is known of them"


def _leaves(leaves: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{leaf['field']} is {_said(leaf['is'])}, wanted: {leaf['wanted']}" for leaf in leaves)


def _said(value: Any) -> str:
    if value is None or value == "":
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def made_by_model(decision: Decision) -> tuple[bool, bool]:
    """Whether a model chose what the message's leading slot shows, and whether one wrote words in the message."""
    spec = message_spec(decision.run.version.spec, decision.run.step)
    shown = [tier for tiers in spec["slots"].values() for tier in tiers if tier["tier"] == decision.tier]
    versions = [tier["block_version"] for tier in shown]
    written = BlockVersion.objects.filter(pk__in=versions, written_by_model=True).exists()
    return any(tier.get("chosen", False) for tier in shown), written
