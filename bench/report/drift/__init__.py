"""Whether a run's scores are still those of a baseline."""
