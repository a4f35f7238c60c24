# SPDX-License-Identifier: Apache-2.0
"""The demo model: its training set, its training, and the counter by which it is measured."""
