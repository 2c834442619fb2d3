"""Two runs, experiments or checkpoints side by side, on the same test episodes."""
