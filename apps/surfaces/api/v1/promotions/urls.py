"""Addresses of promotions."""

from django.urls import path

from . import views

urlpatterns = [
    path("promotions", views.PromotionsView.as_view(), name="promotions"),
    path("promotions/bulk", views.PromotionsBulkView.as_view(), name="promotions-bulk"),
    path("promotions/<int:promotion_id>", views.PromotionView.as_view(), name="promotion"),
]
