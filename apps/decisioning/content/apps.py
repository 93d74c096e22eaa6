from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "apps.decisioning.content"
