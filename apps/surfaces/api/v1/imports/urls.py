"""Addresses of imports."""

from django.urls import path

from . import views

urlpatterns = [
    path("imports", views.ImportsView.as_view(), name="imports"),
    path("imports/<int:import_id>", views.ImportView.as_view(), name="import"),
    path("imports/<int:import_id>/errors", views.ImportErrorsView.as_view(), name="import-errors"),
    path("imports/<int:import_id>/stop", views.ImportStopView.as_view(), name="import-stop"),
    path("imports/<int:import_id>/go-on", views.ImportGoOnView.as_view(), name="import-go-on"),
]
