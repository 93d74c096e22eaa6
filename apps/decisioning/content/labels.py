"""What customers read where a model chose or wrote something: the brand's words, or ours where it has none.

Shown below the block, in HTML and plain text, so that nobody takes a machine's choice for a person's.
"""

from collections.abc import Mapping
from typing import Final

from .contracts import BrandSpec
from .fields import language_chain

CHOSEN: Final = "chosen"
WRITTEN: Final = "written"
LABELS: Final[Mapping[str, str]] = {
    CHOSEN: "where a model chose the products",
    WRITTEN: "where a model wrote the words",
}
"""Label → when it is shown."""
_OURS: Final[Mapping[str, Mapping[str, str]]] = {
    CHOSEN: {
        "en": "Chosen for you automatically",
        "de": "Automatisch für Sie ausgewählt",
        "fr": "Choisi pour vous automatiquement",
        "es": "Elegido para ti automáticamente",
        "it": "Scelto per te automaticamente",
        "nl": "Automatisch voor u gekozen",
        "pl": "Wybrane automatycznie",
        "pt": "Escolhido para si automaticamente",
        "sv": "Automatiskt utvalt",
    },
    WRITTEN: {
        "en": "Written with the help of artificial intelligence",
        "de": "Mit Hilfe künstlicher Intelligenz geschrieben",
        "fr": "Rédigé avec l’aide d’une intelligence artificielle",
        "es": "Escrito con ayuda de inteligencia artificial",
        "it": "Scritto con l’aiuto dell’intelligenza artificiale",
        "nl": "Geschreven met hulp van kunstmatige intelligentie",
        "pl": "Napisane z pomocą sztucznej inteligencji",
        "pt": "Escrito com a ajuda de inteligência artificial",
        "sv": "Skrivet med hjälp av artificiell intelligens",
    },
}


def label_text(label: str, *, brand: BrandSpec, language: str) -> str:
    """A label in a language: the brand's words for it or for the language without region, else ours, else English."""
    own = brand.get("labels", {}).get(label, {})
    for words in (own, _OURS[label]):
        for wanted in (language, language.split("-")[0]):
            if words.get(wanted):
                return words[wanted]
    for wanted in language_chain(language, brand["default_language"]):
        if own.get(wanted):
            return own[wanted]
    return _OURS[label]["en"]
