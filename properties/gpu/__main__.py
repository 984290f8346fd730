"""python -m properties.gpu: see `python -m properties.gpu --help`."""

import os
import sys

os.environ.pop("TRITON_INTERPRET", None)  # before triton is imported: everything here is compiled, whatever the shell was set to

from properties.gpu.command import main

if __name__ == "__main__":
    sys.exit(main())
