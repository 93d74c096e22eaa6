"""Core has no tables. Django sends `post_migrate`, which `append_only.rights_grant` hears, only to apps with models."""
