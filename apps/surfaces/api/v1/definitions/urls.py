"""Addresses of definitions."""

from django.urls import path

from . import views

urlpatterns = [
    path("attributes", views.AttributesView.as_view(), name="attributes"),
    path("event-schemas", views.EventSchemasView.as_view(), name="event-schemas"),
]
