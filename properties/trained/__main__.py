"""python -m properties.trained: see `python -m properties.trained --help`."""

import sys

try:
    from properties.trained.command import main
except ModuleNotFoundError as error:
    print(f'training and its pictures need the package {error.name!r}, which is not installed; pip install -e ".[dev]" installs all of them', file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
