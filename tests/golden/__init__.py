"""A ledger small enough to read: claims, the evidence on them, and the pages that must come of it (`pytest tests --refresh` writes those)."""
