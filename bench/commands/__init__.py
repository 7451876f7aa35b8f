"""The commands of `bench`, a file for each kind. Everything heavy is imported inside them."""
