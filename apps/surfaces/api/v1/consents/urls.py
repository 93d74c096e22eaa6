"""Addresses of consent and preferences."""

from django.urls import path

from . import views

urlpatterns = [
    path("consents/bulk", views.ConsentsBulkView.as_view(), name="consents-bulk"),
    path("profiles/<int:profile_id>/consents", views.ConsentsView.as_view(), name="profile-consents"),
    path("profiles/<int:profile_id>/consents/ledger", views.ConsentLedgerView.as_view(), name="profile-ledger"),
    path("profiles/<int:profile_id>/preferences", views.PreferencesView.as_view(), name="profile-preferences"),
]
