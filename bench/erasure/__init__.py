"""What a method is and what it works with: configuration, task, trainer, the contract."""
