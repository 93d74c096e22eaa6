from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "apps.decisioning.content"

    def ready(self) -> None:
        from .governing import governing_register  # models are loaded only now

        governing_register()
