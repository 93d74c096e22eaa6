"""Addresses of blocks."""

from django.urls import path

from . import views

_VERSION = "blocks/<int:block_id>/versions/<int:number>"

urlpatterns = [
    path("block-types", views.BlockTypesView.as_view(), name="block-types"),
    path("blocks", views.BlocksView.as_view(), name="blocks"),
    path("blocks/<int:block_id>", views.BlockView.as_view(), name="block"),
    path("blocks/<int:block_id>/versions", views.BlockVersionsView.as_view(), name="block-versions"),
    path(_VERSION, views.BlockVersionView.as_view(), name="block-version"),
    path(f"{_VERSION}/submit", views.BlockHandInView.as_view(), name="block-version-submit"),
    path(f"{_VERSION}/withdraw", views.BlockTakeBackView.as_view(), name="block-version-withdraw"),
]
