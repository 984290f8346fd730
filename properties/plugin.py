"""The door that pytest opens (`-p properties.plugin`): the hooks of `properties.session`, or one line about what is missing."""

import pytest

try:
    from properties.session import *  # noqa: F403
    from properties.session import profile as profile
except ModuleNotFoundError as error:
    raise pytest.UsageError(f'the harness needs the package {error.name!r}, which is not installed; pip install -e ".[dev]" installs all of them') from error
