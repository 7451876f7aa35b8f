"""The impact function: how much erasing one concept changes another, measured and foretold."""
