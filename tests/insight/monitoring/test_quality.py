"""Data quality: what is counted, what counts as low, and what can run on it."""

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.profiles.attributes import attributes_put
from apps.data.profiles.services import attribute_define
from apps.insight.monitoring.models import QualityFigure
from apps.insight.monitoring.quality import quality_lines, quality_measure, readiness
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
    assert next(line for line in lines if (line.attribute, line.source) == ("club", "shop")).mend.startswith(
        "Ask for it"
    )
    assert readiness() == []


def test_the_page_shows_it_and_who_may_not_measures_nothing(client: Client, settings: Settings) -> None:
    client.force_login(make_user("administrator"))
    assert "Not measured yet" in client.get("/console/quality/").content.decode()
    make_profile(source="shop")
    quality_measure()
    page = client.get("/console/quality/").content.decode()
    assert "time_zone" in page
    assert "No playbook is published yet" in page
    analyst = Client()
    analyst.force_login(make_user("analyst"))
    assert analyst.get("/console/quality/").status_code == 200
    assert analyst.post("/console/quality/measure/").status_code == 403
