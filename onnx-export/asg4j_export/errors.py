# SPDX-License-Identifier: Apache-2.0
"""The one exception that a user sees, and how it names sizes."""


class ExportError(Exception):
    """The checkpoint cannot become a bundle; the message says why and what to do."""


def readable(size: float) -> str:
    """Bytes in GiB, or in MiB where that would be nothing."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
