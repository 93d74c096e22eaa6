from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    name = "apps.decisioning.playbooks"

    def ready(self) -> None:
        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .governing import governing_register
        from .rights import rights_declare

        governing_register()
        rights_declare()
