from django.apps import AppConfig


class AudiencesConfig(AppConfig):
    name = "apps.decisioning.audiences"

    def ready(self) -> None:
        from apps.data.profiles.registry import sensitive_objections

        from .governing import governing_register  # models are loaded only now
        from .merging import merging_register
        from .privacy import privacy_register
        from .rights import rights_declare
        from .services import sensitive_objections_of

        sensitive_objections.append(sensitive_objections_of)
        rights_declare()
        privacy_register()
        merging_register()
        governing_register()
