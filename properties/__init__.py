"""Where claims meet implementations: input strategies, oracles, derived bounds, laws and searches. May import theorems and impl."""
