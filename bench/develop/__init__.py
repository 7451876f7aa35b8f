"""For people who work on the bench: timings, making the embedded model, tuning, stress, scaffolds."""
