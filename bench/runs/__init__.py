"""A run as data: its plan, its folder, its record, who holds it, how far it is."""
