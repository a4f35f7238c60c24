// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;

class OrtSessionTest {
    private final long bytesBefore = Memory.bytesInUse();
    private Memory memory;

    @BeforeEach
    void open() {
        memory = new Memory("test");
    }

    @AfterEach
    void close() {
        memory.close();
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    @Test
    void runsOnTheBoundMemory() {
        MemorySegment x = floats(1, 2, 3, 4, 5, 6);
        MemorySegment id = memory.allocate(16, "id");
        id.setAtIndex(ValueLayout.JAVA_LONG, 0, 10);
        id.setAtIndex(ValueLayout.JAVA_LONG, 1, -1);
        MemorySegment a = memory.floats(6, "a");
        MemorySegment b = memory.floats(6, "b");
        try (OrtSession session = session("two", 1);
                Binding binding =
                        session.bind(
                                Map.of("x", Tensor.floats(x, 2, 3), "id", Tensor.longs(id, 2, 1)),
                                Map.of("a", Tensor.floats(a, 2, 3), "b", Tensor.floats(b, 2, 3)))) {
            binding.run();
            assertEquals(List.of(2f, 4f, 6f, 8f, 10f, 12f), list(a));
            assertEquals(List.of(11f, 12f, 13f, 3f, 4f, 5f), list(b));
            x.setAtIndex(ValueLayout.JAVA_FLOAT, 0, 100);
            binding.run();
            assertEquals(200f, list(a).getFirst());
            assertEquals(110f, list(b).getFirst());
        }
    }

    @Test
    void outputsMayBeLeftUnbound() {
        MemorySegment b = memory.floats(3, "b");
        try (OrtSession session = session("two", 1);
                Binding binding =
                        session.bind(two(floats(1, 2, 3)), Map.of("b", Tensor.floats(b, 1, 3)))) {
            binding.run();
            assertEquals(List.of(1f, 2f, 3f), list(b));
        }
    }

    @Test
    void describesInputsAndOutputs() {
        try (OrtSession session = session("two", 1)) {
            assertEquals(List.of("x", "id"), List.copyOf(session.inputs().keySet()));
            assertEquals(
                    new TensorInfo("x", "float32", List.of(-1L, 3L)), session.inputs().get("x"));
            assertEquals("int64[?, 1]", session.inputs().get("id").signature());
            assertEquals(List.of("a", "b"), List.copyOf(session.outputs().keySet()));
        }
    }

    @Test
    void theSameModelFromMemoryAndFromAFile(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("modèle.onnx");
        Files.write(file, resource("two"));
        try (OrtSession session = OrtSession.open(file, 2)) {
            assertEquals(2, session.outputs().size());
            assertTrue(session.name().endsWith("modèle.onnx"), session.name());
        }
    }

    @Test
    void externalDataOfAModelInMemory() {
        MemorySegment model = memory.allocate(resource("external").length, "model");
        MemorySegment.copy(
                resource("external"), 0, model, ValueLayout.JAVA_BYTE, 0, (int) model.byteSize());
        MemorySegment y = memory.floats(3, "y");
        OrtSession session;
        try (Memory file = new Memory("file")) {
            MemorySegment weights = file.allocate(20, "w.bin");
            for (int i = 0; i < 3; i++) {
                weights.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 3 + 4L * i, 10 * (i + 1));
            }
            session = OrtSession.open(model, Map.of("folder/w.bin", weights), "external", 1);
            weights.fill((byte) 0);
        }
        try (session;
                Binding binding =
                        session.bind(
                                Map.of("x", Tensor.floats(floats(1, 2, 3), 3)),
                                Map.of("y", Tensor.floats(y, 3)))) {
            binding.run();
            assertEquals(List.of(11f, 22f, 33f), list(y));
        }
        MemorySegment cut = memory.allocate(9, "w.bin");
        for (Map<String, MemorySegment> files :
                List.of(Map.of("folder/w.bin", cut), Map.of("other.bin", cut))) {
            assertThrows(
                    BadBundleException.class,
                    () -> OrtSession.open(model, files, "external", 1).close());
        }
    }

    /** As weights of gigabytes are read. */
    @Test
    void externalDataThatStaysMapped(@TempDir Path folder) throws IOException {
        Path file = Files.write(folder.resolve("external.onnx"), resource("external"));
        ByteBuffer weights = ByteBuffer.allocate(20).order(ByteOrder.LITTLE_ENDIAN);
        weights.putFloat(3, 10).putFloat(7, 20).putFloat(11, 30);
        Files.createDirectory(folder.resolve("folder"));
        Path data = Files.write(folder.resolve("folder").resolve("w.bin"), weights.array());
        MemorySegment y = memory.floats(3, "y");
        try (OrtSession session = OrtSession.open(file, List.of(data), new Place(1, null, true));
                Binding binding =
                        session.bind(
                                Map.of("x", Tensor.floats(floats(1, 2, 3), 3)),
                                Map.of("y", Tensor.floats(y, 3)))) {
            binding.run();
            assertEquals(List.of(11f, 22f, 33f), list(y));
        }
    }

    @Test
    void bindingChecksNameTypeRankAndExtent() {
        Tensor x = Tensor.floats(floats(1, 2, 3), 1, 3);
        Tensor id = Tensor.longs(memory.allocate(8, "id"), 1, 1);
        Map<String, Tensor> out = Map.of("a", Tensor.floats(floats(0, 0, 0), 1, 3));
        try (OrtSession session = session("two", 1)) {
            refuses(session, Map.of("x", x), out, "\"id\" int64[?, 1]");
            refuses(session, Map.of("x", x, "id", id, "z", x), out, "no input \"z\"");
            refuses(
                    session,
                    Map.of("x", id, "id", id),
                    out,
                    "\"x\" is float32[?, 3], but int64[1, 1]");
            refuses(session, Map.of("x", Tensor.floats(x.data(), 3), "id", id), out, "float32[3]");
            refuses(
                    session,
                    Map.of("x", Tensor.floats(x.data(), 3, 1), "id", id),
                    out,
                    "float32[3, 1]");
            refuses(session, Map.of("x", x, "id", id), Map.of("c", x), "no output \"c\"");
            refuses(session, Map.of("x", x, "id", id), Map.of("b", id), "\"b\" is float32[?, 3]");
        }
    }

    private static void refuses(
            OrtSession session, Map<String, Tensor> in, Map<String, Tensor> out, String text) {
        BadBundleException e =
                assertThrows(BadBundleException.class, () -> session.bind(in, out).close());
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    @Test
    void aShapeMismatchInsideTheModelIsTyped() {
        try (OrtSession session = session("sum", 1);
                Binding binding =
                        session.bind(
                                Map.of(
                                        "x", Tensor.floats(floats(1, 2, 3), 3),
                                        "y", Tensor.floats(floats(1, 2), 2)),
                                Map.of("s", Tensor.floats(floats(0, 0, 0), 3)))) {
            BadBundleException e = assertThrows(BadBundleException.class, binding::run);
            assertTrue(e.getMessage().contains("x float32[3]"), e.getMessage());
        }
    }

    @Test
    void anOutputOfAnotherShapeIsTypedAndWritesNothingBeyondItsMemory() {
        MemorySegment guarded = floats(7, 7, 7, 7);
        try (OrtSession session = session("sum", 1);
                Binding binding =
                        session.bind(
                                Map.of(
                                        "x", Tensor.floats(floats(1, 2, 3), 3),
                                        "y", Tensor.floats(floats(1, 2, 3), 3)),
                                Map.of("s", Tensor.floats(guarded.asSlice(0, 8), 2)))) {
            assertThrows(BadBundleException.class, binding::run);
            assertEquals(List.of(7f, 7f, 7f, 7f), list(guarded));
        }
    }

    @Test
    void badModelsAreTypedExceptions(@TempDir Path folder) throws IOException {
        byte[] good = resource("two");
        Map<String, byte[]> bad =
                Map.of(
                        "truncated", Arrays.copyOf(good, good.length / 2),
                        "zeros", new byte[1000],
                        "text", "this is no model\n".repeat(50).getBytes(StandardCharsets.UTF_8),
                        "opset", resource("opset999"),
                        "operator", resource("unknown_op"),
                        "empty", new byte[0]);
        for (Map.Entry<String, byte[]> model : bad.entrySet()) {
            Path file = folder.resolve(model.getKey() + ".onnx");
            Files.write(file, model.getValue());
            BadBundleException fromFile =
                    assertThrows(
                            BadBundleException.class,
                            () -> OrtSession.open(file, 1).close(),
                            model.getKey());
            assertTrue(fromFile.getMessage().contains(file.toString()), fromFile.getMessage());
            MemorySegment bytes = memory.allocate(model.getValue().length, "model");
            MemorySegment.copy(
                    model.getValue(), 0, bytes, ValueLayout.JAVA_BYTE, 0, model.getValue().length);
            assertThrows(
                    BadBundleException.class,
                    () -> OrtSession.open(bytes, Map.of(), model.getKey(), 1).close(),
                    model.getKey());
        }
        assertThrows(BadBundleException.class, () -> OrtSession.open(folder.resolve("none"), 1));
        assertThrows(BadBundleException.class, () -> OrtSession.open(folder, 1));
    }

    @Test
    void aRunAllocatesNothing() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        MemorySegment a = memory.floats(3, "a");
        try (OrtSession session = session("two", 1);
                Binding binding =
                        session.bind(two(floats(1, 2, 3)), Map.of("a", Tensor.floats(a, 1, 3)))) {
            runs(binding, 20_000);
            long before = threads.getCurrentThreadAllocatedBytes();
            runs(binding, 10_000);
            long bytes = threads.getCurrentThreadAllocatedBytes() - before;
            // The bean itself may allocate; one object per run would be 160,000 bytes.
            assertTrue(bytes < 1_000, bytes + " bytes of heap for 10,000 runs");
        }
    }

    private static void runs(Binding binding, int count) {
        for (int i = 0; i < count; i++) {
            binding.run();
        }
    }

    @Test
    void terminateEndsARunningCallAndResetAllowsTheNext() throws Exception {
        int n = 256;
        MemorySegment x = memory.floats((long) n * n, "x");
        MemorySegment y = memory.floats((long) n * n, "y");
        try (OrtSession session = session("chain", 1);
                Binding binding =
                        session.bind(
                                Map.of("x", Tensor.floats(x, n, n)),
                                Map.of("y", Tensor.floats(y, n, n)))) {
            boolean duringARun = false;
            // A terminated binding says so before a run too: again, until one has begun.
            for (int attempt = 0; attempt < 50 && !duringARun; attempt++) {
                CountDownLatch started = new CountDownLatch(1);
                CompletableFuture<Void> run =
                        CompletableFuture.runAsync(
                                () -> {
                                    while (true) {
                                        started.countDown();
                                        binding.run();
                                    }
                                });
                started.await();
                Thread.sleep(attempt);
                binding.terminate();
                ExecutionException e =
                        assertThrows(ExecutionException.class, () -> run.get(60, TimeUnit.SECONDS));
                assertTrue(e.getCause() instanceof CancelledException, e.toString());
                duringARun = e.getCause().getCause() != null;
                assertThrows(CancelledException.class, binding::run);
                binding.reset();
                binding.run();
            }
            assertTrue(duringARun, "no run was ended");
        }
    }

    @Test
    void closingWaitsForARunAndTheSessionForItsBindings() throws Exception {
        int n = 128;
        MemorySegment x = memory.floats((long) n * n, "x");
        MemorySegment y = memory.floats((long) n * n, "y");
        OrtSession session = session("chain", 1);
        Binding binding =
                session.bind(
                        Map.of("x", Tensor.floats(x, n, n)), Map.of("y", Tensor.floats(y, n, n)));
        AtomicReference<RuntimeException> failure = new AtomicReference<>();
        CountDownLatch started = new CountDownLatch(1);
        Thread worker =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        while (true) {
                                            binding.run();
                                            started.countDown();
                                        }
                                    } catch (RuntimeException e) {
                                        failure.set(e);
                                    }
                                });
        started.await();
        session.close();
        session.close();
        assertTrue(worker.isAlive(), "the open binding still runs");
        assertThrows(
                IllegalStateException.class,
                () ->
                        session.bind(
                                Map.of("x", Tensor.floats(x, n, n)),
                                Map.of("y", Tensor.floats(y, n, n))));
        binding.close();
        binding.close();
        worker.join();
        assertTrue(failure.get() instanceof IllegalStateException, String.valueOf(failure.get()));
        binding.terminate();
        binding.reset();
    }

    @Test
    void freedMemoryIsNoticed() {
        Memory other = new Memory("other");
        MemorySegment a = other.floats(3, "a");
        try (OrtSession session = session("two", 1);
                Binding binding =
                        session.bind(two(floats(1, 2, 3)), Map.of("a", Tensor.floats(a, 1, 3)))) {
            other.close();
            IllegalStateException e = assertThrows(IllegalStateException.class, binding::run);
            assertTrue(e.getMessage().contains("is freed"), e.getMessage());
        }
    }

    @Test
    void severalThreadsShareASession() throws Exception {
        try (OrtSession session = session("two", 2)) {
            List<CompletableFuture<Void>> workers =
                    IntStream.range(0, 4)
                            .mapToObj(t -> CompletableFuture.runAsync(() -> work(session, t)))
                            .toList();
            for (CompletableFuture<Void> worker : workers) {
                worker.get(60, TimeUnit.SECONDS);
            }
        }
    }

    private static void work(OrtSession session, int number) {
        try (Memory own = new Memory("worker " + number)) {
            MemorySegment x = own.floats(3, "x");
            MemorySegment a = own.floats(3, "a");
            MemorySegment id = own.allocate(8, "id");
            try (Binding binding =
                    session.bind(
                            Map.of("x", Tensor.floats(x, 1, 3), "id", Tensor.longs(id, 1, 1)),
                            Map.of("a", Tensor.floats(a, 1, 3)))) {
                for (int i = 0; i < 2_000; i++) {
                    x.setAtIndex(ValueLayout.JAVA_FLOAT, 1, number * 10_000 + i);
                    binding.run();
                    assertEquals(2f * (number * 10_000 + i), list(a).get(1));
                }
            }
        }
    }

    /** A leaked session is more than 50 kB. */
    @Test
    void closedSessionsLeaveNoNativeMemory() throws Throwable {
        assertNativeMemoryIsFreed(200, 1);
    }

    /** A leaked tensor is more than 100 bytes. */
    @Test
    void closedBindingsLeaveNoNativeMemory() throws Throwable {
        assertNativeMemoryIsFreed(1, 5_000);
    }

    private void assertNativeMemoryIsFreed(int sessions, int bindings) throws Throwable {
        Map<String, Tensor> in = two(floats(1, 2, 3));
        Map<String, Tensor> out = Map.of("a", Tensor.floats(memory.floats(3, "a"), 1, 3));
        // The JVM allocates too, but not for ever: a leak grows in every round.
        long grown = Long.MAX_VALUE;
        for (int round = 0; round < 8 && grown > 400_000; round++) {
            long before = mallocBytes();
            for (int i = 0; i < sessions; i++) {
                try (OrtSession session = session("two", 1)) {
                    for (int b = 0; b < bindings; b++) {
                        try (Binding binding = session.bind(in, out)) {
                            binding.run();
                        }
                    }
                }
            }
            grown = mallocBytes() - before;
        }
        assertTrue(grown <= 400_000, grown + " bytes more than a round before");
    }

    /** Bytes handed out by malloc in this process: uordblks, the eighth field of mallinfo2(3). */
    @SuppressWarnings("restricted")
    private static long mallocBytes() throws Throwable {
        MemoryLayout info =
                MemoryLayout.structLayout(MemoryLayout.sequenceLayout(10, ValueLayout.JAVA_LONG));
        Linker linker = Linker.nativeLinker();
        MethodHandle mallinfo2 =
                linker.downcallHandle(
                        linker.defaultLookup().findOrThrow("mallinfo2"),
                        FunctionDescriptor.of(info));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment result = (MemorySegment) mallinfo2.invokeExact((SegmentAllocator) arena);
            return result.getAtIndex(ValueLayout.JAVA_LONG, 7);
        }
    }

    @Test
    void onlyTheLibrariesThatMatterAreLoaded() throws IOException {
        assertEquals("1.24.1", OrtRuntime.version());
        String maps = Files.readString(Path.of("/proc/self/maps"));
        assertTrue(maps.contains("libonnxruntime.so"));
        assertFalse(maps.contains("libdnnl.so"), "dnnl was loaded too: the cold start is slow");
    }

    private Map<String, Tensor> two(MemorySegment x) {
        return Map.of(
                "x", Tensor.floats(x, 1, 3), "id", Tensor.longs(memory.allocate(8, "id"), 1, 1));
    }

    private MemorySegment floats(float... values) {
        MemorySegment segment = memory.floats(values.length, "test data");
        MemorySegment.copy(values, 0, segment, ValueLayout.JAVA_FLOAT, 0, values.length);
        return segment;
    }

    private static List<Float> list(MemorySegment segment) {
        float[] values = segment.toArray(ValueLayout.JAVA_FLOAT);
        return IntStream.range(0, values.length).mapToObj(i -> values[i]).toList();
    }

    private OrtSession session(String name, int threads) throws AsgException {
        byte[] model = resource(name);
        MemorySegment bytes = memory.allocate(model.length, name);
        MemorySegment.copy(model, 0, bytes, ValueLayout.JAVA_BYTE, 0, model.length);
        return OrtSession.open(bytes, Map.of(), name + ".onnx", threads);
    }

    private static byte[] resource(String name) {
        try (InputStream in = OrtSessionTest.class.getResourceAsStream("/ort/" + name + ".onnx")) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
