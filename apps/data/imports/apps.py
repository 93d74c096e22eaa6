from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "apps.data.imports"
    verbose_name = "Imports"
