"""Making the embedded model: its networks, its token table, its training, its measure."""
