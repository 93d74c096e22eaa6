"""What consent holds: its part in exports, erasures and the register. Consent lies below this app."""

from collections.abc import Iterator

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import (
    AddressVerdict,
    ConsentPending,
    ConsentRecord,
    ConsentState,
    Gate,
    Preference,
    PreferenceChange,
    Suppression,
)
from apps.data.consent.models import ConsentLink as ChainLink
from apps.data.consent.services import consent_withdraw, suppression_add
from apps.data.consent.verdicts import verdicts_forget
from apps.data.profiles.models import REACHED_BY, Identifier
from apps.foundation.core.signing import address_digests

from .registry import (
    Because,
    Forgotten,
    Person,
    Phase,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)

_NO_PERSONAL_DATA = "Who chose what and when, by number only: that choices were honoured must be shown (Art. 17(3)(e))."


def _states(profile_id: int) -> Iterator[Row]:
    states = ConsentState.objects.filter(profile_id=profile_id).select_related("purpose")
    for one in states.order_by("purpose__position", "channel"):
        yield {
            "purpose": one.purpose.name,
            "channel": one.get_channel_display(),
            "agreed": one.granted,
            "since": one.changed_at,
        }


def _records(profile_id: int) -> Iterator[Row]:
    records = ConsentRecord.objects.filter(profile_id=profile_id).select_related("purpose")
    for one in records.order_by("pk").iterator(chunk_size=500):
        yield {
            "purpose": one.purpose.name,
            "channel": one.get_channel_display(),
            "what": one.get_action_display(),
            "how": one.get_method_display(),
            "where": one.source,
            "evidence": one.evidence,
            "lawful_basis": one.get_lawful_basis_display(),
            "wording": one.wording_digest,
            "language": one.locale,
            "policy_version": one.policy_version,
            "jurisdiction": one.jurisdiction,
            "browser_signal": one.gpc,
            "confirmation": one.confirmation,
            "when": one.occurred_at,
            "written_down": one.recorded_at,
        }


def _suppressions(profile_id: int) -> Iterator[Row]:
    digests = Identifier.objects.filter(profile_id=profile_id).values("digest")
    for one in Suppression.objects.filter(digest__in=digests).order_by("pk"):
        yield {"kind": one.kind, "why": one.get_reason_display(), "since": one.created_at}


def _verdicts(profile_id: int) -> Iterator[Row]:
    digests = Identifier.objects.filter(profile_id=profile_id).values("digest")
    for one in AddressVerdict.objects.filter(digest__in=digests).order_by("looked_at"):
        yield {"verdict": one.get_verdict_display(), "why": one.get_code_display(), "when": one.looked_at}


def _verdicts_erase(person: Person) -> Forgotten:
    """Of an address that somebody else has too it is found anew before the next send."""
    digests = [
        digest for kind, value in person.identifiers if kind == "email" for digest in address_digests(kind, value)
    ]
    count, _kinds = AddressVerdict.objects.filter(digest__in=digests).delete()
    return Forgotten(count)


def _preferences(profile_id: int) -> Iterator[Row]:
    for one in Preference.objects.filter(profile_id=profile_id):
        hours = [hour.isoformat("minutes") for hour in (one.quiet_start, one.quiet_end) if hour is not None]
        yield {
            "topics_off": one.topics_off,
            "channels_off": one.channels_off,
            "interests": one.interests,
            "frequency": one.get_frequency_display(),
            "quiet_hours": " – ".join(hours),
            "time_zone": one.time_zone,
            "language": one.language,
            "paused_until": one.paused_until,
            "changed": one.changed_at,
        }


def _preference_changes(profile_id: int) -> Iterator[Row]:
    changes = PreferenceChange.objects.filter(profile_id=profile_id).order_by("pk")
    for one in changes.iterator(chunk_size=500):
        yield {
            "when": one.changed_at,
            "what": one.get_kind_display(),
            "of": one.subject,
            "before": one.before,
            "after": one.after,
            "how": one.get_method_display(),
            "where": one.source,
        }


def _forget(person: Person) -> Forgotten:
    """What they chose beside consent."""
    count, _kinds = Preference.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(count, "Codes of what was changed when (topics, hours), by number: a log that can't be changed.")


def _suppress(person: Person) -> Forgotten:
    """The addresses get nothing any more, whoever will hold them: also after a new import."""
    reachable = [(kind, value) for kind, value in person.identifiers if kind in REACHED_BY]
    for kind, value in reachable:
        suppression_add(kind=kind, value=value, reason=Suppression.Reason.ERASURE)
    return Forgotten(
        0,
        "A keyed digest of each address, so that nothing is ever sent there again (Art. 17(3)(b), Art. 21(3))."
        if reachable
        else "",
    )


def _withdraw(person: Person) -> Forgotten:
    granted = ConsentState.objects.filter(profile_id=person.profile_id, granted=True).order_by("purpose_id", "channel")
    count = sum(
        consent_withdraw(
            profile_id=person.profile_id,
            purpose=purpose,
            channel=channel,
            method=ConsentRecord.Method.STAFF,
            source="erasure",
        )
        for purpose, channel in granted.values_list("purpose_id", "channel")
    )
    return Forgotten(count, _NO_PERSONAL_DATA)


def consents_register() -> None:
    """Say what consent holds."""
    export_part(
        "consents",
        _("What you agreed to"),
        _states,
        words={"purpose": _("What for"), "channel": _("By"), "agreed": _("Agreed"), "since": _("Since")},
    )
    export_part(
        "consent_records",
        _("Each time you agreed or withdrew"),
        _records,
        words={
            "purpose": _("What for"),
            "channel": _("By"),
            "what": _("What"),
            "how": _("How"),
            "where": _("Where"),
            "evidence": _("Evidence"),
            "lawful_basis": _("Lawful basis"),
            "wording": _("Digest of the wording"),
            "language": _("Language"),
            "policy_version": _("Version of the policy"),
            "jurisdiction": _("Whose law applied"),
            "browser_signal": _("Signal of the browser (GPC)"),
            "confirmation": _("Confirmation"),
            "when": _("When"),
            "written_down": _("Written down"),
        },
    )
    export_part(
        "suppressions",
        _("Addresses of yours that get nothing"),
        _suppressions,
        words={"kind": _("Kind"), "why": _("Why"), "since": _("Since")},
    )
    export_part(
        "address_verdicts",
        _("What your addresses were found to be"),
        _verdicts,
        words={"verdict": _("Found"), "why": _("Why"), "when": _("When")},
    )
    export_part(
        "preferences",
        _("What you chose"),
        _preferences,
        words={
            "topics_off": _("Topics that are off"),
            "channels_off": _("Ways that are off"),
            "interests": _("Interests"),
            "frequency": _("How often"),
            "quiet_hours": _("Quiet hours"),
            "time_zone": _("Time zone"),
            "language": _("Language"),
            "paused_until": _("Paused until"),
            "changed": _("Last changed"),
        },
    )
    export_part(
        "preference_changes",
        _("Each time you changed a choice"),
        _preference_changes,
        words={
            "when": _("When"),
            "what": _("What"),
            "of": _("Of"),
            "before": _("Before"),
            "after": _("After"),
            "how": _("How"),
            "where": _("Where"),
        },
    )
    erase_step("choices", _forget, title="What they chose beside consent")
    erase_step("address_verdicts", _verdicts_erase, title="What was found of their addresses")
    retention_rule(
        "address_verdicts", "What e-mail addresses were found to be", "ADDRESS_VERDICT_KEEP_DAYS", verdicts_forget
    )
    erase_step("suppress", _suppress, title="Their addresses are suppressed", phase=Phase.STOP)
    erase_step("withdraw", _withdraw, title="What they agreed to is withdrawn", phase=Phase.STOP)
    basis = "legal obligation (GDPR, Article 7(1)); legitimate interest"
    proof = Because("Kept: it shows that choices were honoured. No address or name is in it.")
    stays = Because("Nothing personal is left in it once the person is erased: a number and dates, in a signed chain.")
    for model, categories, exported in (
        (ConsentRecord, ("who agreed to what, when, where and how",), "consent_records"),
        (ConsentState, ("what holds now",), "consents"),
    ):
        processing_declare(
            model,
            purpose="Honouring what people agreed to and withdrew, and being able to show it",
            lawful_basis=basis,
            categories=categories,
            recipients=("systems of ours that are told of changes by webhook",),
            kept=proof,
            exported=exported,
            erased="withdraw" if model is ConsentState else stays,
        )
    inner: tuple[type[Model], ...] = (ChainLink, ConsentPending, Gate)
    for part in inner:
        processing_declare(
            part,
            purpose="Keeping the consent ledger whole, and its order",
            lawful_basis=basis,
            categories=("numbers of records and people",),
            kept=proof,
            exported=Because("It says nothing of the person that the records themselves don't."),
            erased=stays,
        )
    processing_declare(
        Suppression,
        purpose="Sending nothing to addresses that must not get any",
        lawful_basis="legal obligation (GDPR, Article 21(3))",
        categories=("keyed digest of the address", "reason"),
        kept=Because("Kept for good: it must outlive the person's profile. It can't be read back."),
        exported="suppressions",
        erased=Because("It is what an erasure leaves on purpose, so that a new import can't bring messages back."),
    )
    processing_declare(
        AddressVerdict,
        purpose="Not writing to addresses that can't work or are traps, and learning nothing from them",
        lawful_basis="legitimate interest",
        categories=("keyed digest of the address", "what it was found to be, and when"),
        kept="address_verdicts",
        exported="address_verdicts",
        erased="address_verdicts",
    )
    processing_declare(
        Preference,
        purpose="Sending what people chose, how often and when they want it",
        lawful_basis="contract; legitimate interest",
        categories=("topics, channels, interests, frequency, quiet hours, time zone, language, pause",),
        kept=Because("Kept for as long as the person is known."),
        exported="preferences",
        erased="choices",
    )
    processing_declare(
        PreferenceChange,
        purpose="Letting people undo what they changed, and explaining why something came or did not",
        lawful_basis="legitimate interest; legal obligation (GDPR, Article 5(2))",
        categories=("which choice was changed when, as codes",),
        kept=Because("Kept for as long as the person is known; the log of it can't be changed."),
        exported="preference_changes",
        erased=Because("It can't be changed by design; codes of choices are left, for a number that is nobody's."),
    )
