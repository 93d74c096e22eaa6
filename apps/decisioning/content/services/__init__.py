"""Writes about content. Each checks the right of the one who asks, checks the content, writes, and audits.

Versions are known by their digest: the same content again is the version that exists.
"""

from apps.decisioning.content.publishing import message_compile

from .block_types import block_type_create, block_type_update
from .blocks import VersionFacts, block_create, block_update, block_version_create
from .brands import brand_create, brand_update
from .cases import template_arrangement_save, template_case_remove, template_case_save, template_cases_start
from .folders import folder_push
from .markets import market_create, market_update
from .personas import persona_create, persona_update
from .templates import template_create, template_update, template_version_create

__all__ = [
    "VersionFacts",
    "block_create",
    "block_type_create",
    "block_type_update",
    "block_update",
    "block_version_create",
    "brand_create",
    "brand_update",
    "folder_push",
    "market_create",
    "market_update",
    "message_compile",
    "persona_create",
    "persona_update",
    "template_arrangement_save",
    "template_case_remove",
    "template_case_save",
    "template_cases_start",
    "template_create",
    "template_update",
    "template_version_create",
]
