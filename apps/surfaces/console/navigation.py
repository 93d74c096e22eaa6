"""The sidebar of every staff page, grouped by job; only what the person may see, and what is there."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.data.catalog.models import Item, Promotion
from apps.data.consent.models import (
    ConsentPlatform,
    ConsentRecord,
    Interest,
    PrivacyPolicy,
    Purpose,
    Suppression,
    Topic,
    Wording,
)
from apps.data.events.models import DeadLetter, Event, EventSchema, Order, UnknownName
from apps.data.imports.models import Import
from apps.data.inbound.models import InboundLetter, InboundSystem
from apps.data.privacy.models import RightsRequest
from apps.data.profiles.models import AttributeDefinition, Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Block, BlockType, Brand, Market, Persona, Template
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.recommendations.models import EditorialPicks
from apps.delivery.sending.models import Message, MessageEvent, Sender
from apps.delivery.webhooks.models import WebhookEndpoint
from apps.foundation.accounts.models import ApiClient, User
from apps.foundation.governance.models import ApprovalPath, AuditEntry
from apps.surfaces.signups.models import SignUp, SignUpForm, Survey

from .reviews import reviews_waiting

Link = dict[str, Any]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold's sidebar."""
    groups: list[tuple[str, list[Link | None]]] = [
        (
            "",
            [_home(request)],
        ),
        (
            _("Work"),
            [
                _model(request, Playbook, _("Playbooks"), "alt_route"),
                _model(request, Audience, _("Audiences"), "groups"),
                _model(request, Block, _("Blocks"), "widgets"),
                _model(request, Template, _("Templates"), "article"),
                _model(request, Wording, _("Wordings of consent"), "contract"),
                _model(request, EditorialPicks, _("Editorial picks"), "playlist_add_check"),
                _model(request, Persona, _("Personas"), "face"),
            ],
        ),
        (
            _("Runs and messages"),
            [
                _page(request, "playbooks.view_run", "console:runs", _("Runs"), "send"),
                _model(request, Message, _("Messages"), "mail"),
                _model(request, MessageEvent, _("What came back"), "reply"),
                _model(request, Sender, _("Senders"), "dns"),
            ],
        ),
        (
            _("People and data"),
            [
                _model(request, Profile, _("Profiles"), "person"),
                _page(request, "profiles.view_merge", "console:merges", _("Who is one person"), "join_inner"),
                _page(request, "monitoring.view_qualityfigure", "console:quality", _("Data quality"), "monitoring"),
                _model(request, AttributeDefinition, _("Attributes"), "label"),
                _model(request, Import, _("Imports"), "upload_file"),
                _model(request, SignUp, _("Sign-ups"), "how_to_reg"),
                _page(request, "profiles.view_profile", "preferences:find", _("Customers' own page"), "contact_mail"),
                _model(request, ConsentRecord, _("Consent"), "verified_user"),
                _model(request, Suppression, _("Suppressed addresses"), "block"),
                _model(request, RightsRequest, _("Rights requests"), "shield_person"),
                _model(request, Item, _("Items"), "sell"),
                _model(request, Promotion, _("Promotions"), "percent"),
                _model(request, Order, _("Orders"), "shopping_cart"),
            ],
        ),
        (
            _("Events"),
            [
                _page(request, "events.view_event", "console:events", _("On their way"), "conveyor_belt"),
                _model(request, Event, _("Events"), "bolt"),
                _model(request, EventSchema, _("Schemas"), "schema"),
                _model(request, UnknownName, _("Unknown names"), "help"),
                _model(request, DeadLetter, _("Dead letters"), "report"),
                _model(request, InboundSystem, _("Inbound systems"), "move_to_inbox"),
                _model(request, InboundLetter, _("Inbound letters"), "report"),
            ],
        ),
        (
            _("Governance"),
            [
                _page(request, "governance.view_review", "console:reviews", _("Reviews"), "task_alt", reviews_waiting),
                _model(request, ApprovalPath, _("Approval paths"), "rule"),
                _model(request, AuditEntry, _("Audit log"), "history"),
                _page(request, "privacy.view_retentionmark", "console:retention", _("Retention"), "auto_delete"),
            ],
        ),
        (
            _("Settings"),
            [
                _model(request, Market, _("Markets"), "public"),
                _model(request, Brand, _("Brands"), "storefront"),
                _model(request, BlockType, _("Block types"), "category"),
                _model(request, Purpose, _("Purposes"), "flag"),
                _model(request, SignUpForm, _("Sign-up forms"), "contact_mail"),
                _model(request, Survey, _("Surveys"), "quiz"),
                _model(request, Topic, _("Topics"), "topic"),
                _model(request, Interest, _("Interests"), "interests"),
                _model(request, PrivacyPolicy, _("Privacy policies"), "policy"),
                _model(request, ConsentPlatform, _("Consent platforms"), "handshake"),
                _model(request, WebhookEndpoint, _("Webhooks"), "webhook"),
                _model(request, ApiClient, _("API clients"), "api"),
                _model(request, User, _("Users"), "manage_accounts"),
            ],
        ),
    ]
    return [
        {"title": title, "items": links}
        for title, found in groups
        if (links := [link for link in found if link is not None])
    ]


def _home(request: HttpRequest) -> Link:
    return {"title": _("Today"), "icon": "home", "link": reverse("admin:index")}


def _model(request: HttpRequest, model: type[Model], title: str, icon: str) -> Link | None:
    page = admin.site._registry.get(model)
    if page is None or not page.has_view_permission(request):
        return None
    meta = model._meta
    return {"title": title, "icon": icon, "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")}


def _page(request: HttpRequest, right: str, name: str, title: str, icon: str, count: Any = None) -> Link | None:
    if not request.user.has_perm(right):
        return None
    link: Link = {"title": title, "icon": icon, "link": reverse(name)}
    if count is not None and (waiting := count(request.user)):
        link["badge"] = str(waiting)
    return link
