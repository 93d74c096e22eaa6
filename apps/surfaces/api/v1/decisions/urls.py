"""Addresses of decisions."""

from django.urls import path

from . import views

urlpatterns = [
    path("decisions", views.DecisionsView.as_view(), name="decisions"),
    path("decisions/<uuid:decision_id>", views.DecisionView.as_view(), name="decision"),
]
