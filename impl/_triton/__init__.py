"""Launch code that kernels share, reading of compiled objects, and the watch over an interpreted kernel's memory.

Needs triton, so that nothing outside imports it at the top of a file; imports nothing of this project but what is in this folder.
"""
