"""`bin/translate`: keeps the translations of the customers' texts up to date."""

import sys

from bin.lib.progress import Progress
from bin.lib.venv import VenvError, venv_enter

HELP = """bin/translate: brings locale/*/LC_MESSAGES/django.po up to date with the customers' texts, and compiles them.

Write what is missing into the .po files (any gettext editor takes them), then call it again. `bin/translate pt_BR` adds
a language. `bin/translate --check` changes nothing, and says what is missing or stale; exit code 1 if anything is."""


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    try:
        venv_enter("bin.lib.translate", arguments, requirements="requirements-dev.txt", progress=Progress())
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    from bin.lib import translations  # it needs what the environment has

    if "--check" in arguments:
        found = translations.stale()
    else:
        for language in arguments:
            translations.language_add(language)
        found = translations.write_all()
    print("\n".join(found) or f"All texts are there in {', '.join(['en', *translations.languages_there()])}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
