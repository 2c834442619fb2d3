"""Hyperparameters chosen on validation episodes: which trials there are, what they scored, which one counts."""
