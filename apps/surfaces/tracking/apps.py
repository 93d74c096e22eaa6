from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "apps.surfaces.tracking"
