"""Addresses of people."""

from django.urls import path

from . import views

urlpatterns = [
    path("profiles", views.ProfilesView.as_view(), name="profiles"),
    path("profiles/bulk", views.ProfilesBulkView.as_view(), name="profiles-bulk"),
    path("identifiers/bulk", views.IdentifiersBulkView.as_view(), name="identifiers-bulk"),
    path("profiles/lookup", views.ProfilesLookupView.as_view(), name="profiles-lookup"),
    path("profiles/<int:profile_id>", views.ProfileView.as_view(), name="profile"),
    path("profiles/<int:profile_id>/events", views.ProfileEventsView.as_view(), name="profile-events"),
    path("profiles/<int:profile_id>/identifiers", views.ProfileIdentifiersView.as_view(), name="profile-identifiers"),
]
