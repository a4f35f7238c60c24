# SPDX-License-Identifier: Apache-2.0
"""Turns checkpoints into model bundles."""

__version__ = "0.1.0"
