"""The languages of the customers' pages: English, and each that has its folder in `locale`."""

from pathlib import Path

from django.conf.locale import LANG_INFO


def languages_read(folder: Path) -> list[tuple[str, str]]:
    """Code and own name of each language, English first, the others by their code.

    A folder is named as Django names locales: `de`, `pt_BR`. A language that Django does not know is named by its code.
    """
    found = sorted(messages.parent.name.lower().replace("_", "-") for messages in folder.glob("*/LC_MESSAGES"))
    codes = ["en", *(code for code in found if code != "en")]
    return [(code, str(LANG_INFO.get(code, {}).get("name_local", code))) for code in codes]
