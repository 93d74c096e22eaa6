"""The forms of the admin. Each asks the service whether it would save, and shows every problem at its field."""

from .block_types import BlockTypeForm
from .blocks import BlockForm, block_form_class, content_name, content_of
from .brands import BrandForm
from .markets import MarketForm
from .personas import PersonaForm
from .templates import FORM_OF, TemplateForm

__all__ = [
    "FORM_OF",
    "BlockForm",
    "BlockTypeForm",
    "BrandForm",
    "MarketForm",
    "PersonaForm",
    "TemplateForm",
    "block_form_class",
    "content_name",
    "content_of",
]
