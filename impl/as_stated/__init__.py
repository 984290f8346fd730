"""Formulas of the course texts as they stand, where they do not compute what the text says: each docstring says what is wrong."""
