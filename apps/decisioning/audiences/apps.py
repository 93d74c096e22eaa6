from django.apps import AppConfig


class AudiencesConfig(AppConfig):
    name = "apps.decisioning.audiences"
