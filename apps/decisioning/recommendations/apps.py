from django.apps import AppConfig


class RecommendationsConfig(AppConfig):
    name = "apps.decisioning.recommendations"

    def ready(self) -> None:
        from apps.foundation.governance.history import Kept
        from apps.foundation.governance.registry import history_register

        from .models import EditorialPicks  # models are loaded only now
        from .services import picks_revert

        history_register(EditorialPicks, Kept(EditorialPicks, revert=picks_revert, leave=("updated_at",)))
