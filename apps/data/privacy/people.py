"""What profiles hold: its part in exports, erasures and the register. Profiles lie below this app."""

from collections.abc import Iterator

from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.data.profiles.addresses import identifiers_read
from apps.data.profiles.attributes import attributes_read, shapes_read
from apps.data.profiles.changes import changes_forget
from apps.data.profiles.merging import merges_forget
from apps.data.profiles.models import (
    Change,
    ChangePending,
    Identifier,
    LinkAsked,
    Merge,
    MergeCandidate,
    Profile,
    ProfileKey,
    SealedAttribute,
    label_of,
)
from apps.data.profiles.vault import key_destroy
from apps.foundation.core.clock import now

from .address_changes import address_changes_forget, address_of
from .exporting import exports_forget, exports_of_person_remove
from .models import AddressChange, ExportFile, RightsRequest
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
from .services import requests_forget

_ABOUT = {
    "first_name": _("First name"),
    "last_name": _("Last name"),
    "country": _("Country"),
    "language": _("Language"),
    "time_zone": _("Time zone"),
    "source": _("Where it came from"),
    "known_since": _("Known since"),
    "changed": _("Last changed"),
    "restricted_since": _("Restricted since"),
}
_KNOWN_BY = {
    "kind": _("Kind"),
    "value": _("Value"),
    "main": _("Messages go there"),
    "verified": _("Confirmed"),
    "source": _("Where it came from"),
    "since": _("Since"),
}


def person_read(profile_id: int) -> Person:
    """Whom an erasure is about, as far as still known."""
    names = Profile.objects.filter(pk=profile_id).values_list("first_name", "last_name").first() or ()
    identifiers = [(one.kind, one.value) for one in identifiers_read(profile_id=profile_id)]
    return Person(profile_id, identifiers, [name for name in names if name])


def _profile(profile_id: int) -> Iterator[Row]:
    profile = Profile.objects.get(pk=profile_id)
    yield {
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "country": profile.country,
        "language": profile.language,
        "time_zone": profile.time_zone,
        "source": profile.source,
        "known_since": profile.created_at,
        "changed": profile.updated_at,
        "restricted_since": profile.restricted_at,
    }


def _identifiers(profile_id: int) -> Iterator[Row]:
    for one in identifiers_read(profile_id=profile_id):
        yield {
            "kind": Identifier.Kind(one.kind).label,
            "value": one.value,
            "main": one.main,
            "verified": one.verified,
            "source": one.source,
            "since": one.since,
        }


def _attributes(profile_id: int) -> Iterator[Row]:
    """Each with its label in the language of the export; sensitive ones opened: it is the person's copy."""
    shapes, language = shapes_read(), get_language() or "en"
    for name, value in sorted(attributes_read(profile_id=profile_id).items()):
        shape = shapes.get(name)
        yield {"name": name, "label": label_of(name, {} if shape is None else shape.labels, language), "value": value}


def _requests(profile_id: int) -> Iterator[Row]:
    for one in RightsRequest.objects.filter(profile_id=profile_id).order_by("pk"):
        yield {
            "kind": one.get_kind_display(),
            "asked_at": one.asked_at,
            "due_at": one.due_at,
            "state": one.get_state_display(),
            "closed_at": one.closed_at,
        }


def _address_changes(profile_id: int) -> Iterator[Row]:
    for one in AddressChange.objects.filter(profile_id=profile_id).order_by("asked_at"):
        yield {
            "new": address_of(one, "new"),
            "old": address_of(one, "old"),
            "state": one.get_state_display(),
            "asked_at": one.asked_at,
            "confirmed_at": one.confirmed_at,
            "taken_back_at": one.taken_back_at,
        }


def _forget_address_changes(person: Person) -> Forgotten:
    return Forgotten(AddressChange.objects.filter(profile_id=person.profile_id).delete()[0])


def _forget_requests(person: Person) -> Forgotten:
    """What staff wrote about somebody may name them."""
    own = RightsRequest.objects.filter(profile_id=person.profile_id)
    count = own.exclude(actor=None).update(shown_by="looked at by staff", extended_because="")
    return Forgotten(count, "That and when each right was asked for and met: the law asks us to show it (Art. 5(2)).")


def _forget_profile(person: Person) -> Forgotten:
    """The row is emptied and stays, since the consent ledger refers to it; identifiers go."""
    at = now()
    gone, _kinds = Identifier.objects.filter(profile_id=person.profile_id).delete()
    sealed, _kinds = SealedAttribute.objects.filter(profile_id=person.profile_id).delete()
    merges_forget(person.profile_id)
    MergeCandidate.objects.filter(Q(first=person.profile_id) | Q(second=person.profile_id)).delete()
    Profile.objects.filter(pk=person.profile_id).update(
        first_name="",
        last_name="",
        country="",
        language="",
        time_zone="",
        attributes={},
        source="",
        restricted_at=None,
        erased_at=at,
        updated_at=at,
    )
    return Forgotten(gone + sealed + 1, "An empty row with a number and its dates, to which the consent ledger refers.")


def _destroy_key(person: Person) -> Forgotten:
    """What was sealed with it can't be read any more, wherever a copy of it lies."""
    exports_of_person_remove(person.profile_id)
    return Forgotten(int(key_destroy(person.profile_id)), "What it sealed, unreadable: decisions, and copies of them.")


def people_register() -> None:
    """Say what profiles and this app hold."""
    export_part("profile", _("About you"), _profile, words=_ABOUT)
    export_part("identifiers", _("How we know you"), _identifiers, words=_KNOWN_BY)
    export_part(
        "attributes",
        _("What else we know"),
        _attributes,
        words={"name": _("Name"), "label": _("What it is"), "value": _("Value")},
    )
    export_part(
        "requests",
        _("What you asked of your rights"),
        _requests,
        words={
            "kind": _("Right"),
            "asked_at": _("Asked"),
            "due_at": _("To be answered by"),
            "state": _("State"),
            "closed_at": _("Answered"),
        },
    )
    export_part(
        "address_changes",
        _("Changes of your address"),
        _address_changes,
        words={
            "new": _("New address"),
            "old": _("Old address"),
            "state": _("State"),
            "asked_at": _("Asked"),
            "confirmed_at": _("Confirmed"),
            "taken_back_at": _("Taken back"),
        },
    )
    erase_step("address_changes", _forget_address_changes, title="Changes of their address")
    erase_step("requests", _forget_requests, title="Notes of staff in their rights requests", phase=Phase.LAST)
    erase_step("profile", _forget_profile, title="Name, attributes, addresses and numbers", phase=Phase.LAST)
    erase_step("key", _destroy_key, title="Their key, and exports made for them", phase=Phase.LAST)
    retention_rule("exports", "Exports that were made and not fetched in time", "EXPORT_KEEP_DAYS", exports_forget)
    retention_rule("requests", "Rights requests that were answered", "RIGHTS_REQUEST_KEEP_DAYS", requests_forget)
    retention_rule(
        "address_changes",
        "Changes of an address, with the old one, from when nobody can take them back any more",
        "ADDRESS_CHANGE_KEEP_DAYS",
        address_changes_forget,
    )
    retention_rule("changes", "Places in the feed of changes", "CHANGE_KEEP_DAYS", changes_forget)
    known = Because("Kept for as long as the person is a customer, until they are erased.")
    processing_declare(
        Profile,
        purpose="Knowing customers, to write to them in their language and about what fits them",
        lawful_basis="contract; legitimate interest; consent for what is personalised",
        categories=("name", "country, language and time zone", "attributes that the shop brings"),
        kept=known,
        exported="profile",
        erased="profile",
    )
    processing_declare(
        Identifier,
        purpose="Reaching customers, and telling them apart",
        lawful_basis="contract; legitimate interest",
        categories=("e-mail address", "phone number", "customer number"),
        recipients=("the mail relay, which delivers messages",),
        kept=known,
        exported="identifiers",
        erased="profile",
    )
    processing_declare(
        Merge,
        purpose="Knowing one person as one, and undoing it where that was wrong",
        lawful_basis="legitimate interest; legal obligation (GDPR, Article 5(1)(d))",
        categories=("which profiles are one person, and why", "what each held before"),
        kept=known,
        exported=Because("What was merged is in the parts that it came to; both numbers of a person are exported."),
        erased="profile",
    )
    processing_declare(
        MergeCandidate,
        purpose="Finding out who is one person, and remembering who is not",
        lawful_basis="legitimate interest; legal obligation (GDPR, Article 5(1)(d))",
        categories=("which profiles are alike, how likely they are one, and in what they agree",),
        kept=known,
        exported=Because("It says that somebody may be somebody else, which would tell of another person."),
        erased="profile",
    )
    processing_declare(
        SealedAttribute,
        purpose="Knowing of customers what they or the shop said in confidence, sealed with each person's own key",
        lawful_basis="contract; consent, explicit where it is of a special category (GDPR, Article 9)",
        categories=("attributes that are defined as sensitive",),
        kept=known,
        exported="attributes",
        erased="profile",
    )
    for model in (Change, ChangePending):
        processing_declare(
            model,
            purpose="Telling other systems in order who changed",
            lawful_basis="legitimate interest",
            categories=("numbers of people, and which choice changed",),
            recipients=("systems whose clients an administrator gave the feed",),
            kept="changes",
            exported=Because("It repeats by number what the other parts tell."),
            erased=Because("It tells by number that somebody was erased, so that others forget them too (Art. 19)."),
        )
    processing_declare(
        RightsRequest,
        purpose="Meeting people's rights in time, and being able to show it",
        lawful_basis="legal obligation (GDPR, Articles 12 to 21)",
        categories=("kind, dates and state of each request",),
        kept="requests",
        exported="requests",
        erased="requests",
    )
    processing_declare(
        AddressChange,
        purpose="Changing the address of a person, so that nobody else can, and taking it back",
        lawful_basis="legal obligation (GDPR, Articles 16 and 32)",
        categories=("new and old e-mail address, sealed", "when it was asked for, confirmed and taken back"),
        recipients=("the mail relay, which delivers messages",),
        kept="address_changes",
        exported="address_changes",
        erased="address_changes",
    )
    processing_declare(
        ExportFile,
        purpose="Giving people a copy of their data",
        lawful_basis="legal obligation (GDPR, Articles 15 and 20)",
        categories=("a copy of all that is known, sealed",),
        recipients=("the person",),
        kept="exports",
        exported=Because("It is a copy of the export itself."),
        erased="key",
    )
    processing_declare(
        LinkAsked,
        purpose="Sending people the link to their preferences when they type in their address",
        lawful_basis="legal obligation (GDPR, Articles 12 and 21)",
        categories=("digest of an address that was typed in",),
        kept=Because("Gone within seconds, once a worker has looked who has the address."),
        exported=Because("Gone within seconds; it says nothing but that somebody typed an address in."),
        erased=Because("Gone within seconds."),
    )
    processing_declare(
        ProfileKey,
        purpose="Sealing what is known of a person, and making it unreadable when they are erased",
        lawful_basis="legal obligation (GDPR, Articles 17 and 32)",
        categories=("a key of the person, itself sealed",),
        kept=known,
        exported=Because("A key says nothing of the person."),
        erased="key",
    )
