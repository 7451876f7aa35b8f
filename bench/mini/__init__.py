"""The embedded world, and the weights of the model and the judge that were trained on it."""
