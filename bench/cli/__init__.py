"""The command line: a file a kind of command; reads flags, prints, and does nothing else."""
