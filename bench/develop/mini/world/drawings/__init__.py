"""Things and people drawn by code; importing them registers their concepts, in this order."""

from . import animals, people, things, vehicles  # noqa: F401
