"""python -m reports: see `python -m reports --help`."""

import sys

try:
    from properties import digest, kernels
    from properties.trained import record as trained
    from reports.command import main
except ModuleNotFoundError as error:
    print(f'the reports need the package {error.name!r}, which is not installed; pip install -e ".[dev]" installs all of them', file=sys.stderr)
    sys.exit(2)
except ValueError as error:  # the ledger itself is malformed, which theorems says when it is imported
    if type(error).__name__ != "BadLedger":
        raise
    print(error, file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(of_row=digest.of, of_law=digest.of_law, of_peers=digest.of_laws, of_kernels=kernels.current, of_trained=trained.current))
