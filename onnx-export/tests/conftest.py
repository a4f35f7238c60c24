# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints that several test files use."""

import pytest

import families


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Checkpoint folders by family, made when asked for."""
    made = {}

    def checkpoint(family):
        if family not in made:
            made[family] = families.write(family, tmp_path_factory.mktemp("checkpoints") / family)
        return made[family]

    return checkpoint
