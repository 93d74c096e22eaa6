"""Who may do what: every address of Tessera, and every kind of object in the admin. What is not listed here fails."""

from dataclasses import dataclass

PUBLIC = "anybody"
TOKEN = "whoever holds the signed link"  # no secret, a word for people
STAFF = "any member of staff"

EVERY_ROLE = frozenset(
    {
        "local_editor",
        "engineer",
        "brand_approver",
        "legal_approver",
        "publisher",
        "analyst",
        "administrator",
    }
)

_RUNS = ("playbooks.view_run",)
_MESSAGES = ("sending.view_message", "decisions.view_decision")
_REVIEWS = ("governance.view_review",)

_DRY_RUNS = ("playbooks.view_playbook", "console.view_dryrun")
_MAKE_DRY_RUNS = (*_DRY_RUNS, "console.make_dryrun")
_TESTS = ("playbooks.view_playbook", "console.make_testsend")

ROUTES: dict[str, str | tuple[str, ...]] = {
    "p/": PUBLIC,  # an address typed in is answered alike, known or not
    "p/<str:token>": TOKEN,
    "p/<str:token>/data": TOKEN,
    "push/worker.js": PUBLIC,  # the same script for everybody
    "p/<str:token>/push": TOKEN,
    "x/<str:token>": TOKEN,
    "u/<str:token>": TOKEN,
    "c/<str:token>": TOKEN,
    "n/<str:token>": TOKEN,
    "b/<str:token>": TOKEN,
    ".well-known/gpc.json": PUBLIC,
    "hooks/consent/<uuid:platform_id>": PUBLIC,  # and a signature
    "t/<str:token>": TOKEN,
    "sign-up/<slug:code>": PUBLIC,
    "sign-up/<slug:code>/address": PUBLIC,
    "sign-up/<slug:code>/thanks": PUBLIC,
    "s/<str:token>": TOKEN,
    "a/<str:token>/<int:number>": TOKEN,
    "healthz": PUBLIC,
    "metrics": PUBLIC,  # to who brings METRICS_KEY
    "look/<str:accent>.css": PUBLIC,
    "live/p/<str:token>": TOKEN,
    "l/<str:token>/<int:number>": TOKEN,
    "l/<str:token>/o.gif": TOKEN,
    "d/<str:token>/<int:number>": TOKEN,
    "hooks/mail/<slug:provider>": PUBLIC,  # and a signature, or the provider's secret
    "hooks/in/<slug:code>": PUBLIC,  # and a signature
    "hooks/sms/<slug:provider>/reply": PUBLIC,  # and Twilio's signature
    "hooks/sms/<slug:provider>/<uuid:message_id>": PUBLIC,  # and Twilio's signature
    "live/run/<int:run_id>/": _RUNS,
    "live/person/<int:profile_id>/": ("profiles.view_profile",),
    "live/notices/": _REVIEWS,
    "live/dry-run/<uuid:dry_run_id>/": _DRY_RUNS,
    "live/test/<uuid:test_send_id>/": _TESTS,
    "console/": PUBLIC,  # leads to the admin's first page, which asks who is there
    "console/runs/": _RUNS,
    "console/runs/<int:run_id>/": _RUNS,
    "console/runs/<int:run_id>/pause/": _RUNS,  # and `stop` on the playbook
    "console/runs/<int:run_id>/resume/": (*_RUNS, "playbooks.run_playbook"),  # and `run` on the playbook
    "console/runs/<int:run_id>/pace/": (*_RUNS, "playbooks.run_playbook"),  # and `run` on the playbook
    "console/runs/<int:run_id>/cancel/": _RUNS,  # and `stop`
    "console/runs/<int:run_id>/messages/": _RUNS + _MESSAGES,
    "console/messages/<uuid:decision_id>/": _MESSAGES,
    "console/people/<int:profile_id>/": ("profiles.view_profile",),  # what else it shows goes by more rights
    "console/playbooks/<int:playbook_id>/dry-runs/": _DRY_RUNS,  # making one asks for more: test_rehearsing.py
    "console/playbooks/<int:playbook_id>/test/": _TESTS,
    "console/dry-runs/<uuid:dry_run_id>/": _DRY_RUNS,
    "console/dry-runs/<uuid:dry_run_id>/stop/": _MAKE_DRY_RUNS,
    "console/dry-runs/<uuid:dry_run_id>/go-on/": _MAKE_DRY_RUNS,
    "console/dry-runs/<uuid:dry_run_id>/samples/<int:position>/": (*_DRY_RUNS, "profiles.view_profile"),
    "console/tests/<uuid:test_send_id>/": _TESTS,
    "console/reviews/": _REVIEWS,
    "console/reviews/<int:review_id>/": _REVIEWS,
    "console/reviews/<int:review_id>/comment/": _REVIEWS,
    "console/events/": ("events.view_event",),
    "console/merges/": ("profiles.view_merge",),
    "console/merges/make/": ("profiles.view_merge", "profiles.add_merge"),
    "console/merges/<int:merge_id>/undo/": ("profiles.view_merge", "profiles.undo_merge"),
    "console/merges/candidates/<int:candidate_id>/": ("profiles.view_merge", "profiles.add_merge"),
    "console/quality/": ("monitoring.view_qualityfigure",),
    "console/quality/rows/": ("monitoring.view_qualityfigure",),  # whom it is about goes by `profiles.view_profile`
    "console/quality/thresholds/": ("monitoring.view_qualityfigure", "monitoring.change_qualitythreshold"),
    "console/quality/measure/": ("monitoring.view_qualityfigure", "monitoring.measure_qualityfigure"),
    "console/retention/": ("privacy.view_retentionmark",),
    "console/register-of-processing/": ("privacy.view_retentionmark",),
    "console/notices/": _REVIEWS,
    "console/notices/unread/": _REVIEWS,
    "console/notices/mail/": _REVIEWS,
    "console/notices/<int:notice_id>/": _REVIEWS,
    "api/v1/schema": PUBLIC,
    "api/v1/docs": PUBLIC,
    r"api/v1/^[\s\S]": PUBLIC,  # says that there is nothing
    "admin/": STAFF,
    "admin/login/": PUBLIC,
    "admin/logout/": PUBLIC,
    "admin/password_change/": STAFF,
    "admin/password_change/done/": STAFF,
    "admin/autocomplete/": STAFF,
    "admin/jsi18n/": STAFF,
    "admin/search/": STAFF,
    "admin/r/<path:content_type_id>/<path:object_id>/": STAFF,
    "admin/<app_label>/": STAFF,
    "admin/(?P<url>.*)$": STAFF,
}
"""Route → PUBLIC, TOKEN, STAFF, or the rights that a member of staff must have, all of them."""


@dataclass(frozen=True)
class Kind:
    """A kind of object in the admin: which roles may do what. A superuser may do all that anybody may."""

    view: frozenset[str] = EVERY_ROLE
    add: frozenset[str] = frozenset()
    change: frozenset[str] = frozenset()
    delete: frozenset[str] = frozenset()


_EDITOR, _ENGINEER = frozenset({"local_editor"}), frozenset({"engineer"})
_PUBLISHER, _ADMINISTRATOR = frozenset({"publisher"}), frozenset({"administrator"})
_CENTRAL_TEAM = _ENGINEER | _ADMINISTRATOR
_LEGAL = frozenset({"legal_approver"})
_WORDERS = _LEGAL | _PUBLISHER | _ADMINISTRATOR

ADMIN: dict[str, Kind] = {
    "accounts.apiclient": Kind(view=_ADMINISTRATOR, add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "accounts.user": Kind(view=_ADMINISTRATOR, add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "audiences.audience": Kind(add=_PUBLISHER, change=_PUBLISHER),
    "catalog.item": Kind(),
    "catalog.promotion": Kind(),
    "consent.consentplatform": Kind(view=_ADMINISTRATOR, add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "consent.consentrecord": Kind(),
    "consent.consentstate": Kind(),
    "consent.privacypolicy": Kind(add=_LEGAL | _ADMINISTRATOR),
    "consent.purpose": Kind(change=_ADMINISTRATOR),
    "consent.suppression": Kind(add=_ADMINISTRATOR),
    "consent.wording": Kind(add=_WORDERS, change=_WORDERS),
    "consent.topic": Kind(add=_PUBLISHER | _ADMINISTRATOR, change=_PUBLISHER | _ADMINISTRATOR),
    "consent.interest": Kind(add=_PUBLISHER | _ADMINISTRATOR, change=_PUBLISHER | _ADMINISTRATOR),
    "content.block": Kind(add=_EDITOR | _PUBLISHER | _CENTRAL_TEAM, change=_EDITOR | _PUBLISHER | _CENTRAL_TEAM),
    "content.blocktype": Kind(add=_CENTRAL_TEAM, change=_CENTRAL_TEAM),
    "content.blockversion": Kind(),
    "content.brand": Kind(add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "content.compiledtemplate": Kind(view=frozenset()),  # for a superuser, who looks into a fault
    "content.market": Kind(add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "content.persona": Kind(add=_EDITOR | _CENTRAL_TEAM | _PUBLISHER, change=_EDITOR | _CENTRAL_TEAM | _PUBLISHER),
    "content.template": Kind(add=_ENGINEER, change=_ENGINEER),
    "content.templateversion": Kind(),
    "events.deadletter": Kind(view=_CENTRAL_TEAM),
    "events.event": Kind(),
    "events.eventschema": Kind(add=_CENTRAL_TEAM, change=_CENTRAL_TEAM),
    "events.unknownname": Kind(),
    "events.order": Kind(),
    "governance.approvalpath": Kind(add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "governance.auditentry": Kind(),
    "governance.review": Kind(),
    "imports.import": Kind(add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "inbound.inboundletter": Kind(view=_CENTRAL_TEAM),
    "inbound.inboundsystem": Kind(view=_CENTRAL_TEAM),
    "playbooks.playbook": Kind(add=_PUBLISHER, change=_PUBLISHER),
    "playbooks.playbookversion": Kind(),
    "playbooks.run": Kind(),
    "privacy.rightsrequest": Kind(view=_LEGAL | _ADMINISTRATOR, add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "profiles.attributedefinition": Kind(add=_ADMINISTRATOR, change=_ADMINISTRATOR),
    "profiles.profile": Kind(),
    "sending.dispatch": Kind(),
    "sending.message": Kind(),
    "sending.messageevent": Kind(),
    "recommendations.editorialpicks": Kind(add=_PUBLISHER | _CENTRAL_TEAM, change=_PUBLISHER | _CENTRAL_TEAM),
    "signups.signup": Kind(),
    "signups.signupform": Kind(add=_PUBLISHER | _ADMINISTRATOR, change=_PUBLISHER | _ADMINISTRATOR),
    "signups.survey": Kind(add=_PUBLISHER | _ADMINISTRATOR, change=_PUBLISHER | _ADMINISTRATOR),
    "webhooks.webhookdelivery": Kind(view=_ADMINISTRATOR),
    "webhooks.webhookendpoint": Kind(view=_ADMINISTRATOR, add=_ADMINISTRATOR, change=_ADMINISTRATOR),
}
"""`app.model` → who may. Nobody deletes in the admin what others refer to."""


# --- single objects ---

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Door:
    """An address of a kind of object in the admin, after `admin/app/model/`; after a colon, what is asked there.

    get, post: who comes in, as `role`, or `role@relation` for some objects only; post=None: a POST changes nothing.
    proves: the test's POST does it, where it is allowed.
    """

    post: frozenset[str] | None = None
    get: frozenset[str] = EVERY_ROLE
    proves: bool = True


RELATIONS: dict[str, tuple[str, ...]] = {
    "content.block": ("own", "anothers", "own_here", "here", "there", "foundation_here", "shared"),
    "content.blocktype": ("own", "anothers"),
    "content.brand": ("own", "anothers"),
    "content.template": ("own", "anothers", "shared"),
    "audiences.audience": ("own", "anothers", "shared"),
    "playbooks.playbook": ("own", "anothers", "shared"),
}
"""What an object may be to somebody. here: of a market they work in, there: of another; shared: given to them."""


def _at(roles: str, *relations: str) -> frozenset[str]:
    return frozenset(f"{role}@{relation}" for role in roles.split() for relation in relations)


def _doors(
    *, add: frozenset[str], change: frozenset[str], own: frozenset[str], share: bool, publish: frozenset[str] | None
) -> dict[str, Door]:
    """The doors that every kind has. own: who hands over; publish: of kinds under the workflow."""
    shares = own if share else NOBODY
    return {
        "": Door(),
        "<path:object_id>/": Door(),
        "add/": Door(add, get=add),
        "<path:object_id>/change/": Door(change),
        "<path:object_id>/delete/": Door(NOBODY, get=NOBODY),
        "<path:object_id>/history/": Door(),
        "<path:object_id>/history/:revert": Door(change, proves=False),
        "<path:object_id>/approval-and-history/": Door(),
        "<path:object_id>/owner/": Door(),
        "<path:object_id>/owner/:hand_over": Door(own),
        "<path:object_id>/owner/:share": Door(shares),
        "<path:object_id>/owner/:unshare": Door(shares),
    } | (
        {
            "<path:object_id>/history/:submit": Door(change, proves=False),
            "<path:object_id>/history/:take_back": Door(change, proves=False),
            "<path:object_id>/history/:publish": Door(publish, proves=False),
            "<path:object_id>/history/:withdraw": Door(publish, proves=False),
        }
        if publish is not None
        else {}
    )


_TESTERS = EVERY_ROLE - {"analyst"}
_BLOCK_EDITS = _CENTRAL_TEAM | _at("local_editor publisher", "own_here", "here")
_OWN_PLAYBOOK = _at("publisher", "own", "shared")
_TEMPLATE_TESTS = Door(_ENGINEER, get=_ENGINEER, proves=False)

DOORS: dict[str, dict[str, Door]] = {
    "content.block": {
        **_doors(
            add=_EDITOR | _PUBLISHER | _CENTRAL_TEAM,
            change=_BLOCK_EDITS,
            own=_ADMINISTRATOR | _at("engineer publisher", "own", "own_here") | _at("local_editor", "own_here"),
            share=True,
            publish=_at("engineer administrator", "own", "own_here", "shared")
            | _at("publisher", "own", "own_here", "here", "foundation_here", "shared"),
        ),
        "preview/<int:type_id>/": Door(_EDITOR | _PUBLISHER | _CENTRAL_TEAM, get=NOBODY, proves=False),
    },
    "content.blocktype": _doors(
        add=_CENTRAL_TEAM, change=_CENTRAL_TEAM, own=_ADMINISTRATOR | _at("engineer", "own"), share=False, publish=None
    ),
    "content.brand": _doors(add=_ADMINISTRATOR, change=_ADMINISTRATOR, own=_ADMINISTRATOR, share=False, publish=None),
    "content.template": {
        **_doors(
            add=_ENGINEER,
            change=_ENGINEER,
            own=_ADMINISTRATOR | _at("engineer", "own"),
            share=True,
            publish=_at("engineer", "own", "shared"),
        ),
        "preview/": Door(_ENGINEER, get=NOBODY, proves=False),
        "<int:pk>/tests/": Door(_ENGINEER, proves=False),
        "<int:pk>/tests/case/": _TEMPLATE_TESTS,
        "<int:pk>/tests/arrangement/": _TEMPLATE_TESTS,
    },
    "audiences.audience": {
        **_doors(
            add=_PUBLISHER,
            change=_at("publisher", "own", "shared"),
            own=_ADMINISTRATOR | _at("publisher", "own"),
            share=True,
            publish=None,
        ),
        "preview/": Door(_PUBLISHER, get=NOBODY, proves=False),
        "schema/": Door(get=_PUBLISHER),
        "<path:object_id>/export/": Door(_ADMINISTRATOR, get=_ADMINISTRATOR, proves=False),
    },
    "playbooks.playbook": {
        **_doors(
            add=_PUBLISHER,
            change=_OWN_PLAYBOOK,
            own=_ADMINISTRATOR | _at("publisher", "own"),
            share=True,
            publish=_OWN_PLAYBOOK,
        ),
        "<path:object_id>/ask-approval/": Door(_OWN_PLAYBOOK, get=_OWN_PLAYBOOK),
        "<path:object_id>/publish/": Door(_OWN_PLAYBOOK, get=_OWN_PLAYBOOK),
        "<path:object_id>/withdraw/": Door(_OWN_PLAYBOOK, get=_OWN_PLAYBOOK),
        "<path:object_id>/start-run/": Door(_OWN_PLAYBOOK, get=_OWN_PLAYBOOK),
        "<path:object_id>/dry-run/": Door(),
        "<path:object_id>/test/": Door(get=_TESTERS),
        "steps-preview/": Door(_PUBLISHER, get=NOBODY, proves=False),
        "start-from/": Door(),
        "ready-made/": Door(),
        "ready-made/layout/": Door(_ENGINEER, get=NOBODY),
        "ready-made/<str:code>/": Door(_PUBLISHER, get=_PUBLISHER, proves=False),
    },
}
"""`app.model` → its doors. Every address of these kinds, and every deed of their pages, is here."""
