"""Every address of Tessera; a surface keeps its own below its prefix."""

from django.contrib import admin
from django.urls import include, path

from apps.surfaces.api.v1.events.urls import segment_urlpatterns
from apps.surfaces.console.approving import notices_stream
from apps.surfaces.console.rehearsing import dry_run_stream, test_sent_stream
from apps.surfaces.console.views import person_stream, run_stream
from apps.surfaces.preferences.following import preferences_stream

urlpatterns = [
    # First what is asked for thousands of times a second: addresses are tried in this order.
    path("v1/", include(segment_urlpatterns)),
    path("api/v1/", include("apps.surfaces.api.urls")),
    path("", include("apps.surfaces.preferences.urls")),
    path("", include("apps.surfaces.tracking.urls")),
    path("", include("apps.insight.monitoring.urls")),
    path("console/", include("apps.surfaces.console.urls")),
    path("live/run/<int:run_id>/", run_stream, name="live-run"),
    path("live/person/<int:profile_id>/", person_stream, name="live-person"),
    path("live/notices/", notices_stream, name="live-notices"),
    path("live/dry-run/<uuid:dry_run_id>/", dry_run_stream, name="live-dry-run"),
    path("live/test/<uuid:test_send_id>/", test_sent_stream, name="live-test"),
    path("live/p/<str:token>", preferences_stream, name="live-preferences"),
    path("admin/", admin.site.urls),
]
