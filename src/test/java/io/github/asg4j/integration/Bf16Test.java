// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.BadBundleException;
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
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Provider;
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
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.function.LongToIntFunction;
import java.util.stream.Stream;

/**
 * The denoiser and the VAE in bf16 by OpenVINO's plug-in, on the demo model. Skipped where the CPU has no
 * bf16 or the plug-in is not installed: {@link OpenVinoLibraries} says where it is looked for.
 *
 * <p>Most of its time is compiling, a second for each shape of the denoiser: tests share engines and shapes.
 */
class Bf16Test {
    /**
     * Root mean square of the error of the noise, in units of the noise's own, for one call. bf16 has 8
     * bits, 2^-9 = 0.002 for one rounding; measured are 0.005 on this model, 0.03 on SD 1.5's network with
     * random weights.
     */
    private static final double CALL_ERROR = 0.01;

    /** Of a decode's pixels in 8 bits, dB; measured are 56 on this model, 50 on SD 1.5's with random weights. */
    private static final double DECODE_PSNR = 52;

    /** Of an encode, as {@link #CALL_ERROR}; measured are 0.0035, and 0.023 on SD 1.5's. */
    private static final double ENCODE_ERROR = 0.007;

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

    private static EngineOptions options(Path bundle, int workers) {
        return options(workers).withModel(bundle);
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
        GenerationRequest.Builder request = request().method(method).steps(3);
        if (!method.equals("scalecrafter")) {
            request.size(384, 256).viewBatch(3).steps(4);
        }
        String one = Tiny.hash(draw(options(1), request.build()));
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

    /** By asg, decoded whole; by relay, decoded and encoded in tiles of the whole picture's statistics. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "relay"})
    void pictureIsThatOfFp32WithinTheLimit(String method) {
        GenerationRequest.Builder builder = request().method(method).steps(20);
        if (method.equals("relay")) {
            builder.vaeTile(128);
        }
        GenerationRequest request = builder.build();
        checkPicture(request, draw(options(2), request));
    }

    /** The network that gives its features, and its outermost layers that take them, are compiled too. */
    @Test
    void featuresAreKept() {
        GenerationRequest request =
                request().method("multidiffusion").steps(9).cacheInterval(3).build();
        GeneratedImage image = draw(options(2), request);
        checkPicture(request, image);
        assertTrue(image.report().plan().shallowEvaluations() > 0, "every step is whole");
        assertEquals(Tiny.hash(image), Tiny.hash(draw(options(4), request)));
    }

    private static void checkPicture(GenerationRequest request, GeneratedImage image) {
        GeneratedImage exact = draw(options(2).withPrecision("fp32"), request);
        assertNotEquals(Tiny.hash(exact), Tiny.hash(image), "fp32 was drawn twice");
        ByteBuffer a = exact.rgb();
        ByteBuffer b = image.rgb();
        double psnr = psnr(a.limit(), i -> (a.get((int) i) & 255) - (b.get((int) i) & 255));
        assertTrue(psnr > PICTURE_PSNR, "PSNR " + psnr);
    }

    private static double psnr(long count, LongToIntFunction difference) {
        double squares = 0;
        for (long i = 0; i < count; i++) {
            int each = difference.applyAsInt(i);
            squares += each * each;
        }
        return 10 * Math.log10(255.0 * 255 * count / squares);
    }

    /** A call of the network at the ends and in the middle of the noise. */
    @Test
    void noiseOfACallIsThatOfFp32WithinTheLimit() {
        try (OrtSession fp32 = demo(m -> m.denoiser().file(), Place.cpu(1));
                OrtSession bf16 =
                        demo(m -> m.denoiser().file(), place(provider(CompiledCache.NONE)));
                Arena arena = Arena.ofConfined()) {
            for (float timestep : new float[] {1, 500, 999}) {
                MemorySegment exact = arena.allocate(4L * 2 * 4 * 16 * 16, 64);
                MemorySegment noise = arena.allocate(exact.byteSize(), 64);
                run(fp32, timestep, exact, arena);
                run(bf16, timestep, noise, arena);
                checkError(exact, noise, CALL_ERROR);
            }
        }
    }

    private static void checkError(MemorySegment exact, MemorySegment values, double limit) {
        double error = 0;
        double power = 0;
        for (long i = 0; i < exact.byteSize() / 4; i++) {
            double x = exact.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            double y = values.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            error += (x - y) * (x - y);
            power += x * x;
        }
        double relative = Math.sqrt(error / power);
        assertTrue(relative < limit, "relative error " + relative);
        assertTrue(relative > 1e-4, "fp32 was computed twice: " + relative);
    }

    /** A decode and an encode, compiled anew for one thread and for more. */
    @Test
    void vaeIsThatOfFp32WithinTheLimitForAnyNumberOfThreads() {
        MemorySegment exact = decoded(Place.cpu(1), 16);
        MemorySegment image = decoded(alone(1), 16);
        double psnr = psnr(exact.byteSize() / 4, i -> level(exact, i) - level(image, i));
        assertTrue(psnr > DECODE_PSNR, "PSNR " + psnr);
        checkError(exact, image, 1);
        assertEquals(-1, image.mismatch(decoded(alone(2), 16)));
        assertEquals(-1, image.mismatch(decoded(alone(5), 16)));
        MemorySegment latents = encoded(alone(2), exact);
        checkError(encoded(Place.cpu(1), exact), latents, ENCODE_ERROR);
        assertEquals(-1, latents.mismatch(encoded(alone(1), exact)));
    }

    private static int level(MemorySegment image, long i) {
        float value = image.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        return (int) Math.rint(Math.clamp((value + 1) * 127.5, 0, 255));
    }

    private static Place alone(int threads) {
        return place(provider(CompiledCache.NONE).keepingNone(1, threads));
    }

    private static Place place(Provider provider) {
        return new Place(1, provider, false);
    }

    private static OpenVinoProvider provider(CompiledCache cache) {
        return OpenVinoProvider.open(plugin, 1, 1, cache);
    }

    private static OrtSession demo(Function<Manifest, String> file, Place place) {
        try (Bundle bundle = Bundle.open(null, ModelParts.NONE, false)) {
            return LoadedModel.session(bundle, file.apply(bundle.manifest()), place);
        }
    }

    /** What the demo's decoder makes of 16 rows of latents. */
    private static MemorySegment decoded(Place place, int columns) {
        MemorySegment latents = floats(Arena.ofAuto(), new long[] {1, 4, 16, columns});
        SplittableRandom random = new SplittableRandom(1);
        for (long i = 0; i < latents.byteSize() / 4; i++) {
            // as large as the decoder has them: the demo's scaling is a quarter
            float value = (float) (4 * random.nextGaussian());
            latents.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        }
        long[] from = {1, 4, 16, columns};
        long[] to = {1, 3, 128, columns * 8L};
        try (OrtSession session = demo(m -> m.vae().decoder(), place)) {
            return ran(session, Tensor.floats(latents, from), to);
        }
    }

    /** What the demo's encoder makes of such a picture. */
    private static MemorySegment encoded(Place place, MemorySegment image) {
        try (OrtSession session = demo(m -> Objects.requireNonNull(m.vae().encoder()), place)) {
            return ran(session, Tensor.floats(image, 1, 3, 128, 128), new long[] {1, 4, 16, 16});
        }
    }

    private static MemorySegment ran(OrtSession session, Tensor input, long[] shape) {
        MemorySegment out = floats(Arena.ofAuto(), shape);
        String from = session.inputs().firstEntry().getKey();
        String to = session.outputs().firstEntry().getKey();
        try (Binding binding =
                session.bind(Map.of(from, input), Map.of(to, Tensor.floats(out, shape)))) {
            binding.run();
        }
        return out;
    }

    private static MemorySegment floats(Arena arena, long[] shape) {
        long count = 1;
        for (long extent : shape) {
            count *= extent;
        }
        return arena.allocate(4 * count, 64);
    }

    /** Whole and in tiles by what is compiled; what overflows in fp32. */
    @Test
    void reportSaysWhatTheVaeRanIn(@TempDir Path folder) throws IOException {
        GenerationRequest whole = request().size(256, 256).steps(1).build();
        GenerationRequest tiles = whole.toBuilder().vaeTile(128).build();
        Path parts = Tiny.withTiledVae(Files.createDirectory(folder.resolve("p")), "", false);
        assertEquals("whole in bf16", draw(options(parts, 2), whole).report().decoded());
        GeneratedImage exact = draw(options(parts, 2), tiles);
        String decoded = String.valueOf(exact.report().decoded());
        assertTrue(decoded.matches("\\d+ tiles of \\d+x\\d+ pixels in bf16"), decoded);
        assertEquals(Tiny.hash(exact), Tiny.hash(draw(options(parts, 4), tiles)));
        GeneratedImage feathered = draw(options(Tiny.bundle(), 1), tiles);
        assertEquals("9 feathered tiles of 128x128 pixels in bf16", feathered.report().decoded());
        assertEquals(Tiny.hash(feathered), Tiny.hash(draw(options(Tiny.bundle(), 3), tiles)));
        Path both = Tiny.withOverflowingVae(Files.createDirectory(folder.resolve("o")));
        assertEquals("whole", draw(options(both, 1), whole).report().decoded());
        assertEquals(
                "9 feathered tiles of 128x128 pixels",
                draw(options(both, 1), tiles).report().decoded());
        Path alone =
                Tiny.withTiledVae(Files.createDirectory(folder.resolve("a")), "_overflow", false);
        assertThrows(BadBundleException.class, () -> draw(options(alone, 1), whole));
    }

    /**
     * Kept by one number of workers, used by another; damaged, it is compiled again; then it leaves. All
     * beside a network that stays open: for as long the plug-in remembers by path what it has had open.
     */
    @Test
    void compiledNetworkIsKeptAndGivesTheSameBytes(@TempDir Path folder) throws IOException {
        try (OrtSession other = demo(m -> m.vae().decoder(), alone(1));
                Arena arena = Arena.ofConfined();
                Binding open =
                        other.bind(
                                Map.of("latents", zeros(arena, 1, 4, 16, 16)),
                                Map.of("image", zeros(arena, 1, 3, 128, 128)))) {
            open.run();
            CompiledCache cache = new CompiledCache(folder, 1L << 30);
            MemorySegment compiled = decoded(CompiledCache.NONE);
            assertEquals(-1, compiled.mismatch(decoded(cache)));
            Path entry = only(folder);
            FileTime written = FileTime.from(Instant.now().minusSeconds(1000));
            Files.setLastModifiedTime(entry.resolve("sums"), written);
            Provider two = OpenVinoProvider.open(plugin, 2, 1, cache);
            assertEquals(-1, compiled.mismatch(decoded(place(two), 16)));
            assertEquals(entry, only(folder));
            assertTrue(
                    Files.getLastModifiedTime(entry.resolve("sums")).compareTo(written) > 0,
                    "it was not used");
            Path weights = file(folder, ".bin");
            try (FileChannel channel = FileChannel.open(weights, StandardOpenOption.WRITE)) {
                channel.write(ByteBuffer.wrap(new byte[64]), channel.size() / 2);
            }
            assertEquals(-1, compiled.mismatch(decoded(cache)));
            assertEquals(entry, only(folder), "what was compiled again is not kept");
            Files.writeString(file(folder, ".onnx"), "no model");
            assertEquals(-1, compiled.mismatch(decoded(cache)));

            long bytes = Files.size(file(folder, ".bin"));
            CompiledCache small = new CompiledCache(folder, bytes + bytes / 2);
            decoded(place(provider(small)), 24);
            assertNotEquals(entry, only(folder), "the one that was used longest ago stays");
        }
    }

    private static Tensor zeros(Arena arena, long... shape) {
        return Tensor.floats(floats(arena, shape), shape);
    }

    private static MemorySegment decoded(CompiledCache cache) {
        return decoded(place(provider(cache)), 16);
    }

    private static Path file(Path folder, String ending) throws IOException {
        try (Stream<Path> files = Files.list(only(folder))) {
            return files.filter(f -> f.toString().endsWith(ending)).findFirst().orElseThrow();
        }
    }

    private static Path only(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size(), all.toString());
            return all.getFirst();
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
        Engine engine = ENGINES.on(options(1));
        GenerationRequest request = request().size(128, 128).steps(2).build();
        PlanReport plan = engine.plan(request);
        assertEquals("bf16", plan.precision());
        assertTrue(plan.provider().matches("OpenVINO plug-in \\d+\\..*"), plan.provider());
        assertTrue(plan.compiledShapes() > 0);
        assertEquals("whole in bf16", Objects.requireNonNull(plan.decoding()).summary());
        GeneratedImage image = engine.submit(request).join();
        assertEquals(plan.provider(), image.report().plan().provider());
        assertEquals("whole in bf16", image.report().decoded());
        String text = PngParameters.text(image.report());
        assertTrue(text.contains("Precision: bf16, Provider: OpenVINO plug-in "), text);
        assertTrue(text.contains("VAE: whole in bf16,"), text);
        assertEquals("bf16", engine.describe().precision());
        PlanReport exact = ENGINES.on(options(2).withPrecision("fp32")).plan(request);
        assertTrue(
                plan.memory().weights() > exact.memory().weights(),
                "what is compiled takes memory");
        assertTrue(plan.memory().vae() < exact.memory().vae(), "bf16 takes less to work in");
    }

    /** The network is one node to ONNX Runtime: the call that runs is the last. */
    @Test
    void cancelledPictureEndsAndTheNextIsDrawn() {
        Engine engine = ENGINES.on(options(2));
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
