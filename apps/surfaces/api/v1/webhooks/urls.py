"""Addresses of webhooks."""

from django.urls import path

from . import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view(), name="webhooks"),
    path("webhooks/<int:endpoint_id>", views.WebhookView.as_view(), name="webhook"),
    path("webhooks/<int:endpoint_id>/secret", views.WebhookSecretView.as_view(), name="webhook-secret"),
    path("webhooks/<int:endpoint_id>/test", views.WebhookTestView.as_view(), name="webhook-test"),
    path("webhooks/<int:endpoint_id>/deliveries", views.WebhookDeliveriesView.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/again",
        views.WebhookAgainView.as_view(),
        name="webhook-delivery-again",
    ),
]
