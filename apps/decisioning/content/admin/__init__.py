"""Content in the admin: brands, block types, blocks with their preview, templates; versions are only looked at."""

from . import block_types, blocks, brands, markets, personas, templates

__all__ = ["block_types", "blocks", "brands", "markets", "personas", "templates"]
