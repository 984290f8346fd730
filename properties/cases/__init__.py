"""One file a variant: its definition over tracked numbers and how its calls are drawn. Knows nothing of how `impl` computes it."""
