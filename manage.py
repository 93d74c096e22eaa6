#!/usr/bin/env python
"""Tessera's commands: `python manage.py help` lists them."""

import os
import sys


def main() -> None:
    bare = sys.argv[1:2] == ["content_test"]  # it runs anywhere: in a team's CI there is no installation
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.bare" if bare else "config.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from environs import EnvError

    try:
        settings.INSTALLED_APPS  # noqa: B018  # the settings are read at their first use
    except EnvError as error:
        sys.exit(
            f"{error}\nSettings are environment variables: docs/settings.md explains each. "
            "To run this in the demo that runs here: bin/manage."
        )
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
