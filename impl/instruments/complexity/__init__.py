"""What a call of attention costs, by formula: operations, bytes and parameters. No variant: tests/test_cost_instruments.py holds it to the counts."""
