# SPDX-License-Identifier: Apache-2.0
"""The one exception that a user sees."""


class ExportError(Exception):
    """The checkpoint cannot become a bundle; the message says why and what to do."""
