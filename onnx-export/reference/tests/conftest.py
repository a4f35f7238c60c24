# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from reference.model import Bundle

RESOURCES = Path(__file__).resolve().parents[3] / "src" / "test" / "resources"


@pytest.fixture(scope="session")
def resources():
    return RESOURCES


@pytest.fixture(scope="session")
def tiny():
    return Bundle(RESOURCES / "tiny")


@pytest.fixture(scope="session")
def stepless():
    return Bundle(RESOURCES / "tiny-stepless")


@pytest.fixture(scope="session")
def tiny_methods():
    return Bundle(RESOURCES / "tiny-methods")


@pytest.fixture(scope="session")
def tiny_skip():
    return Bundle(RESOURCES / "tiny-skip")
