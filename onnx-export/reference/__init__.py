# SPDX-License-Identifier: Apache-2.0
"""NumPy reference of asg4j's arithmetic (SPEC.md) in float64, and the golden data made with it."""
