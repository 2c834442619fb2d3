"""What papers published beside what was measured here: which cells belong together, and whether they agree."""
