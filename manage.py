#!/usr/bin/env python
"""Tessera's commands: `python manage.py help` lists them."""

import os
import sys


def main() -> None:
    bare = sys.argv[1:2] == ["content_test"]  # it runs anywhere: in a team's CI there is no installation
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.bare" if bare else "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
