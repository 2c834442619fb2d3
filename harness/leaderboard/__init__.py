"""One leaderboard over many experiments: what may be ranked together, two ways of ranking it, and its pages."""
