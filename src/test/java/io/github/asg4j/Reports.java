// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/** Reports of engines that only pretend. */
public final class Reports {
    private Reports() {}

    /** An engine of one CPU worker for a model of {@code nativeSize}. */
    public static EngineInfo engine(Size nativeSize) {
        return engine(nativeSize, "fp32", "ONNX Runtime 1.0");
    }

    /** The same that computes its denoiser otherwise. */
    public static EngineInfo engine(Size nativeSize, String precision, String provider) {
        return new EngineInfo(
                List.of("cpu#0"),
                "asked for",
                Map.of(),
                1,
                "java",
                "asked for",
                List.of("java"),
                precision,
                "asked for",
                provider,
                "packed",
                "asked for",
                List.of(),
                "fake",
                new UsualMethod("asg", "fake"),
                "Apache-2.0",
                null,
                List.of(),
                "0".repeat(64),
                nativeSize,
                "1.0",
                1L << 30);
    }

    /** The same whose model draws by {@code method} where none is named. */
    public static EngineInfo drawing(EngineInfo of, String method) {
        return changed(of, of.selfTests(), new UsualMethod(method, of.model()));
    }

    /** The same whose kernels differ from the Java kernels in {@code operation}; empty: in none. */
    public static EngineInfo tested(EngineInfo of, String operation) {
        return changed(
                of, List.of(new EngineInfo.SelfTest("kernels", operation)), of.usualMethod());
    }

    private static EngineInfo changed(
            EngineInfo of, List<EngineInfo.SelfTest> tests, UsualMethod usual) {
        return new EngineInfo(
                of.devices(),
                of.devicesReason(),
                of.gpus(),
                of.threadsPerWorker(),
                of.kernels(),
                of.kernelsReason(),
                of.kernelsUsable(),
                of.precision(),
                of.precisionReason(),
                of.provider(),
                of.weights(),
                of.weightsReason(),
                tests,
                of.model(),
                usual,
                of.licence(),
                of.vae(),
                of.controls(),
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
                        null,
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
                        null,
                        0,
                        new StageReport.Windows(cells, new Size(1, 1), 5, null, null, null));
        return new PlanReport(
                method,
                pixels,
                two,
                half,
                cells,
                pixels,
                steps,
                1,
                "fp32",
                "ONNX Runtime 1.0",
                "packed",
                0,
                List.of(patches, window),
                null,
                List.of(),
                new PlanReport.Decoding(1, false, false, pixels, 0, 1, List.of(), List.of()),
                null,
                null,
                8,
                10,
                15,
                0,
                9,
                20,
                new PlanReport.Operations(1.23456789e15, 4.5e12, 5.5e12),
                new PlanReport.Memory(0, 0, 0, 0, 0, bytes),
                Map.of());
    }

    /** A picture that {@code asked} asks for, drawn by two workers in 1234.5 ms. */
    public static PictureReport picture(GenerationRequest asked, Size size) {
        GenerationRequest request = new UsualMethod("asg", "fake").of(asked);
        return new PictureReport(
                request,
                plan(request.method(), size, 50, 1),
                size,
                sampling("euler", "leading", 0, 5),
                PictureReport.Cut.NONE,
                "whole",
                OptionalInt.empty(),
                new PictureReport.Devices(List.of("cpu#0", "cpu#1"), List.of(), 1, "java"),
                "fake",
                null,
                request.loras().stream()
                        .map(
                                l ->
                                        new PictureReport.AppliedLora(
                                                l.file(), l.weight(), "ab".repeat(32)))
                        .toList(),
                List.of(),
                List.of(),
                "0123456789abcdef",
                "1.0",
                "0".repeat(64),
                new PictureReport.MemoryUse(
                        Map.of("cpu#0", 3L << 20, "cpu#1", 2L << 20), 1 << 20, 77L << 20),
                new PictureReport.Times(0, 1234.5, 1, 12.5, 2, 3, 4, 5, OptionalDouble.empty()));
    }

    public static PictureReport with(PictureReport r, EngineInfo.VaeFile vae) {
        return copy(r, vae, r.plan(), r.sampling(), r.cut(), r.devices(), r.memory());
    }

    public static PictureReport with(PictureReport r, PlanReport plan) {
        return copy(r, r.vae(), plan, r.sampling(), r.cut(), r.devices(), r.memory());
    }

    public static PictureReport with(PictureReport r, PictureReport.Sampling sampling) {
        return copy(r, r.vae(), r.plan(), sampling, r.cut(), r.devices(), r.memory());
    }

    public static PictureReport with(PictureReport r, PictureReport.Cut cut) {
        return copy(r, r.vae(), r.plan(), r.sampling(), cut, r.devices(), r.memory());
    }

    public static PictureReport with(PictureReport r, PictureReport.Devices devices) {
        return copy(r, r.vae(), r.plan(), r.sampling(), r.cut(), devices, r.memory());
    }

    public static PictureReport with(PictureReport r, PictureReport.MemoryUse memory) {
        return copy(r, r.vae(), r.plan(), r.sampling(), r.cut(), r.devices(), memory);
    }

    private static PictureReport copy(
            PictureReport r,
            EngineInfo.VaeFile vae,
            PlanReport plan,
            PictureReport.Sampling sampling,
            PictureReport.Cut cut,
            PictureReport.Devices devices,
            PictureReport.MemoryUse memory) {
        return new PictureReport(
                r.request(),
                plan,
                r.size(),
                sampling,
                cut,
                r.decoded(),
                r.backgroundWindows(),
                devices,
                r.model(),
                vae,
                r.loras(),
                r.embeddings(),
                r.controls(),
                r.bundleSha256(),
                r.version(),
                r.pixelsSha256(),
                memory,
                r.times());
    }

    /** A picture of which words were textual inversions. */
    public static PictureReport withEmbeddings(
            PictureReport r, List<PictureReport.AppliedEmbedding> embeddings) {
        return new PictureReport(
                r.request(),
                r.plan(),
                r.size(),
                r.sampling(),
                r.cut(),
                r.decoded(),
                r.backgroundWindows(),
                r.devices(),
                r.model(),
                r.vae(),
                r.loras(),
                embeddings,
                r.controls(),
                r.bundleSha256(),
                r.version(),
                r.pixelsSha256(),
                r.memory(),
                r.times());
    }

    /** A plan with other stages. */
    public static PlanReport with(PlanReport p, List<StageReport> stages) {
        return new PlanReport(
                p.method(),
                p.size(),
                p.patches(),
                p.patchLatents(),
                p.canvasLatents(),
                p.canvasPixels(),
                p.steps(),
                p.viewBatch(),
                p.precision(),
                p.provider(),
                p.weights(),
                p.compiledShapes(),
                stages,
                p.text(),
                p.controls(),
                p.decoding(),
                p.encoded(),
                p.upscaling(),
                p.barriers(),
                p.guidedEvaluations(),
                p.nativeEvaluations(),
                p.shallowEvaluations(),
                p.unetRuns(),
                p.unetRows(),
                p.operations(),
                p.memory(),
                p.deviceMemory());
    }

    /** A stage of 25 steps that decided {@code settings}. */
    public static StageReport stage(String name, StageReport.Settings settings) {
        return new StageReport(name, 25, 4, new Size(8, 8), 4, 5, 2, null, 0, settings);
    }

    /** A sampler's settings for a picture that began as noise. */
    public static PictureReport.Sampling sampling(
            String scheduler, String spacing, double eta, double guidanceScale) {
        return new PictureReport.Sampling(
                scheduler, spacing, eta, guidanceScale, OptionalDouble.empty());
    }
}
