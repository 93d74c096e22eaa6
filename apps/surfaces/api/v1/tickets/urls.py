"""Addresses of support tickets."""

from django.urls import path

from . import views

urlpatterns = [
    path("tickets", views.TicketsView.as_view(), name="tickets"),
    path("tickets/bulk", views.TicketsBulkView.as_view(), name="tickets-bulk"),
]
