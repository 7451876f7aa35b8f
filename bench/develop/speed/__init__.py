"""How fast drawing, training, scoring, the spectrum and the engine are."""
