"""From a sign-up form to the answer in the welcome mail, with real workers, as the sample shop has it published."""

import re
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord, ConsentState
from apps.data.consent.preferences import preferences_read
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.playbooks.ready_made import SYSTEM, layout_add
from apps.foundation.accounts.roles import ROLES
from apps.surfaces.console.sample_shop.campaigns import content_make, system_mail_publish
from apps.surfaces.console.sample_shop.sign_up import sign_up_make
from apps.surfaces.signups.models import SignUp, SurveyReply
from tests.data.profiles.name_server import name_server
from tests.factories import make_user
from tests.flows.conftest import Catcher, Workers, wait_for

ADDRESS = "ada@mountains.net"


def post(client: Client, path: str, fields: dict[str, Any]) -> Any:
    return client.post(path, urlencode(fields, doseq=True), content_type="application/x-www-form-urlencoded")


def mail_with(catcher: Catcher, scope: str) -> tuple[EmailMessage, str]:
    """The mail that has a link of a scope, and that link's path."""
    found: list[tuple[EmailMessage, str]] = []

    def there() -> bool:
        for mail in catcher.mails():
            body = mail.get_body(preferencelist=("html",))
            link = re.search(rf'href="(https?://[^"]+/{scope}/[^"]+)"', str(body.get_content())) if body else None
            if link is not None:
                found.append((mail, urlsplit(link[1]).path))
        return bool(found)

    wait_for(there, seconds=90, what=f"a mail with a link /{scope}/")
    return found[0]


def test_somebody_signs_up_confirms_is_welcomed_and_answers(
    workers: Workers, catcher: Catcher, client: Client, settings: Settings
) -> None:
    staff = {role.code: make_user(role.code) for role in ROLES}
    brand, _ = content_make(staff, lambda what, count: None)
    layout_add(by=staff["engineer"], group=SYSTEM)
    system_mail_publish(brand, staff)
    form = sign_up_make(brand, staff)
    settings.SIGN_UP_SECONDS = 0
    workers.start()

    with name_server({"mountains.net": {"MX": ["5 mx.mountains.net."]}}) as server:
        settings.DNS_SERVERS = [server.address]
        page = client.get(f"/sign-up/{form.code}?lang=de&utm_source=letter").content.decode()
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        thanked = post(client, f"/sign-up/{form.code}", {**hidden, "email": ADDRESS, "purpose": "marketing"})
    assert thanked.status_code == 303
    survey = re.search(r'href="(/s/[^"]+)"', client.get(thanked["Location"]).content.decode())
    assert survey is not None
    assert post(client, survey[1], {"answer": "offers"}).status_code == 303

    asking, confirm = mail_with(catcher, "c")
    assert ADDRESS in str(asking["To"])
    assert client.get(confirm).status_code == 200
    assert not ConsentState.objects.exists()  # a look confirms nothing
    assert post(client, confirm, {"do": "confirm"}).status_code == 303

    profile = Profile.objects.get()
    made = SignUp.objects.get()
    assert (made.state, made.utm_source, profile.language) == ("done", "letter", "de")
    assert ConsentState.objects.values_list("purpose_id", "granted").get() == ("marketing", True)
    assert ConsentRecord.objects.get().confirmation is not None
    assert Identifier.objects.get().verified
    assert preferences_read(profile_ids=[profile.pk])[profile.pk].interests == ("offers",)

    welcome, answer = mail_with(catcher, "a")
    assert ADDRESS in str(welcome["To"])
    third = re.sub(r"/\d$", "/3", answer)
    assert "Ideen und Rat" in client.get(third).content.decode()
    assert post(client, third, {"do": "answer"}).status_code == 303
    assert preferences_read(profile_ids=[profile.pk])[profile.pk].interests == ("advice",)
    assert SurveyReply.objects.values_list("interest_id", flat=True).get() == "advice"
    assert len(catcher.mails()) == 2
