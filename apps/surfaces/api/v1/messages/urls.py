"""Addresses of messages."""

from django.urls import path

from . import views

urlpatterns = [
    path("messages", views.MessagesView.as_view(), name="messages"),
    path("messages/<uuid:message_id>", views.MessageView.as_view(), name="message"),
    path("messages/<uuid:message_id>/shown", views.ShownView.as_view(), name="message-shown"),
    path("profiles/<int:profile_id>/waiting", views.WaitingView.as_view(), name="profile-waiting"),
    path("messages/<uuid:message_id>/events", views.MessageEventsView.as_view(), name="message-events"),
]
