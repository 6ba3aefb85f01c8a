"""The console script ``vsapisr``. The commands are in :mod:`vsapisr.cli.commands`, which needs the extra ``cli``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from ..writing import any_console

EXTRA = ("typer", "rich", "PIL", "cv2", "av")
"""Modules that only the extra brings."""


def main() -> None:
    """Run the command line; exit status 0, 1 when something failed, 2 when the call itself was wrong."""
    if not all(map(find_spec, EXTRA)):
        print('vsapisr: this command needs the cli extra: pip install "vsapisr[cli]"', file=sys.stderr)
        raise SystemExit(2)
    from .commands_recipe import app

    any_console()
    app(prog_name="vsapisr")


if __name__ == "__main__":
    main()
