# SPDX-License-Identifier: Apache-2.0
"""asg4j-export COMMAND, also as python -m asg4j_export COMMAND"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from . import commands

COMMANDS = {
    "model": ("asg4j_export.model", "turn a checkpoint into a model bundle"),
    "template": ("asg4j_export.templates", "write the graphs of a model without its weights, which the engine fills from single files"),
    "flops": ("asg4j_export.flops", "count the operations of a bundle that was exported without them, for asg plan"),
    "controlnet": ("asg4j_export.controlnet", "export a ControlNet, which the engine draws with beside a model (asg --control)"),
    "upscaler": ("asg4j_export.upscaler", "add an upscaler (RRDBNet: BSRGAN, ESRGAN, Real-ESRGAN x4) to a bundle, for the method superres"),
    "metrics": ("asg4j_export.metrics", "export the networks by which asg eval measures: Inception-v3, CLIP"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    return commands.main("asg4j-export", "Turns checkpoints into what the asg4j engine reads.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
