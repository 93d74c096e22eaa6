"""Addresses of items."""

from django.urls import path

from . import views

urlpatterns = [
    path("items", views.ItemsView.as_view(), name="items"),
    path("items/bulk", views.ItemsBulkView.as_view(), name="items-bulk"),
    path("items/<int:item_id>", views.ItemView.as_view(), name="item"),
]
