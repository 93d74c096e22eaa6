from django.apps import AppConfig


class AudiencesConfig(AppConfig):
    name = "apps.decisioning.audiences"

    def ready(self) -> None:
        from .rights import rights_declare  # models are loaded only now

        rights_declare()
