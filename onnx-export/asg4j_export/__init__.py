"""Turns diffusers checkpoints into asg4j model bundles; trains the demo model."""

__version__ = "0.1.0"
