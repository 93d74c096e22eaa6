"""Every address of Tessera; a surface keeps its own below its prefix."""

from django.contrib import admin
from django.urls import include, path

from apps.surfaces.console.views import run_stream

urlpatterns = [
    path("", include("apps.surfaces.preferences.urls")),
    path("", include("apps.insight.monitoring.urls")),
    path("console/", include("apps.surfaces.console.urls")),
    path("live/run/<int:run_id>/", run_stream, name="live-run"),
    path("admin/", admin.site.urls),
]
