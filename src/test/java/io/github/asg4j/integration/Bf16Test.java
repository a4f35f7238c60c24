// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ModelParts;
import io.github.asg4j.OpenEngines;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Tiny;
import io.github.asg4j.ffi.OpenVinoLibraries;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;

/**
 * The denoiser in bf16 by OpenVINO's plug-in, on the demo model. Skipped where the CPU has no bf16 or the
 * plug-in is not installed: {@link OpenVinoLibraries} says where it is looked for.
 */
class Bf16Test {
    /**
     * Root mean square of the error of the noise, in units of the noise's own, for one call. bf16 has 8
     * bits, 2^-9 = 0.002 for one rounding; measured are 0.005 on this model, 0.03 on SD 1.5's network with
     * random weights.
     */
    private static final double CALL_ERROR = 0.01;

    /** Of a whole picture at 2x, dB; measured are 45 to 52. */
    private static final double PICTURE_PSNR = 40;

    @AutoClose private static final OpenEngines ENGINES = new OpenEngines();

    private static Path plugin = Path.of("");

    @BeforeAll
    static void needed() throws IOException {
        String cpu = Files.readString(Path.of("/proc/cpuinfo"));
        assumeTrue(
                cpu.contains(" amx_bf16") || cpu.contains(" avx512_bf16"), "this CPU has no bf16");
        try {
            plugin = new OpenVinoLibraries().find();
        } catch (DeviceException e) {
            abort(e.getMessage());
        }
    }

    /** Every engine compiles: what others have left is not tested. */
    @BeforeAll
    static void keepNothing() {
        System.setProperty(CompiledCache.PROPERTY, "0");
    }

    @AfterAll
    static void keep() {
        System.clearProperty(CompiledCache.PROPERTY);
    }

    private static EngineOptions options(int workers) {
        return EngineOptions.DEFAULT.withDevices("cpu:" + workers).withPrecision("bf16");
    }

    private static GenerationRequest.Builder request() {
        return GenerationRequest.builder("a red ball on grass").seed(7).steps(8);
    }

    /** Each engine compiles the shapes of its requests once. */
    private static GeneratedImage draw(EngineOptions options, GenerationRequest request) {
        return ENGINES.on(options).submit(request).join();
    }

    /** Stages with views of two shapes; calls of one, two and three views; the network with dilation. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "demofusion", "scalecrafter"})
    void bytesAreTheSameForAnyNumberOfWorkers(String method) {
        GenerationRequest.Builder request = request().method(method);
        if (!method.equals("scalecrafter")) {
            request.size(384, 256).viewBatch(3).steps(4);
        }
        String one = Tiny.hash(draw(options(1), request.build()));
        assertEquals(one, Tiny.hash(draw(options(2), request.build())));
        assertEquals(one, Tiny.hash(draw(options(4), request.build())));
    }

    /** Other shapes before and after, and a second compilation of the same shape, leave no trace. */
    @Test
    void bytesAreTheSameWhateverWasDrawnBefore() {
        GenerationRequest small = request().size(128, 128).steps(3).build();
        GenerationRequest large = request().method("direct").steps(2).build();
        try (Engine engine = Engine.open(options(2))) {
            String first = Tiny.hash(engine.submit(small).join());
            String other = Tiny.hash(engine.submit(large).join());
            assertEquals(first, Tiny.hash(engine.submit(small).join()));
            assertEquals(other, Tiny.hash(engine.submit(large).join()));
            assertEquals(first, Tiny.hash(draw(options(1), small)));
        }
    }

    @Test
    void pictureIsThatOfFp32WithinTheLimit() {
        GenerationRequest request = request().steps(20).build();
        GeneratedImage exact = draw(options(2).withPrecision("fp32"), request);
        GeneratedImage image = draw(options(2), request);
        assertNotEquals(Tiny.hash(exact), Tiny.hash(image), "fp32 was drawn twice");
        ByteBuffer a = exact.rgb();
        ByteBuffer b = image.rgb();
        double squares = 0;
        for (int i = 0; i < a.limit(); i++) {
            int difference = (a.get(i) & 255) - (b.get(i) & 255);
            squares += difference * difference;
        }
        double psnr = 10 * Math.log10(255.0 * 255 * a.limit() / squares);
        assertTrue(psnr > PICTURE_PSNR, "PSNR " + psnr);
    }

    /** A call of the network at the ends and in the middle of the noise. */
    @ParameterizedTest
    @ValueSource(floats = {1, 500, 999})
    void noiseOfACallIsThatOfFp32WithinTheLimit(float timestep) {
        try (Bundle bundle = Bundle.open(null, ModelParts.NONE, false);
                Arena arena = Arena.ofConfined()) {
            String file = bundle.manifest().denoiser().file();
            OpenVinoProvider provider = OpenVinoProvider.open(plugin, 1, 1, CompiledCache.NONE);
            MemorySegment exact = arena.allocate(4L * 2 * 4 * 16 * 16, 64);
            MemorySegment noise = arena.allocate(exact.byteSize(), 64);
            try (OrtSession session = LoadedModel.session(bundle, file, Place.cpu(1))) {
                run(session, timestep, exact, arena);
            }
            try (OrtSession session =
                    LoadedModel.session(bundle, file, new Place(1, provider, false))) {
                run(session, timestep, noise, arena);
            }
            double error = 0;
            double power = 0;
            for (long i = 0; i < exact.byteSize() / 4; i++) {
                double x = exact.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                double y = noise.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                error += (x - y) * (x - y);
                power += x * x;
            }
            double relative = Math.sqrt(error / power);
            assertTrue(relative < CALL_ERROR, "relative error " + relative);
            assertTrue(relative > 1e-4, "fp32 was computed twice: " + relative);
        }
    }

    /** Kept by one number of workers, used by another; damaged, it is compiled again; then it leaves. */
    @Test
    void compiledNetworkIsKeptAndGivesTheSameBytes(@TempDir Path folder) throws IOException {
        // Beside open engines the plug-in may not find what it wrote: it is compiled again, not
        // kept.
        ENGINES.close();
        CompiledCache cache = new CompiledCache(folder, 1L << 30);
        MemorySegment compiled = noise(OpenVinoProvider.open(plugin, 1, 1, CompiledCache.NONE), 1);
        assertEquals(-1, compiled.mismatch(noise(OpenVinoProvider.open(plugin, 1, 1, cache), 1)));
        Path entry = only(folder);
        FileTime written = FileTime.from(Instant.now().minusSeconds(1000));
        Files.setLastModifiedTime(entry.resolve("sums"), written);
        assertEquals(-1, compiled.mismatch(noise(OpenVinoProvider.open(plugin, 2, 1, cache), 1)));
        assertEquals(entry, only(folder));
        assertTrue(
                Files.getLastModifiedTime(entry.resolve("sums")).compareTo(written) > 0,
                "it was not used");
        Path weights;
        try (Stream<Path> files = Files.list(entry)) {
            weights = files.filter(f -> f.toString().endsWith(".bin")).findFirst().orElseThrow();
        }
        try (FileChannel channel = FileChannel.open(weights, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(new byte[64]), channel.size() / 2);
        }
        assertEquals(-1, compiled.mismatch(noise(OpenVinoProvider.open(plugin, 1, 1, cache), 1)));
        Files.writeString(entry.resolve("network.onnx"), "no model");
        assertEquals(-1, compiled.mismatch(noise(OpenVinoProvider.open(plugin, 1, 1, cache), 1)));

        long bytes = Files.size(weights);
        CompiledCache small = new CompiledCache(folder, bytes + bytes / 2);
        noise(OpenVinoProvider.open(plugin, 1, 1, small), 2);
        assertNotEquals(entry, only(folder), "the one that was used longest ago stays");
    }

    private static Path only(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size(), all.toString());
            return all.getFirst();
        }
    }

    /** What the demo's denoiser says to {@code rows} rows, as it is computed there. */
    private static MemorySegment noise(OpenVinoProvider provider, int rows) {
        try (Bundle bundle = Bundle.open(null, ModelParts.NONE, false);
                Arena arena = Arena.ofConfined();
                OrtSession session =
                        LoadedModel.session(
                                bundle,
                                bundle.manifest().denoiser().file(),
                                new Place(1, provider, false))) {
            MemorySegment noise = arena.allocate(4L * rows * 4 * 16 * 16, 64);
            run(session, 500, noise, arena);
            return Arena.ofAuto().allocate(noise.byteSize(), 64).copyFrom(noise);
        }
    }

    private static void run(OrtSession session, float timestep, MemorySegment noise, Arena arena) {
        SplittableRandom random = new SplittableRandom(1);
        long rows = noise.byteSize() / (4 * 4 * 16 * 16);
        Map<String, Tensor> inputs = new HashMap<>();
        for (TensorInfo input : session.inputs().values()) {
            long[] shape = input.dims().stream().mapToLong(Long::longValue).toArray();
            for (int axis = 0; axis < shape.length; axis++) {
                int open = input.name().equals("sample") ? 16 : 77;
                shape[axis] = shape[axis] >= 0 ? shape[axis] : axis == 0 ? rows : open;
            }
            long count = 1;
            for (long extent : shape) {
                count *= extent;
            }
            MemorySegment data = arena.allocate(4 * count, 64);
            for (long i = 0; i < count; i++) {
                float value =
                        input.name().equals("timestep") ? timestep : (float) random.nextGaussian();
                data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            }
            inputs.put(input.name(), Tensor.floats(data, shape));
        }
        try (Binding binding =
                session.bind(inputs, Map.of("noise", Tensor.floats(noise, rows, 4, 16, 16)))) {
            binding.run();
        }
    }

    @Test
    void planPictureAndPngNameIt() {
        try (Engine engine = Engine.open(options(1))) {
            GenerationRequest request = request().size(128, 128).steps(2).build();
            PlanReport plan = engine.plan(request);
            assertEquals("bf16", plan.precision());
            assertTrue(plan.provider().matches("OpenVINO plug-in \\d+\\..*"), plan.provider());
            assertTrue(plan.compiledShapes() > 0);
            GeneratedImage image = engine.submit(request).join();
            assertEquals(plan.provider(), image.report().plan().provider());
            String text = PngParameters.text(image.report());
            assertTrue(text.contains("Precision: bf16, Provider: OpenVINO plug-in "), text);
            assertEquals("bf16", engine.describe().precision());
            long exact;
            try (Engine fp32 = Engine.open(options(1).withPrecision("fp32"))) {
                exact = fp32.plan(request).memory().weights();
            }
            assertTrue(plan.memory().weights() > exact, "what is compiled takes memory");
        }
    }

    /** The network is one node to ONNX Runtime: the call that runs is the last. */
    @Test
    void cancelledPictureEndsAndTheNextIsDrawn() {
        try (Engine engine = Engine.open(options(2))) {
            AtomicReference<Generation> generation = new AtomicReference<>();
            Generation cancelled =
                    engine.submit(
                            request().steps(900).build(),
                            event -> {
                                Generation own = generation.get();
                                if (own != null && event.stage().equals("stage1")) {
                                    own.cancel();
                                }
                            });
            generation.set(cancelled);
            assertThrows(CancelledException.class, cancelled::join);
            GenerationRequest next = request().size(128, 128).steps(2).build();
            assertEquals(Tiny.hash(draw(options(1), next)), Tiny.hash(engine.submit(next).join()));
        }
    }
}
