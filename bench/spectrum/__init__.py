"""The sensitivity spectrum: how much erasing one concept changed the noise that is predicted for every other word."""
