"""Times beside counts: how long attention takes and what it holds in memory. Collected only when named (`make bench`); nothing here decides a verdict."""
