"""Addresses of templates."""

from django.urls import path

from . import views

_VERSION = "templates/<int:template_id>/versions/<int:number>"

urlpatterns = [
    path("templates", views.TemplatesView.as_view(), name="templates"),
    path("templates/<int:template_id>", views.TemplateView.as_view(), name="template"),
    path("templates/<int:template_id>/versions", views.TemplateVersionsView.as_view(), name="template-versions"),
    path(_VERSION, views.TemplateVersionView.as_view(), name="template-version"),
    path(f"{_VERSION}/submit", views.TemplateHandInView.as_view(), name="template-version-submit"),
    path(f"{_VERSION}/withdraw", views.TemplateTakeBackView.as_view(), name="template-version-withdraw"),
]
