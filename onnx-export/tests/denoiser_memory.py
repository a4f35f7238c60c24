# SPDX-License-Identifier: Apache-2.0
"""Working memory of a denoiser's call of two rows beside what ``asg plan`` counts: ``python tests/denoiser_memory.py BUNDLE CELLS [CELLS ...]``, latents of CELLS x CELLS.

On the CPU, one thread, each size in a process of its own: the most anonymous memory during the call, less that before it.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime

CELL_BYTES, ATTENDING_CELL_BYTES, TRANSFORMER_CELL_BYTES, PAIR_BYTES = 80, 150, 138, 8  # io.github.asg4j.plan.MemoryEstimate


def _anonymous() -> int:
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024


def measure(bundle: Path, cells: int) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    denoiser = manifest["denoiser"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(str(bundle / denoiser["file"]), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "height": cells, "width": cells, "tokens": sum(e["length"] for e in manifest["text_encoders"][:1])}
    inputs = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else sizes.get(d, 2) for d in value.shape]
        inputs[value.name] = rng.random(shape, np.float32)
    inputs["timestep"][:] = 500
    before = most = _anonymous()
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, _anonymous())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    session.run(None, inputs)
    ended.set()
    watcher.join()
    scale = min((mask["scale"] for mask in denoiser["masks"]), default=8)
    inner = TRANSFORMER_CELL_BYTES if denoiser["prediction"] == "flow" else CELL_BYTES
    fused = denoiser.get("attention") == "fused"
    counted = (ATTENDING_CELL_BYTES if scale == 1 and not fused else inner) * denoiser.get("width", 320) * cells**2
    if not fused:
        counted += PAIR_BYTES * denoiser.get("heads", 8) * (cells / scale) ** 4
    print(f"{cells} x {cells}: {(most - before) / 1e6:.1f} MB measured, {2 * counted / 1e6:.1f} MB counted")


if __name__ == "__main__":
    for size in sys.argv[2:]:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(Path(sys.argv[1]), int(size)))
        process.start()
        process.join()
