"""A world of hundreds of things, for the next embedded model: its icons and its people. Only tests draw it yet."""
