"""Hosts: one adapter a library, each an extra, imported from its own module."""
