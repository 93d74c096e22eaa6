"""Import a file of profiles."""

from apps.data.imports.management.import_command import ImportCommand


class Command(ImportCommand):
    """`manage.py import_profiles FILE`."""

    help = "Import profiles from a CSV file."
    kind = "profiles"
