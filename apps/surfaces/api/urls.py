"""Addresses of the API, below /api/v1/. Each resource keeps its own in its folder."""

from django.urls import include, path, re_path

from .describing import docs_page, schema_document
from .views import nothing_here

app_name = "api"
urlpatterns = [
    path("", include("apps.surfaces.api.v1.events.urls")),  # first, as what is asked for most
    path("schema", schema_document, name="schema"),
    path("docs", docs_page, name="docs"),
    path("", include("apps.surfaces.api.v1.audiences.urls")),
    path("", include("apps.surfaces.api.v1.blocks.urls")),
    path("", include("apps.surfaces.api.v1.changes.urls")),
    path("", include("apps.surfaces.api.v1.clients.urls")),
    path("", include("apps.surfaces.api.v1.consents.urls")),
    path("", include("apps.surfaces.api.v1.decisions.urls")),
    path("", include("apps.surfaces.api.v1.definitions.urls")),
    path("", include("apps.surfaces.api.v1.imports.urls")),
    path("", include("apps.surfaces.api.v1.items.urls")),
    path("", include("apps.surfaces.api.v1.messages.urls")),
    path("", include("apps.surfaces.api.v1.playbooks.urls")),
    path("", include("apps.surfaces.api.v1.profiles.urls")),
    path("", include("apps.surfaces.api.v1.promotions.urls")),
    path("", include("apps.surfaces.api.v1.runs.urls")),
    path("", include("apps.surfaces.api.v1.templates.urls")),
    path("", include("apps.surfaces.api.v1.tickets.urls")),
    path("", include("apps.surfaces.api.v1.webhooks.urls")),
    re_path(r"^[\s\S]", nothing_here, name="nothing"),  # `<path:…>` would leave out those with a line break
]
