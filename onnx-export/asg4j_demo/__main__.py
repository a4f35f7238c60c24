# SPDX-License-Identifier: Apache-2.0
"""asg4j-demo COMMAND, also as python -m asg4j_demo COMMAND"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from asg4j_export import commands

COMMANDS = {
    "data": ("asg4j_demo.data", "render the training set"),
    "train-vae": ("asg4j_demo.train_vae", "train the autoencoder"),
    "encode": ("asg4j_demo.encode", "encode the training set"),
    "train-unet": ("asg4j_demo.train_unet", "train the UNet and the text encoder"),
    "distill": ("asg4j_demo.distill", "distil the UNet into one of four steps"),
    "checkpoint": ("asg4j_demo.checkpoint", "pack a training state as a checkpoint in diffusers' layout"),
    "turbo": ("asg4j_demo.turbo", "pack a distilled UNet and put it beside the demo's bundle"),
    "train-upscaler": ("asg4j_demo.train_upscaler", "train the x2 upscaler and measure it"),
    "train-counter": ("asg4j_demo.train_counter", "fit the object counter"),
    "train-features": ("asg4j_demo.features", "train the feature network"),
    "evaluation": ("asg4j_demo.evaluation", "add to the bundle what asg eval measures by"),
    "sample": ("asg4j_demo.sample", "draw the fixed prompts with NumPy and ONNX Runtime"),
    "count": ("asg4j_demo.count", "count the objects in pictures"),
    "gate": ("asg4j_demo.gate", "tell the shares of right pictures in a folder"),
    "validate-counter": ("asg4j_demo.validate_counter", "count objects in renders whose truth is known"),
    "counter-cases": ("asg4j_demo.counter_cases", "write the pictures by which the engine's counter is tested"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    return commands.main("asg4j-demo", "Makes and measures the demo model.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
