"""What only a GPU can show: the laws on the compiled kernel, and its time beside torch's own attention. `python -m properties.gpu --help`.

`plan` and `record` need no torch, so that pages can be drawn from what was recorded. `rehearsal` and `checks` compile the whole run for absent GPUs.
"""
