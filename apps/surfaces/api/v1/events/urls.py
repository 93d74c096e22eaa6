"""The address of events in the API's own form, and those of Segment's libraries, which lie at the root."""

from django.urls import path

from . import views

urlpatterns = [
    path("events", views.events_take, name="events"),
]
segment_urlpatterns = [
    path(call, views.segment_take, {"call": call}, name=f"segment-{call}") for call in views.SEGMENT_CALLS
]
