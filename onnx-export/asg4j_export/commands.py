# SPDX-License-Identifier: Apache-2.0
"""A command with subcommands, each a module with ``add_arguments(parser)`` and ``run(args)``, which is imported when it is asked for."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from .errors import ExportError


def main(program: str, description: str, commands: Mapping[str, tuple[str, str]], arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; ``commands``: by name its module and one line of help. Returns the exit status."""
    # Set before anything of Hugging Face loads: nothing here downloads, and their progress and advice would hide ours.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=program, description=description)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = None
    for name, (module, line) in commands.items():
        subparser = parsers.add_parser(name, help=line, description=line)
        if arguments[:1] == [name]:
            chosen = import_module(module)
            chosen.add_arguments(subparser)
    args = parser.parse_args(arguments)
    assert chosen is not None  # the parser has refused what is no command
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # gigabytes half written are removed then too
    try:
        return chosen.run(args) or 0
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
