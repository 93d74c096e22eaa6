"""Data quality: what is counted, what counts as low, and what can run on it."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppressions_add
from apps.data.privacy.registry import Person, erase_steps
from apps.data.profiles.attributes import attributes_put
from apps.data.profiles.models import Profile
from apps.data.profiles.services import attribute_define
from apps.delivery.webhooks.models import WebhookDelivery, WebhookEndpoint
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotAllowed
from apps.foundation.governance.models import Notice
from apps.insight.monitoring.models import QualityAlert, QualityFigure, QualitySample, QualityThreshold
from apps.insight.monitoring.quality import quality_lines, quality_measure, readiness
from apps.insight.monitoring.quality_alerts import threshold_remove, threshold_set
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


def test_each_measure_is_counted_by_source_and_the_worst_comes_first() -> None:
    director = make_user("administrator")
    attribute_define(name="club", by=director, kind="choice", allowed=["gold", "silver"], required=True, fresh_days=30)
    attribute_define(name="diagnosis", by=director, sensitive=True)
    shop = [make_profile(source="shop", country="AT", attributes={"club": club}) for club in ("gold", "gold", "brass")]
    make_profile(source="shop", country="at")
    make_profile(source="app", country="DE", attributes={"club": 5}, email=None)
    attributes_put(profile_id=shop[0].pk, values={"diagnosis": "canary"}, source="test")

    assert quality_measure() == quality_measure()

    figures = {(one.attribute, one.source): one for one in QualityFigure.objects.all()}
    club, country = figures["club", "shop"], figures["country", "shop"]
    assert (club.people, club.present, club.fitting, club.alike, club.distinct, club.fresh) == (4, 3, 2, 3, 2, 3)
    assert (country.present, country.fitting, country.alike, country.distinct) == (4, 3, 3, 2)
    assert (figures["email", "app"].present, figures["email", "shop"].distinct) == (0, 4)
    assert (figures["diagnosis", "shop"].present, figures["diagnosis", "app"].present) == (1, 0)
    lines = quality_lines()
    assert lines[0].score.low
    assert {line.attribute for line in lines if not line.score.low} >= {"diagnosis"}
    shown = next(line for line in lines if (line.attribute, line.source) == ("club", "shop"))
    assert [(mend.measure, mend.place) for mend in shown.mends] == [("known", "imports"), ("fitting", "definition")]
    assert readiness() == []


def test_the_page_shows_it_and_who_may_not_measures_nothing(client: Client, settings: Settings) -> None:
    client.force_login(make_user("administrator"))
    before = client.get("/console/quality/").content.decode()
    assert "Not measured yet" in before
    assert "Known once the data was measured" in before
    assert "No playbook is published yet" not in before
    make_profile(source="shop")
    quality_measure()
    page = client.get("/console/quality/").content.decode()
    assert "time_zone" in page
    assert "No playbook is published yet" in page
    analyst = Client()
    analyst.force_login(make_user("analyst"))
    assert analyst.get("/console/quality/").status_code == 200
    assert analyst.post("/console/quality/measure/").status_code == 403


def samples() -> dict[tuple[str, str], set[int]]:
    """People who are noted, by attribute and measure."""
    return {(one.attribute, one.measure): set(one.profile_ids) for one in QualitySample.objects.all()}


def test_some_of_those_who_lack_something_are_noted_when_it_is_measured() -> None:
    director = make_user("administrator")
    attribute_define(name="club", by=director, kind="choice", allowed=["gold", "silver"], required=True, fresh_days=30)
    attribute_define(name="diagnosis", by=director, sensitive=True, required=True)
    gold, brass, without = (
        make_profile(source="shop", country="AT", attributes={"club": club} if club else {}, email=f"{club}@x.net")
        for club in ("gold", "brass", "")
    )
    small = make_profile(source="shop", country="at", attributes={"club": "gold"}, email="gold@x.net")
    Profile.objects.filter(pk=gold.pk).update(updated_at=now() - timedelta(days=31))
    attributes_put(profile_id=gold.pk, values={"diagnosis": "canary"}, source="test")
    Profile.objects.filter(pk=gold.pk).update(updated_at=now() - timedelta(days=31))
    suppressions_add(kind="email", values=["brass@x.net"], reason=Suppression.Reason.BOUNCE)

    quality_measure()

    noted = samples()
    every = {gold.pk, brass.pk, without.pk, small.pk}
    assert noted["club", "known"] == {without.pk}
    assert noted["club", "fitting"] == {brass.pk}
    assert noted["club", "fresh"] == {gold.pk}
    assert noted["country", "fitting"] == noted["country", "alike"] == {small.pk}
    assert noted["diagnosis", "known"] == every - {gold.pk}
    assert noted["email", "fitting"] == {brass.pk}
    assert noted["email", "distinct"] == {gold.pk, small.pk}
    assert noted["first_name", "known"] == every
    assert ("email", "known") not in noted
    step = next(one for one in erase_steps() if one.name == "quality samples")
    assert step.erase(Person(without.pk)).count > 0
    assert without.pk not in set().union(*samples().values())


def test_a_fall_below_a_threshold_is_told_once_and_again_after_it_recovered() -> None:
    keeper, analyst = make_user("administrator"), make_user("analyst")
    endpoint = WebhookEndpoint.objects.create(
        name="watch",
        url="https://watch.example/",
        kinds=["quality.fell", "quality.recovered"],
        nonce=bytes(32),
        owner=keeper,
    )
    people = [make_profile(source="shop", country="AT") for _ in range(4)]
    quality_measure()
    with pytest.raises(NotAllowed):
        threshold_set(attribute="country", source="", measure="known", least=0.9, by=analyst)
    whole: dict[str, Any] = {"attribute": "country", "source": "", "measure": "known", "least": 0.9}
    for wrong in ({"least": 0.0}, {"measure": "nice"}, {"attribute": "nobody"}):
        with pytest.raises(Invalid):
            threshold_set(**{**whole, **wrong}, by=keeper)
    threshold_set(attribute="country", source="", measure="known", least=0.9, by=keeper)
    threshold_set(attribute="", source="", measure="known", least=0.01, by=keeper)
    threshold_set(attribute="language", source="shop", measure="known", least=0.5, by=keeper)
    quality_measure()
    alerts = QualityAlert.objects
    assert {one.attribute for one in alerts.all()} == {"language", "first_name", "last_name", "time_zone", "phone"}
    Notice.objects.all().delete()

    Profile.objects.filter(pk=people[0].pk).update(country="")
    for _ in range(3):
        quality_measure()

    fell = alerts.get(attribute="country")
    assert (fell.value, fell.least, fell.ended_at) == (0.75, 0.9, None)
    notice = Notice.objects.get()
    assert (notice.user, notice.title) == (keeper, "country of shop, known fell below its threshold")
    assert notice.body == "country of shop, known: 75.0%, at least 90% wanted"
    Profile.objects.filter(pk=people[0].pk).update(country="AT")
    quality_measure()
    assert alerts.get(attribute="country").ended_at is not None
    Profile.objects.filter(pk=people[0].pk).update(country="")
    quality_measure()
    assert alerts.filter(attribute="country").count() == 2
    assert Notice.objects.count() == 2
    told = [one.event.kind for one in WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event")]
    assert told.count("quality.recovered") == 1
    assert told.count("quality.fell") == 7

    one = QualityThreshold.objects.get(attribute="country")
    threshold_remove(threshold_id=one.pk, by=keeper)
    threshold_remove(threshold_id=one.pk, by=keeper)
    quality_measure()
    assert not alerts.filter(attribute="country", ended_at=None).exists(), "what nobody asks for any more is over"


def test_pages_lead_to_the_people_for_who_may_see_them_and_name_nobody(client: Client) -> None:
    director = make_user("administrator")
    person = make_profile(source="the shop", country="at", first_name="Canary")
    make_profile(source="the shop", country="AT")
    make_profile(source="app", country="DE")
    quality_measure()
    client.force_login(director)

    page = client.get("/console/quality/", {"source": "the shop"}).content.decode()
    link = "/console/quality/rows/?attribute=country&amp;source=the%20shop&amp;measure=fitting"
    assert link in page
    assert "app, 1" not in page
    rows = client.get(unescape(link)).content.decode()
    assert f"/console/people/{person.pk}/" in rows
    assert "Canary" not in rows
    assert client.get("/console/quality/rows/?attribute=country&source=&measure=fitting").status_code == 404
    assert client.get("/console/quality/rows/?attribute=country&source=app&measure=x").status_code == 404

    given = {"attribute": "country", "source": "", "measure": "fitting", "least": "90"}
    analyst = Client()
    analyst.force_login(make_user("analyst"))
    assert analyst.post("/console/quality/thresholds/", given).status_code == 403
    assert client.post("/console/quality/thresholds/", {**given, "least": "0"}).status_code == 302
    assert not QualityThreshold.objects.exists()
    client.post("/console/quality/thresholds/", given)
    quality_measure()
    page = client.get("/console/quality/").content.decode()
    assert "Below their threshold" in page
    assert "at least 90 %" in page
    client.post("/console/quality/thresholds/", {"remove": str(QualityThreshold.objects.get().pk)})
    assert not QualityThreshold.objects.exists()
