"""Prints the effective configuration, secrets masked: `python -m config`."""

import sys

import yaml

from config.loading import ConfigurationError, load, masked


def main() -> None:
    try:
        settings = load()
    except ConfigurationError as error:
        sys.exit(str(error))
    print(yaml.safe_dump(masked(settings), sort_keys=False, allow_unicode=True), end="")


main()
