// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.List;
import java.util.Map;

/** Reports of engines that only pretend. */
public final class Reports {
    private Reports() {}

    /** An engine of one CPU worker for a model of {@code nativeSize}. */
    public static EngineInfo engine(Size nativeSize) {
        return new EngineInfo(
                List.of("cpu#0"),
                "asked for",
                Map.of(),
                1,
                "java",
                "asked for",
                List.of("java"),
                List.of(),
                "fake",
                "Apache-2.0",
                "0".repeat(64),
                nativeSize,
                "1.0",
                1L << 30);
    }

    /** The same whose kernels differ from the Java kernels in {@code operation}; empty: in none. */
    public static EngineInfo tested(EngineInfo of, String operation) {
        return new EngineInfo(
                of.devices(),
                of.devicesReason(),
                of.gpus(),
                of.threadsPerWorker(),
                of.kernels(),
                of.kernelsReason(),
                of.kernelsUsable(),
                List.of(new EngineInfo.SelfTest("kernels", operation)),
                of.model(),
                of.licence(),
                of.bundleSha256(),
                of.nativeSize(),
                of.onnxRuntime(),
                of.memoryLimit());
    }

    /** Four patches, then one window over a picture with 8 x 8 pixels for each latent cell. */
    public static PlanReport plan(String method, Size pixels, int steps, long bytes) {
        Size cells = new Size(Math.ceilDiv(pixels.width(), 8), Math.ceilDiv(pixels.height(), 8));
        Size two = new Size(2, 2);
        Size half = new Size(Math.ceilDiv(cells.width(), 2), Math.ceilDiv(cells.height(), 2));
        StageReport patches =
                new StageReport(
                        "stage1",
                        steps / 2,
                        4,
                        half,
                        4,
                        5,
                        2,
                        1,
                        new StageReport.Patches(null, steps / 2));
        StageReport window =
                new StageReport(
                        "stage2",
                        steps - steps / 2,
                        1,
                        cells,
                        1,
                        5,
                        2,
                        0,
                        new StageReport.Windows(cells, new Size(1, 1), 5, null, null));
        return new PlanReport(
                method,
                pixels,
                two,
                half,
                cells,
                pixels,
                steps,
                1,
                List.of(patches, window),
                new PlanReport.Decoding(1, false, pixels, 0, 1, List.of(), List.of()),
                null,
                1,
                10,
                9,
                new PlanReport.Memory(0, 0, 0, 0, 0, bytes),
                Map.of());
    }
}
