"""The shop's sign-up form, and the question that is asked after it and in the welcome mail."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from apps.data.consent.models import Interest, Purpose
from apps.data.consent.offering import offered_put
from apps.decisioning.content.models import Brand
from apps.foundation.accounts.models import User
from apps.surfaces.signups.models import SignUpForm
from apps.surfaces.signups.services import sign_up_form_create, survey_save


def sign_up_make(brand: Brand, staff: Mapping[str, User]) -> SignUpForm:
    """Interests, survey and form from the file beside this one, by whose role it is."""
    given: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "sign_up.yaml").read_text("utf-8"))
    for position, (code, words) in enumerate(given["interests"].items()):
        offered_put(model=Interest, by=staff["administrator"], code=code, position=position, **words)
    survey = survey_save(by=staff["publisher"], survey_id=None, **given["survey"])
    fields = given["form"]
    return sign_up_form_create(
        by=staff["publisher"],
        code=fields["code"],
        name=fields["name"],
        brand=brand,
        purposes=list(Purpose.objects.filter(code__in=fields["purposes"])),
        interests=[],
        asks_name=True,
        words=fields["words"],
        origins=[brand.shop_url],
        survey=survey,
        mail_survey=survey,
        active=True,
    )
