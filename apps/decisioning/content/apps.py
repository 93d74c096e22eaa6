from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "apps.decisioning.content"

    def ready(self) -> None:
        from apps.foundation.accounts.api_reach import Reach, reach_declare

        from .governing import governing_register  # models are loaded only now
        from .rights import rights_declare
        from .selectors import brands_offered, markets_offered

        governing_register()
        rights_declare()
        reach_declare(
            Reach("brands", "Brands", brands_offered, "Of the playbooks, runs and messages it sees. None chosen: all.")
        )
        reach_declare(Reach("markets", "Markets", markets_offered, "Whose blocks. None chosen: all, and shared ones."))
