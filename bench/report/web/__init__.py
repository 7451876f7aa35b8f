"""Pages that people open: one file that needs no network, with a leaderboard, pictures, plots and how it was made."""
