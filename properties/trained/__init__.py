"""A small transformer, trained in a minute on two synthetic tasks, and what the instruments measure on it: `python -m properties.trained`.

What it writes is one model's behaviour. It is evidence about no claim. Imports impl, and of this folder's neighbours what writes files and digests.
"""
