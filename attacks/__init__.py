"""Attacks: one file each, registered by `erasebench.attack`."""
