"""The sample shop: the same each time, whole or not at all, and honest about consent."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F, Sum

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord, ConsentState, Gate, Suppression, Wording
from apps.data.consent.selectors import gate_read
from apps.data.events.models import Event, Order, OrderLine
from apps.data.profiles.mail import MailKind
from apps.data.profiles.models import Identifier, Profile
from apps.data.profiles.normalize import email_normalize, phone_normalize
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_count
from apps.decisioning.playbooks import ready_made
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.errors import Conflict
from apps.foundation.core.text import is_blank
from apps.foundation.governance.models import Approval, Review
from apps.surfaces.console.sample_shop import loading
from apps.surfaces.console.sample_shop.campaigns import AUDIENCES
from apps.surfaces.console.sample_shop.generator import shop_generate
from apps.surfaces.console.sample_shop.people import COUNTRIES, GAPS
from apps.surfaces.console.sample_shop.rows import SampleShop
from apps.surfaces.signups.models import SignUpForm
from apps.surfaces.signups.selectors import questions_shown

AS_OF = datetime(2026, 10, 1, 12, 30, tzinfo=UTC)
FEW = len(COUNTRIES) + len(GAPS) + 140


@pytest.fixture
def without_campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content and playbooks are made in one test only: compiling takes longer than all the rest."""
    monkeypatch.setattr(loading, "campaigns_make", lambda **given: None)


def few(seed: int = 1, as_of: datetime = AS_OF) -> SampleShop:
    return shop_generate(customers=FEW, seed=seed, as_of=as_of)


def load(**changed: Any) -> loading.Loaded:
    terms: dict[str, Any] = {"customers": FEW, "seed": 1, "as_of": AS_OF, "password": "a long enough password"}
    return loading.sample_shop_load(**{**terms, "progress": lambda what, count: None, **changed})


# --- the generator ---


def test_the_same_seed_and_moment_give_the_same_data_in_another_process() -> None:
    script = (
        "from datetime import datetime\n"
        "from apps.surfaces.console.sample_shop.generator import shop_generate\n"
        f"print(shop_generate(customers={FEW}, seed=1, as_of=datetime.fromisoformat({AS_OF.isoformat()!r})).digest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == few().digest()


def test_another_seed_or_moment_gives_other_data() -> None:
    assert len({few().digest(), few(seed=2).digest(), few(as_of=AS_OF.replace(minute=31)).digest()}) == 3


def test_nothing_lies_in_the_future_or_before_the_customer_came() -> None:
    shop = few()

    moments = [
        *(customer.created_at for customer in shop.customers),
        *(sale.placed_at for sale in shop.sales),
        *(happening.occurred_at for happening in shop.happenings),
        *(at for people in shop.grants.values() for _, at in people),
        *(change.occurred_at for change in shop.changes),
    ]
    assert max(moments) <= AS_OF
    came = [customer.created_at for customer in shop.customers]
    assert all(sale.who is None or sale.placed_at >= came[sale.who] for sale in shop.sales)
    assert all(happening.who is None or happening.occurred_at >= came[happening.who] for happening in shop.happenings)


def test_every_country_and_every_gap_is_there_however_few_there_are() -> None:
    shop = shop_generate(customers=len(COUNTRIES) + len(GAPS), seed=3, as_of=AS_OF)

    assert {customer.home for customer in shop.customers} == set(COUNTRIES)
    assert any(is_blank(customer.first_name) for customer in shop.customers)
    assert any(len(name) > 1 and name == name.upper() for name in (c.last_name for c in shop.customers))
    assert any(customer.first_name != customer.first_name.strip() for customer in shop.customers)
    assert any(customer.country == "" for customer in shop.customers)
    assert any(customer.country not in COUNTRIES and customer.country for customer in shop.customers)
    assert any(not customer.email for customer in shop.customers)
    assert any("email_as_given" in customer.attributes for customer in shop.customers)
    addresses = [contact.value for contact in shop.contacts if contact.kind == "email"]
    assert len(addresses) > len(set(addresses))  # two profiles, one address


def test_identifiers_are_normal_and_belong_to_nobody_real() -> None:
    for contact in shop_generate(customers=1500, seed=1, as_of=AS_OF).contacts:
        if contact.kind == "email":
            assert email_normalize(contact.value) == contact.value
            host = contact.value.partition("@")[2]
            assert host.endswith(".example") or host in ("example.com", "example.org", "example.net")
        elif contact.kind == "phone":
            assert phone_normalize(contact.value) == contact.value


def test_opens_are_known_only_of_those_who_agreed_to_be_measured() -> None:
    shop = shop_generate(customers=1500, seed=1, as_of=AS_OF)

    agreed = {who: at for kind, people in shop.grants.items() if kind.purpose == "tracking" for who, at in people}
    opens = [happening for happening in shop.happenings if happening.name == "Email Opened"]
    assert len(opens) > 100
    assert all(opened.who in agreed and opened.occurred_at >= agreed[opened.who] for opened in opens)


def test_some_buy_often_many_once_and_some_have_lapsed() -> None:
    shop = shop_generate(customers=1500, seed=1, as_of=AS_OF)

    orders: dict[int, list[datetime]] = {}
    for sale in shop.sales:
        if sale.status == "purchase" and sale.who is not None:
            orders.setdefault(sale.who, []).append(sale.placed_at)
    lapsed = [who for who, times in orders.items() if len(times) >= 2 and (AS_OF - max(times)).days >= 180]
    counts = sorted(map(len, orders.values()), reverse=True)
    assert 0.5 < len(orders) / 1500 < 0.8
    assert 0.1 < len(lapsed) / 1500 < 0.35
    assert sum(counts[: len(counts) // 10]) / sum(counts) > 0.35  # a tenth of the buyers, over a third of the orders
    assert all(sale.cents == 0 for sale in shop.sales if sale.status != "purchase" or sale.who is None)


# --- loading ---


def dump() -> list[str]:
    """What is in the tables, without the keys that the database gave."""
    queries = (
        "SELECT first_name, last_name, country, language, time_zone, attributes, source, created_at, updated_at"
        " FROM profiles_profile ORDER BY id",
        "SELECT kind, digest, verified, main, source, created_at FROM profiles_identifier ORDER BY id",
        "SELECT sku, title, category, price, currency, url, in_stock, created_at FROM catalog_item ORDER BY id",
        "SELECT external_id, status, placed_at, country, currency, revenue, recorded_at FROM events_order ORDER BY id",
        "SELECT number, quantity, unit_price, is_purchase, sku FROM events_orderline"
        " JOIN catalog_item ON catalog_item.id = item_id ORDER BY events_orderline.id",
        "SELECT message_id, name, occurred_at, recorded_at, properties FROM events_event ORDER BY id",
        "SELECT i.digest, purpose_id, channel, action, method, consent_consentrecord.source, evidence, occurred_at"
        " FROM consent_consentrecord JOIN profiles_identifier i USING (profile_id)"
        " WHERE i.kind = 'external_id' ORDER BY i.digest, purpose_id, channel, occurred_at, action",
        "SELECT digest, kind, reason, note FROM consent_suppression ORDER BY id",
    )
    found = []
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
            found.append(repr([[bytes(v) if isinstance(v, memoryview) else v for v in r] for r in cursor.fetchall()]))
    return found


@pytest.mark.django_db
@pytest.mark.usefixtures("without_campaigns")
def test_two_loads_of_the_same_seed_and_moment_are_the_same_to_the_byte_and_a_third_changes_nothing() -> None:
    with transaction.atomic():
        load()
        first = dump()
        transaction.set_rollback(True)
    assert not Profile.objects.exists()

    again = load()

    assert again.already is False
    assert dump() == first
    assert all(len(table) > 100 for table in first)

    third = load(seed=2)

    assert third.already is True
    assert third.counts == again.counts
    assert dump() == first


@pytest.mark.django_db
def test_the_whole_shop_is_as_generated_and_as_the_services_leave_it() -> None:
    shop = shop_generate(customers=600, seed=1, as_of=AS_OF)

    loaded = load(customers=600)

    assert loaded.already is False
    rows_are_those_generated(shop, loaded)
    ledger_projection_and_gate_agree(loaded)
    the_gate_has_an_answer_of_each_kind()
    everybody_signs_in_with_one_role()
    one_playbook_is_published_as_others_agreed_and_one_waits()
    audiences_hold_some_but_not_all()
    people_can_sign_up_in_five_languages()


def people_can_sign_up_in_five_languages() -> None:
    form = SignUpForm.objects.select_related("mail_survey").get()
    assert (form.active, set(form.words)) == (True, {"en", "de", "fr", "es", "ar"})
    assert form.mail_survey is not None
    answers = [answer.text for answer in questions_shown(form.mail_survey, language="de", chosen={})[0].answers]
    mail = yaml.safe_load((Path(ready_made.__file__).parent / "shelf" / "system_welcome.yaml").read_text("utf-8"))
    said = mail["messages"]["welcome"]["de"]
    assert answers == [said["answer_1"], said["answer_2"], said["answer_3"]]  # what the mail's links say


def rows_are_those_generated(shop: SampleShop, loaded: loading.Loaded) -> None:
    assert Profile.objects.count() == 600 == loaded.counts["customers"]
    assert Identifier.objects.count() == len(shop.contacts)
    assert Item.objects.count() == 200
    assert not Item.objects.exclude(image_url="").exists()
    assert Order.objects.count() == len(shop.sales) == loaded.counts["orders"]
    assert OrderLine.objects.count() == sum(len(sale.lines) for sale in shop.sales)
    assert Event.objects.count() == len(shop.happenings) == loaded.counts["events"]
    assert Suppression.objects.count() == loaded.counts["suppressions"]
    cents = sum(sale.cents for sale in shop.sales)
    assert Order.objects.aggregate(total=Sum("revenue"))["total"] * 100 == cents
    bought = OrderLine.objects.filter(is_purchase=True)
    assert bought.aggregate(total=Sum(F("quantity") * F("unit_price")))["total"] * 100 == cents


def ledger_projection_and_gate_agree(loaded: loading.Loaded) -> None:
    newest = {
        (record.profile_id, record.purpose_id, record.channel): record
        for record in ConsentRecord.objects.order_by("occurred_at", "id")
    }
    states = {(s.profile_id, s.purpose_id, s.channel): s for s in ConsentState.objects.all()}
    assert ConsentRecord.objects.count() == loaded.counts["consents"]
    assert states.keys() == newest.keys()
    assert all(states[key].granted == (record.action == "grant") for key, record in newest.items())
    assert all(states[key].record_id == record.pk for key, record in newest.items())
    assert {record.profile_id for record in newest.values()} <= set(Gate.objects.values_list("pk", flat=True))
    imported = ConsentRecord.objects.filter(method="import")
    assert imported.exists()
    assert not imported.filter(evidence="").exists()
    assert not imported.filter(actor=None).exists()


def the_gate_has_an_answer_of_each_kind() -> None:
    everybody = list(Profile.objects.values_list("pk", flat=True))
    answers = gate_read(profile_ids=everybody, purpose="marketing", channel="email")
    reasons = [answer.reason for answer in answers.values()]
    assert set(reasons) == {"", "no_consent", "withdrawn", "suppressed", "invalid_address"}
    assert reasons.count("") > 300


def everybody_signs_in_with_one_role() -> None:
    assert set(User.objects.values_list("email", flat=True)) == {f"{role.code}@shop.example" for role in ROLES}
    for user in User.objects.all():
        assert user.check_password("a long enough password")
        assert [f"{group.name}@shop.example" for group in user.groups.all()] == [user.email]


def one_playbook_is_published_as_others_agreed_and_one_waits() -> None:
    weekly = Playbook.objects.get(code="weekly-picks")
    assert weekly.published is not None
    assert weekly.published.created_by.email == "publisher@shop.example"
    assert weekly.published.published_by == User.objects.get(email="publisher@shop.example")
    mails = Playbook.objects.exclude(mail_kind="")
    assert sorted(mails.values_list("mail_kind", flat=True)) == sorted(MailKind)
    assert all(mail.published is not None for mail in mails)
    for review in Review.objects.exclude(state=Review.State.OPEN):
        answers = Approval.objects.filter(review=review).values_list("role", "by__email", "verdict")
        assert sorted(answers) == [(role, f"{role}@shop.example", "approve") for role in sorted(review.roles)]
    assert Wording.objects.get().versions.get().published.filter(shown_until=None).count() == 5
    assert set(weekly.published.compiled) >= {"en", "de", "fr"}
    waiting = PlaybookVersion.objects.get(playbook__code="lapsed-buyers-winback")
    assert waiting.state == PlaybookVersion.State.IN_REVIEW
    review = Review.objects.get(state=Review.State.OPEN)
    assert (review.subject, review.path) == (waiting, [["brand_approver"]])
    assert not Run.objects.exists()


def audiences_hold_some_but_not_all() -> None:
    sizes = {
        audience.name: audience_count(rule=rule_parse(audience.rule), as_of=AS_OF)
        for audience in Audience.objects.filter(name__in=AUDIENCES)
    }
    assert sizes.pop("Everybody") == 600
    assert sizes.keys() == {"Newsletter readers", "Lapsed buyers", "High value"}
    assert all(10 < size < 400 for size in sizes.values()), sizes


@pytest.mark.django_db
def test_a_load_that_was_stopped_leaves_nothing_and_can_be_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(**given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "campaigns_make", stop)
    with pytest.raises(KeyboardInterrupt):
        load(customers=60)
    assert not Profile.objects.exists()
    assert not User.objects.exists()
    assert not ConsentRecord.objects.exists()
    monkeypatch.setattr(loading, "campaigns_make", lambda **given: None)

    assert load(customers=60).already is False


@pytest.mark.django_db
def test_other_customers_are_never_mixed_with_invented_ones() -> None:
    Profile.objects.create(first_name="Real")

    with pytest.raises(Conflict, match="wants an empty database"):
        load()

    assert Profile.objects.count() == 1
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("without_campaigns")
def test_the_command_says_who_can_sign_in(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "from the environment")

    call_command("load_sample_shop", "--customers", "60", "--as-of", "2026-10-01T12:30Z")
    call_command("load_sample_shop")

    said = capsys.readouterr().out
    assert "brand_approver@shop.example" in said
    assert "from the environment" not in said
    assert "Already loaded, as of 2026-10-01T12:30:00+00:00" in said
    assert User.objects.get(email="analyst@shop.example").check_password("from the environment")


@pytest.mark.parametrize("wrong", [["--as-of", "soon"], ["--as-of", "2126-01-01"], ["--customers", "0"]])
def test_the_command_refuses_what_makes_no_sense(wrong: list[str]) -> None:
    with pytest.raises(CommandError, match=wrong[0]):
        call_command("load_sample_shop", *wrong)
