# SPDX-License-Identifier: Apache-2.0
"""The distilled demo in the jar says what the demo beside it says, but for its own parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from asg4j_demo.turbo import follow

BUNDLE = Path(__file__).parents[2] / "src/main/resources/io/github/asg4j/demo"


def test_the_manifest_in_the_jar_follows_the_demos(tmp_path):
    (tmp_path / "turbo").mkdir()
    for name in ("manifest.json", "turbo/manifest.json"):
        shutil.copyfile(BUNDLE / name, tmp_path / name)
    follow(tmp_path)
    written = (tmp_path / "turbo" / "manifest.json").read_text()
    assert written == (BUNDLE / "turbo" / "manifest.json").read_text()
    assert json.loads(written)["defaults"] == {"steps": 4, "guidance_scale": 1.0, "method": "relay"}
