"""Every address of Tessera; a surface keeps its own below its prefix."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("apps.surfaces.preferences.urls")),
    path("", include("apps.insight.monitoring.urls")),
    path("console/", include("apps.surfaces.console.urls")),
    path("admin/", admin.site.urls),
]
