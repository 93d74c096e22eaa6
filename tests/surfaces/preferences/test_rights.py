"""A person's rights by their own page: at once what they can undo, by a fresh link what nobody can."""

import json
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import Client

from apps.data.consent.links import LinkScope, link_url
from apps.data.consent.models import ConsentRecord, ConsentState
from apps.data.privacy.erasing import erasure_run
from apps.data.privacy.exporting import export_build, mail_key
from apps.data.privacy.models import AddressChange, ExportFile, RightsRequest
from apps.data.profiles import mail
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.attributes import attributes_put, attributes_read, shapes_read
from apps.data.profiles.mail import MailKind, mail_carrier_set
from apps.data.profiles.models import Profile
from apps.data.profiles.services import attribute_define
from apps.decisioning.playbooks.models import MailWant, Run
from apps.delivery.sending.models import Message
from apps.foundation.core.clock import now
from tests.factories import make_user
from tests.surfaces.ledger import make_message

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


class _Carrier:
    """Notes what is wanted, as playbooks do, and goes out where a test says so."""

    goes_out = True

    def want(self, *, kind: MailKind, profile_id: int, key: str) -> None:
        MailWant.objects.get_or_create(kind=kind, profile_id=profile_id, key=key)

    def ready(self, *, kind: MailKind) -> bool:
        return self.goes_out


@pytest.fixture(autouse=True)
def carrier(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Carrier:
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"  # type: ignore[attr-defined]
    settings.DATA_DIR = tmp_path / "data"  # type: ignore[attr-defined]
    monkeypatch.setattr(mail, "_carriers", [])
    carrier = _Carrier()
    mail_carrier_set(carrier)
    return carrier


def path_of(message: Message, scope: LinkScope = LinkScope.PREFERENCES) -> str:
    url = link_url(scope, profile_id=message.profile_id, message_id=message.pk)
    return urlsplit(url).path + ("/data" if scope == LinkScope.PREFERENCES else "")


def system_mail(kind: str, key: str, *, hours_ago: int = 0) -> Message:
    """A mail about something, to a person of its own."""
    message = make_message()
    Message.objects.filter(pk=message.pk).update(sending_at=now() - timedelta(hours=hours_ago, minutes=1))
    run = Run.objects.get(decisions__pk=message.pk)
    MailWant.objects.create(kind=kind, profile=message.profile, key=key, run=run, settled_at=now())
    return message


def post(client: Client, message: Message, body: str) -> str:
    answer = client.post(path_of(message), body, content_type=FORM)
    assert answer.status_code == 303, answer.content
    return str(answer["Location"].partition("?done=")[2])


def test_a_get_shows_everything_and_changes_nothing(client: Client) -> None:
    message = make_message()
    Profile.objects.filter(pk=message.profile_id).update(first_name="Carla")
    records = ConsentRecord.objects.count()

    for tail in ("", "?sure=erase", "?done=erase"):
        answer = client.get(path_of(message) + tail)
        assert answer.status_code == 200
        assert not answer.cookies

    assert 'value="Carla"' in client.get(path_of(message)).content.decode()
    assert not RightsRequest.objects.exists()
    assert ConsentRecord.objects.count() == records


def test_a_copy_goes_by_mail_and_is_fetched_by_its_link_alone(client: Client) -> None:
    message = make_message()
    assert post(client, message, "do=export") == "export"
    asked = RightsRequest.objects.get()
    export_build(request_id=asked.pk)
    assert MailWant.objects.get(kind="export").key == mail_key(asked.pk)

    run = Run.objects.get(decisions__pk=message.pk)
    MailWant.objects.filter(kind="export").update(run=run)  # as if it were that mail
    link = path_of(message, LinkScope.EXPORT)
    page = client.get(link).content.decode()
    told = client.get(f"{link}?as=json")

    assert "?as=html" in page
    assert json.loads(b"".join(told.streaming_content))["profile"] == message.profile_id  # type: ignore[attr-defined]
    assert told["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert told["Cache-Control"] == "no-store"

    ExportFile.objects.update(until=now())
    assert client.get(f"{link}?as=json").status_code == 410


def test_a_link_to_an_export_opens_no_other_persons(client: Client) -> None:
    mine, others = system_mail("export", "x"), make_message()
    post(client, others, "do=export")
    asked = RightsRequest.objects.get()
    export_build(request_id=asked.pk)
    MailWant.objects.filter(profile=mine.profile).update(key=mail_key(asked.pk))

    for path in (path_of(mine, LinkScope.EXPORT), path_of(others, LinkScope.EXPORT)):
        assert client.get(f"{path}?as=json").status_code == 404


def test_a_copy_is_made_a_few_times_a_day_only(client: Client) -> None:
    message = make_message()
    said = []
    for _ in range(4):
        said.append(post(client, message, "do=export"))
        RightsRequest.objects.update(state="done", closed_at=now())

    assert said == ["export", "export", "export", "often"]
    assert RightsRequest.objects.count() == 3


def test_corrections_hold_at_once_and_wrong_ones_change_nothing(client: Client) -> None:
    message = make_message()
    Profile.objects.filter(pk=message.profile_id).update(language="de-AT")

    assert post(client, message, "do=correct&first_name=Carl&last_name=&language=de&country=AT") == "correct"
    answer = client.post(path_of(message), "do=correct&first_name=X&language=zz-bad-tag!&country=", content_type=FORM)

    known = Profile.objects.get(pk=message.profile_id)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert (known.first_name, known.country, known.language) == ("Carl", "AT", "de-AT")


def test_objection_and_restriction_hold_at_once_and_the_person_ends_the_restriction(client: Client) -> None:
    message = make_message()

    assert post(client, message, "do=object&against=marketing") == "marketing"
    assert ConsentState.objects.get(profile=message.profile, purpose="marketing").granted is False
    assert post(client, message, "do=restrict") == "restrict"
    assert Profile.objects.get(pk=message.profile_id).restricted_at is not None
    assert "do nothing else" in client.get(path_of(message) + "?done=restrict").content.decode()
    assert post(client, message, "do=lift") == "lift"
    assert Profile.objects.get(pk=message.profile_id).restricted_at is None


@pytest.mark.parametrize("hours_ago", [None, 25])
def test_an_old_link_stops_messages_and_wants_a_fresh_one_to_erase(client: Client, hours_ago: int | None) -> None:
    message = make_message() if hours_ago is None else system_mail("link", "found:1", hours_ago=hours_ago)

    assert post(client, message, "do=erase") == "erase_mail"
    erasure_run(request_id=RightsRequest.objects.get().pk)

    assert MailWant.objects.filter(kind="link", profile=message.profile, run=None).count() == 1
    assert ConsentState.objects.get(profile=message.profile).granted is False
    assert Profile.objects.get(pk=message.profile_id).erased_at is None


def test_a_fresh_link_erases_also_what_an_old_one_asked_for(client: Client) -> None:
    message = system_mail("link", "found:1")
    RightsRequest.objects.create(
        profile=message.profile, kind="erasure", asked_by="person", shown_by="an old link", due_at=now() + timedelta(9)
    )

    assert post(client, message, "do=erase") == "erase"
    erasure_run(request_id=RightsRequest.objects.get().pk)

    assert Profile.objects.get(pk=message.profile_id).erased_at is not None
    page = client.get(path_of(message)).content.decode()
    assert "Nothing is known about you here any more" in page
    assert client.post(path_of(message), "do=restrict", content_type=FORM).status_code == 303
    assert Profile.objects.get(pk=message.profile_id).restricted_at is None
    assert RightsRequest.objects.count() == 1


def test_without_system_mail_staff_look_at_it(client: Client, carrier: _Carrier) -> None:
    carrier.goes_out = False
    message = make_message()

    assert post(client, message, "do=erase") == "erase_by_staff"
    assert RightsRequest.objects.get().state == "open"


@pytest.mark.parametrize("body", ["", "do=everything", "do=object&against=all", "x" * 9000])
def test_a_body_that_is_none_of_ours_changes_nothing(client: Client, body: str) -> None:
    message = make_message()

    answer = client.post(path_of(message), body, content_type=FORM)

    assert answer.status_code in (400, 413, 422)
    assert not RightsRequest.objects.exists()


def test_a_link_of_another_scope_opens_nothing(client: Client) -> None:
    message = make_message()
    token = link_url(LinkScope.UNSUBSCRIBE, profile_id=message.profile_id, message_id=UUID(int=uuid4().int))

    assert client.get(f"/p/{token.rpartition('/')[2]}/data").status_code == 404
    assert client.get(f"/x/{token.rpartition('/')[2]}").status_code == 404


def test_a_new_address_is_typed_in_by_a_fresh_link_and_an_older_one_gets_a_fresh_one(client: Client) -> None:
    old, fresh = make_message(), system_mail("link", "found:1")
    assert 'name="email"' not in client.get(path_of(old)).content.decode()
    assert post(client, old, "do=address&email=new@example.org") == "address_link"
    assert not AddressChange.objects.exists()
    assert MailWant.objects.filter(kind="link", profile=old.profile, run=None).count() == 1

    assert 'name="email"' in client.get(path_of(fresh)).content.decode()
    assert post(client, fresh, "do=address&email=new@example.org&forget=old") == "address"

    change = AddressChange.objects.get()
    assert (change.profile_id, change.forget_old, change.state) == (fresh.profile_id, True, "pending")
    own = addresses_read(profile_ids=[fresh.profile_id], kind="email")[fresh.profile_id]
    assert post(client, fresh, f"do=address&email={own}") == "address_same"


def test_what_is_no_address_stands_at_its_field_as_it_was_typed(client: Client) -> None:
    fresh = system_mail("link", "found:1")
    answer = client.post(path_of(fresh), "do=address&email=no address", content_type=FORM)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="no address"' in page
    assert 'aria-invalid="true" aria-describedby="wrong"' in page
    assert not AddressChange.objects.exists()


def test_without_both_mails_no_change_of_address_is_offered(client: Client, carrier: _Carrier) -> None:
    fresh = system_mail("link", "found:1")
    carrier.goes_out = False
    assert 'value="address"' not in client.get(path_of(fresh)).content.decode()
    answer = client.post(path_of(fresh), "do=address&email=new@example.org", content_type=FORM)
    assert (answer.status_code, answer["Location"]) == (303, path_of(fresh))
    assert not AddressChange.objects.exists()


def test_the_language_shown_is_the_one_on_record_whatever_the_page_speaks(client: Client) -> None:
    message = make_message()
    Profile.objects.filter(pk=message.profile_id).update(language="nl-BE")

    page = client.get(path_of(message)).content.decode()

    assert '<html lang="en"' in page
    assert re.findall(r'<option value="(\w+)" selected>', page)[0] == "nl"


def test_what_was_typed_beside_a_fault_need_not_be_typed_again(client: Client) -> None:
    by = make_user("administrator")
    attribute_define(name="birthday", kind="date", required=True, correctable=True, by=by)
    field = f"attribute_{shapes_read(['birthday'])['birthday'].id}"
    message = make_message()

    form = f"do=correct&first_name=Carla&language=fr&country=FR&attributes=1&{field}="
    page = client.post(path_of(message), form, content_type=FORM).content.decode()

    assert f'id="{field}-wrong">This can&#x27;t be empty.<' in page
    assert 'name="first_name" value="Carla"' in page
    assert '<option value="fr" selected>' in page
    assert '<option value="FR" selected>' in page
    assert Profile.objects.get(pk=message.profile_id).first_name != "Carla"


def test_attributes_that_are_theirs_are_corrected_and_a_sensitive_one_is_not_shown(client: Client) -> None:
    by = make_user("administrator")
    attribute_define(name="shoe_size", kind="number", correctable=True, labels={"en": "Shoe <size>"}, by=by)
    attribute_define(name="illness", sensitive=True, correctable=True, by=by)
    attribute_define(name="score", by=by)
    size, illness = (shapes_read([name])[name].id for name in ("shoe_size", "illness"))
    message = make_message()
    attributes_put(profile_id=message.profile_id, values={"shoe_size": 38, "illness": "kanarienfieber", "score": "s7"})

    page = client.get(path_of(message)).content.decode()
    assert "Shoe &lt;size&gt;" in page
    assert f'name="attribute_{size}" value="38"' in page
    assert "kanarienfieber" not in page
    assert "s7" not in page
    known = client.get(path_of(message).removesuffix("/data")).content.decode()
    assert "Shoe &lt;size&gt;" in known
    assert "kanarienfieber" not in known

    # empty leaves a sensitive one, and empties another
    form = f"do=correct&first_name=Carl&attributes=1&attribute_{size}=39&attribute_{illness}="
    assert post(client, message, form) == "correct"
    assert attributes_read(profile_id=message.profile_id) == {
        "shoe_size": 39, "illness": "kanarienfieber", "score": "s7",
    }  # fmt: skip
    answer = client.post(path_of(message), f"do=correct&attributes=1&attribute_{size}=big", content_type=FORM)
    assert answer.status_code == 422
    page = " ".join(answer.content.decode().split())
    assert f'aria-invalid="true" aria-describedby="attribute_{size}-wrong" value="big"' in page
    assert f'id="attribute_{size}-wrong">Please write a number, like 38 or 7.5.<' in page
    assert page.count("aria-invalid") == 1
    assert post(client, message, f"do=correct&attributes=1&attribute_{illness}=flu") == "correct"
    assert attributes_read(profile_id=message.profile_id) == {"illness": "flu", "score": "s7"}
    # and a form from before there were any changes none
    assert post(client, message, "do=correct&first_name=Carlo") == "correct"
    assert attributes_read(profile_id=message.profile_id) == {"illness": "flu", "score": "s7"}
