"""The console script ``vsapisr``. The commands are in :mod:`vsapisr.cli.commands`, which needs the extra ``cli``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from ..needs import lacks_memory, without_memory
from ..writing import any_console

EXTRA = ("typer", "rich", "PIL", "cv2", "av")
"""Modules that only the extra brings."""


def main() -> None:
    """Run the command line; exit status 0, 1 when something failed, 2 when the call itself was wrong."""
    if not all(map(find_spec, EXTRA)):
        print('vsapisr: this command needs the cli extra: pip install "vsapisr[cli]"', file=sys.stderr)
        raise SystemExit(2)
    any_console()
    try:
        from .commands_recipe import app

        app(prog_name="vsapisr")
    except Exception as error:
        if not lacks_memory(error):
            raise
        print(f"vsapisr: {without_memory(error)}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
