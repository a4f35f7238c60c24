# SPDX-License-Identifier: Apache-2.0
"""Writes the Parquet files of RowReaderTest into this folder. Run with pyarrow 26."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(__file__).parent
table = pa.table(
    {
        "prompt": ["a red ball", "grün"],
        "seed": pa.array([1 << 32, 1], pa.int64()),
        "steps": pa.array([20.0, None], pa.float64()),
        "eta": pa.array([0.1, 0.5], pa.float32()),
        "guidance-scale": pa.array([7.5, 5.0], pa.float64()),
        "paper_defaults": [True, False],
        "size": ["64x64", None],
    }
)
for compression in ("none", "snappy", "zstd", "gzip"):
    pq.write_table(table, folder / f"{compression}.parquet", compression=compression)
pq.write_table(pa.table({"caption": ["a"]}), folder / "unknown.parquet")
pq.write_table(pa.table({"prompt": [["a"]]}), folder / "list.parquet")
