# SPDX-License-Identifier: Apache-2.0
"""The committed files are what the code of today generates."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from reference import bundle, goldens, methods

CASES = goldens.CASES | goldens.METHOD_CASES | goldens.SKIP_CASES


@pytest.mark.parametrize("name", bundle.NAMES)
def test_bundle_is_byte_equal(name, tmp_path, resources):
    bundle.write(tmp_path, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (resources / name).iterdir())
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (resources / name / file.name).read_bytes(), file.name
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 500_000


@pytest.mark.parametrize("name", bundle.NAMES)
def test_manifest_counts_its_files(name, resources):
    folder = resources / name
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {p.name for p in folder.iterdir()} - {"manifest.json"}
    for file, said in manifest["files"].items():
        data = (folder / file).read_bytes()
        assert said == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_vectors_are_byte_equal(tmp_path, resources):
    goldens.write_json(tmp_path / "philox.json", goldens.philox_vectors())
    goldens.write_json(tmp_path / "plan.json", goldens.plan_vectors())
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (resources / "goldens" / file.name).read_bytes(), file.name


@pytest.fixture(scope="module")
def index(resources):
    return json.loads((resources / "goldens" / "index.json").read_text(encoding="utf-8"))


def test_index_names_every_file(index, resources):
    folder = resources / "goldens"
    assert [c["name"] for c in index["cases"]] == list(CASES)
    assert {m for m in methods.METHODS} == {c["settings"]["method"] for c in index["cases"]}
    named = {f"cases/{c['name']}/{f}" for c in index["cases"] for f in c["files"]}
    named |= {f for p in index["prompts"] for f in p.get("files", ())}
    assert named == {str(p.relative_to(folder)) for p in folder.rglob("*.npy")}
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 8_500_000


def test_arrays_are_plain_npy(resources):
    for path in (resources / "goldens").rglob("*.npy"):
        data = path.read_bytes()
        assert data[:8] == b"\x93NUMPY\x01\x00"
        array = np.load(path)
        assert array.flags.c_contiguous and array.dtype in (np.dtype("<f4"), np.dtype("u1"))


def test_cases_are_what_the_reference_computes(index, resources, tiny, tiny_methods, tiny_skip):
    bundles = {"tiny": tiny, "tiny-methods": tiny_methods, "tiny-skip": tiny_skip}
    for case in index["cases"]:
        run = methods.sample(bundles[case["bundle"]], CASES[case["name"]])
        arrays = goldens.arrays(run) | {"guides": run.guides, "masks": run.masks}
        for file in set(case["files"]) - {"image.npy", "rgb8.npy"}:
            stored = np.load(resources / "goldens" / "cases" / case["name"] / file)
            value = arrays[file.removesuffix(".npy")]
            assert stored.shape == np.shape(value)
            assert goldens.relative(stored, value) < 1e-5, (case["name"], file)


def test_every_method_has_its_sizes(index):
    """2x, 3x, 2x1 and a size that is not a multiple of the native one."""
    for method in methods.METHODS:
        sizes = {(c["settings"]["width"], c["settings"]["height"]) for c in index["cases"]
                 if c["settings"]["method"] == method}
        assert {(128, 128), (192, 192), (128, 64)} <= sizes, method
        assert any(w % 64 or h % 64 for w, h in sizes), method


def test_start_pictures(resources):
    for name, image in goldens.IMAGES.items():
        assert (np.asarray(Image.open(resources / "goldens" / name)) == image).all()


def test_prompts(index, tiny):
    for entry in index["prompts"]:
        prompt = tiny.encode(entry["prompt"])
        assert prompt.ids.tolist() == entry["ids"] and prompt.real == entry["real"]
        assert len(entry["ids"]) == bundle.TOKENS
