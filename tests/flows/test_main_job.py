"""The main job on real input: orders in, a personalised message decided, rendered and sent, choices respected.

The data is Online Retail (UCI, CC BY 4.0), which lies outside the project; without it these tests are skipped.
"""

import csv
import gzip
import re
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.test import Client

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw, consents_grant_new
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.decisions.models import Decision
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.decisioning.playbooks.services import playbook_create, playbook_publish, playbook_submit, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.delivery.sending.models import Message
from apps.delivery.sending.rendering import message_again
from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.clock import now
from apps.foundation.governance.models import Approval, Review
from apps.foundation.governance.services import review_answer
from apps.surfaces.console.sample_shop.campaigns import WEEKLY_SLOTS, content_make
from tests.factories import make_user
from tests.flows.conftest import Catcher, Workers, wait_for

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail.csv.gz"
LAPSED = {
    "all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}}],
}
OPEN_STATES = ["queued", "claimed", "sending", "retry"]

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the data set Online Retail is not beside the project")


def an_eighth(folder: Path) -> Path:
    """The orders of every eighth customer, whole."""
    path = folder / "eighth.csv"
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as lines, path.open("w", newline="") as kept:
        reader, writer = csv.reader(lines), csv.writer(kept)
        writer.writerow(next(reader))
        writer.writerows(line for line in reader if line[6] and int(float(line[6])) % 8 == 3)
    return path


def shop_import(path: Path) -> None:
    call_command(
        "import_orders",
        str(path),
        preset="online-retail",
        address_template="customer-{id}@example.com",
        stdout=StringIO(),
        stderr=StringIO(),
    )


def everybody_agrees(by: User) -> None:
    consents_grant_new(
        grants=[(pk, now()) for pk in Profile.objects.values_list("pk", flat=True)],
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.IMPORT,
        source="test",
        evidence="the test says so",
        actor=by,
    )


def playbook_live(staff: dict[str, User]) -> Playbook:
    """A playbook over those who bought twice and then no more, approved by somebody else and published."""
    brand, template = content_make(staff, lambda what, count: None)
    publisher = staff["publisher"]
    audience = Audience.objects.create(name="Bought twice, then no more", rule=LAPSED, owner=publisher)
    playbook = playbook_create(
        by=publisher,
        code="come-back",
        name="Come back",
        audience=audience,
        brand=brand,
        template=template,
        slots=WEEKLY_SLOTS,
        approval_path=["brand_approver"],
    )
    version = playbook_submit(playbook_id=playbook.pk, by=publisher)
    review = Review.objects.get(object_id=version.pk, state=Review.State.OPEN)
    review_answer(review_id=review.pk, by=staff["brand_approver"], verdict=Approval.Verdict.APPROVE)
    playbook_publish(version_id=version.pk, by=staff["publisher"])
    assert PlaybookVersion.objects.get(pk=version.pk).state == PlaybookVersion.State.PUBLISHED
    return playbook


def settled(run: Run) -> bool:
    run.refresh_from_db()
    if run.state != Run.State.DECIDED:
        return False
    to_send = Decision.objects.filter(run=run, outcome="send").count()
    messages = Message.objects.filter(dispatch__run_id=run.pk)
    return messages.count() == to_send and not messages.filter(state__in=OPEN_STATES).exists()


def address_of(mail: EmailMessage) -> str:
    return str(mail["To"]).strip("<>")


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body(preferencelist=(kind,))
    assert body is not None
    return str(body.get_content())


def assert_reads_well(mail: EmailMessage) -> None:
    """Nothing blank, nothing unfilled, both parts, and the headers by which one leaves."""
    html, text, subject = part(mail, "html"), part(mail, "plain"), str(mail["Subject"])
    for words in (html, text, subject):
        assert words.strip()
        assert not re.search(r"\{\{|\{%|\[\[|\]\]|\}\}", words)
        assert not re.search(r"\b(None|nan|undefined)\b", re.sub(r"<style.*?</style>|<[^>]*>", " ", words, flags=re.S))
    assert not mail.defects
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<https?://\S+/u/\S+>(, <mailto:\S+>)?", str(mail["List-Unsubscribe"]))
    assert str(mail["Message-ID"]).startswith("<")


@pytest.fixture
def staff(own_database: str) -> dict[str, User]:
    """One person for each role."""
    return {role.code: make_user(role.code) for role in ROLES}


@pytest.mark.parametrize(
    ("whole", "lapsed", "leave"), [(False, 120, 14), pytest.param(True, 903, 100, marks=pytest.mark.slow)]
)
def test_orders_in_mail_out_choices_respected(
    staff: dict[str, User],
    catcher: Catcher,
    workers: Workers,
    client: Client,
    tmp_path: Path,
    whole: bool,
    lapsed: int,
    leave: int,
) -> None:
    # given: the real orders, consent for all, one in nine of the lapsed opted out, and a worker that dies in the middle
    shop_import(DATA if whole else an_eighth(tmp_path))
    everybody_agrees(staff["administrator"])
    recommendation_set_refresh(as_of=now())
    playbook = playbook_live(staff)
    people = [pk for ids in audience_ids(rule=rule_parse(LAPSED), as_of=now(), batch=500) for pk in ids]
    assert len(people) == lapsed
    left, expected = people[::9][:leave], lapsed - leave
    for profile_id in left:
        consent_withdraw(
            profile_id=profile_id,
            purpose="marketing",
            channel="email",
            method=ConsentRecord.Method.PREFERENCES,
            source="test",
        )

    # when: it is sent, the worker killed in the middle, another started
    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand", by=staff["publisher"])
    if not whole:  # so few would be out before anybody is killed
        workers.environment["SEND_LIMITS"] = '{"providers": {"smtp": {"per_minute": 240}}}'
    workers.start()
    sent = Message.objects.filter(dispatch__run_id=run.pk, state="sent")
    wait_for(lambda: sent.count() >= min(60, expected // 4), seconds=60, what="the first messages are sent")
    workers.kill()
    assert sent.count() < expected
    workers.environment.pop("SEND_LIMITS", None)
    workers.start()
    wait_for(lambda: settled(run), seconds=120, what="the run is settled")

    # then: all others got it, each once; these did not, for that reason
    states = Counter(Message.objects.filter(dispatch__run_id=run.pk).values_list("state", flat=True))
    withheld = Counter(
        [
            *Decision.objects.filter(run=run).exclude(outcome="send").values_list("outcome", flat=True),
            *Message.objects.filter(dispatch__run_id=run.pk, state="withheld").values_list("reason", flat=True),
        ]
    )
    mails = catcher.mails()
    addresses = [address_of(mail) for mail in mails]
    assert withheld == {"withdrawn": leave}
    assert states["sent"] + states["uncertain"] == expected
    assert states["uncertain"] <= 2 * 4  # of two processes, each with four connections
    assert len(addresses) == len(set(addresses))
    assert expected - states["uncertain"] <= len(addresses) <= expected
    for mail in mails:
        assert_reads_well(mail)

    # and: a message opens as it was sent, byte for byte
    as_caught = {bytes(mail).replace(b"\r\n", b"\n").strip() for mail in mails}
    for message in sent.order_by("id")[:50]:
        again = message_from_bytes(message_again(message.pk), policy=policy.default)
        assert bytes(again).replace(b"\r\n", b"\n").strip() in as_caught

    # and: the same occasion sends nothing more
    call_command("run_playbook", "come-back", occasion="autumn", by=staff["publisher"].email, stdout=StringIO())
    assert Run.objects.count() == 1
    assert len(catcher.mails()) == len(mails)

    # and: a look at the link changes nothing; who leaves by one click is withheld from the next run, for that reason
    link = urlsplit(str(mails[0]["List-Unsubscribe"]).split(">")[0].strip("<")).path
    records = ConsentRecord.objects.count()
    assert client.get(link).status_code == 200
    assert ConsentRecord.objects.count() == records
    assert client.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    second = run_start(playbook_id=playbook.pk, occasion_key="winter", trigger="hand", by=staff["publisher"])
    wait_for(lambda: settled(second), seconds=120, what="the second run is settled")
    outcomes = Counter(Decision.objects.filter(run=second).values_list("outcome", flat=True))
    new = Counter(address_of(mail) for mail in catcher.mails()) - Counter(addresses)
    assert outcomes == {"send": expected - 1, "withdrawn": leave + 1}
    assert len(new) == expected - 1
    assert address_of(mails[0]) not in new
