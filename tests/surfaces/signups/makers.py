"""Makes what tests of sign-up need."""

from typing import Any

from apps.data.consent.models import Interest, Purpose
from apps.decisioning.content.services import brand_create
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.surfaces.signups.models import SignUp, SignUpForm, Survey
from apps.surfaces.signups.services import sign_up_form_create, survey_save
from tests.factories import make_profile, make_purposes, make_user


def make_interests(*codes: str) -> list[Interest]:
    """Interests of these codes, named like them."""
    return [Interest.objects.get_or_create(code=code, defaults={"name": code.title()})[0] for code in codes]


def make_survey(code: str = "likes", *, questions: int = 1) -> Survey:
    """A survey whose every question has hiking, running and reading as its answers."""
    codes = [interest.pk for interest in make_interests("hiking", "running", "reading")]
    words = {"en": "What do you like?", "de": "Was magst du?", "ar": "ماذا تحب؟"}
    return survey_save(
        by=make_user("publisher"),
        survey_id=None,
        code=code,
        name=code.title(),
        questions=[{"words": words, "interests": codes} for _ in range(questions)],
    )


def make_form(code: str = "news", *, double: bool = True, **fields: Any) -> SignUpForm:
    """A sign-up form that is active, for two purposes. double: whether these ask for a double opt-in."""
    make_purposes()
    Purpose.objects.filter(code__in=("marketing", "personalisation")).update(double_opt_in=double)
    root = User.objects.create_superuser(f"root-{code}@staff.example", "a long enough password")
    brand = brand_create(
        by=root,
        code=f"brand-{code}",
        name="Alpenglow",
        from_name="Alpenglow",
        from_email="hello@alpenglow.example",
        postal_address="Alpenglow, 1 High Street",
        shop_url="https://shop.example/",
        link_hosts=["shop.example"],
    )
    given: dict[str, Any] = {
        "name": "News",
        "brand": brand,
        "purposes": list(Purpose.objects.filter(code__in=("marketing", "personalisation"))),
        "interests": make_interests("hiking", "running"),
        "asks_name": True,
        "words": {
            "en": {"title": "Letters from the mountains", "intro": "Once a week.", "thanks": "Good to meet you."},
            "de": {"title": "Briefe aus den Bergen"},
            "ar": {"title": "رسائل من الجبال"},
        },
        "origins": ["https://shop.example"],
        "survey": None,
        "mail_survey": None,
        "active": True,
    }
    return sign_up_form_create(by=root, code=code, **(given | fields))


def make_sign_up(form: SignUpForm, **fields: Any) -> SignUp:
    """A sign-up that waits, of somebody of its own."""
    profile = fields.pop("profile", None) or make_profile()
    return SignUp.objects.create(
        **{"form": form, "form_version": form.version, "profile": profile, "created_at": now(), **fields}
    )
