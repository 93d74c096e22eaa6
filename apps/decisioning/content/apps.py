from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "apps.decisioning.content"

    def ready(self) -> None:
        from .governing import governing_register  # models are loaded only now
        from .rights import rights_declare

        governing_register()
        rights_declare()
