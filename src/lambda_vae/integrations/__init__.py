"""Integrations: one file a package, imported by its name once that package is there."""

__all__: list[str] = []
