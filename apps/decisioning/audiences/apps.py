from django.apps import AppConfig


class AudiencesConfig(AppConfig):
    name = "apps.decisioning.audiences"

    def ready(self) -> None:
        from .governing import governing_register  # models are loaded only now
        from .rights import rights_declare

        rights_declare()
        governing_register()
