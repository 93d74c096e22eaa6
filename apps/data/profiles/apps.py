from django.apps import AppConfig


class ProfilesConfig(AppConfig):
    name = "apps.data.profiles"
    verbose_name = "Profiles"
