// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.ffi.CudaDriver;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.CudaProvider;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Tensor;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The whole command line on GPUs that are not there, with ONNX Runtime's own CUDA provider: the driver
 * and our kernels of native/emulation compute, what the provider asks of CUDA's runtime, cuBLAS and
 * cuDNN is only written down. So pictures mean nothing here; what the provider launches, copies,
 * allocates and waits for, on which stream, and how it fails, is what a GPU would see.
 */
class EmulatedGpuTest {
    private static final Path CUDA = Path.of("target/native-build/cuda").toAbsolutePath();
    private static final Path NVRTC =
            Path.of("target/nvrtc/org/bytedeco/cuda/linux-x86_64").toAbsolutePath();

    /** The first convolution of the demo's denoiser. */
    private static final Pattern RUN =
            Pattern.compile("convolution \\d+x4x(16x16|32x32) by 32x4x3x3");

    private static final Map<String, String> GRAPHS =
            Map.of("JDK_JAVA_OPTIONS", "-Dasg.cuda.options=enable_cuda_graph=1");

    @TempDir private static Path shared = Path.of("");

    private static @Nullable Together together;

    @TempDir Path folder;

    @BeforeAll
    static void needsTheEmulation() {
        assumeTrue(
                Files.isRegularFile(CUDA.resolve("libcudart.so.13")),
                "skipped: this build has no native code");
    }

    /**
     * A line of the emulation's log.
     *
     * @param what kind of work; what begins with "our " is of the engine, the rest of the provider
     * @param name function or kernel
     * @param stream device and stream
     * @param size bytes, blocks or operations
     */
    private record Event(String what, String name, String stream, long size) {
        static Event of(String line) {
            String[] fields = line.split("\t", -1);
            return new Event(fields[0], fields[1], fields[2], Long.parseLong(fields[3]));
        }

        boolean ours() {
            return what.startsWith("our ");
        }

        int device() {
            return Integer.parseInt(stream.substring(0, stream.indexOf(':')));
        }
    }

    private record Outcome(int exit, String output, List<Event> events) {
        Outcome expect(int status) {
            assertEquals(status, exit, output);
            return this;
        }

        long count(String what) {
            return events.stream().filter(e -> e.what().equals(what)).count();
        }

        /** What lies between the starts of runs of the demo's denoiser, on one device. */
        List<List<Event>> runs(int device) {
            return runs(device, RUN);
        }

        /** The same of a denoiser that is known by its first convolution. */
        List<List<Event>> runs(int device, Pattern first) {
            List<Event> own = events.stream().filter(e -> e.device() == device).toList();
            List<Integer> starts =
                    IntStream.range(0, own.size())
                            .filter(i -> first.matcher(own.get(i).name()).matches())
                            .boxed()
                            .toList();
            return IntStream.range(1, starts.size())
                    .mapToObj(i -> own.subList(starts.get(i - 1), starts.get(i)))
                    .toList();
        }
    }

    /** A process of its own, in which the machine is another one or the main class. */
    private Outcome runAlone(Class<?> main, Map<String, String> environment, List<String> arguments)
            throws Exception {
        Path log = folder.resolve("log");
        Path output = folder.resolve("output");
        Process process =
                java(main, log, environment, arguments).redirectOutput(output.toFile()).start();
        if (!process.waitFor(150, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
        int exit = process.waitFor();
        List<Event> events = Files.isRegularFile(log) ? events(Files.readAllLines(log)) : List.of();
        return new Outcome(exit, Files.readString(output), events);
    }

    private static List<Event> events(List<String> lines) {
        return lines.stream().map(Event::of).toList();
    }

    /** Short-lived processes: only the first compiler pays. */
    private static ProcessBuilder java(
            Class<?> main, Path log, Map<String, String> environment, List<String> arguments)
            throws IOException {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "--enable-native-access=ALL-UNNAMED",
                                "-Dorg.bytedeco.javacpp.nopointergc=true",
                                "-Dorg.bytedeco.javacpp.platform.extension=-gpu",
                                "-Dorg.bytedeco.javacpp.cachedir=target/javacpp-gpu",
                                "-Dasg.cuda.path=" + CUDA + ":" + NVRTC,
                                "-cp",
                                System.getProperty("java.class.path") + ":" + gpuNatives(),
                                main.getName()));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment()
                .putAll(
                        Map.of(
                                "LD_LIBRARY_PATH",
                                CUDA.toString(),
                                "XDG_CACHE_HOME",
                                Path.of("target/gpu-cache").toAbsolutePath().toString(),
                                "ASG_EMULATED_LOG",
                                log.toString()));
        builder.environment().putAll(environment);
        return builder;
    }

    /**
     * The process that runs the commands of all tests in which the machine is as usual: to start it and to
     * load the provider takes longer than to draw.
     */
    private static final class Together {
        private final Path log;
        private final Process process;
        private final BufferedReader output;
        private final PrintStream commands;
        private int read;

        Together(Path log) throws IOException {
            this.log = log;
            process = java(Commands.class, log, Map.of(), List.of()).start();
            output = process.inputReader(StandardCharsets.UTF_8);
            commands = new PrintStream(process.getOutputStream(), true, StandardCharsets.UTF_8);
        }

        Outcome run(List<String> arguments) throws Exception {
            commands.println(String.join("\t", arguments));
            FutureTask<Outcome> answer = new FutureTask<>(this::answer);
            Thread.ofPlatform().daemon().start(answer);
            try {
                return answer.get(150, TimeUnit.SECONDS);
            } catch (TimeoutException e) {
                process.destroyForcibly();
                throw e;
            }
        }

        private Outcome answer() throws IOException {
            StringBuilder text = new StringBuilder();
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                if (line.startsWith(Commands.EXIT)) {
                    List<String> lines = Files.readAllLines(log);
                    List<Event> events = events(lines.subList(read, lines.size()));
                    read = lines.size();
                    int exit = Integer.parseInt(line.substring(Commands.EXIT.length()));
                    return new Outcome(exit, text.toString(), events);
                }
                text.append(line).append('\n');
            }
            throw new IOException("the process has ended: " + text);
        }

        /** A process whose GPUs are all freed ends by itself. */
        void end() throws InterruptedException {
            commands.close();
            boolean ended = process.waitFor(60, TimeUnit.SECONDS);
            process.destroyForcibly();
            assertTrue(ended, "the process stays");
            assertEquals(0, process.exitValue());
        }
    }

    /** Runs the command lines of its standard input, their words apart by tabs, one after the other. */
    static final class Commands {
        /** Begins the line after the output of a command, which has its exit status. */
        private static final String EXIT = "asg4j exit ";

        private Commands() {}

        public static void main(String[] args) throws IOException {
            BufferedReader in =
                    new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            Cli cli = new Cli(EngineFactory.real(), System.out, System.err, false, () -> 0);
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                int exit = cli.run(line.split("\t", -1));
                System.err.flush();
                System.out.println(EXIT + exit);
            }
        }
    }

    private static Outcome run(String... arguments) throws Exception {
        if (together == null) {
            together = new Together(shared.resolve("log"));
        }
        return together.run(List.of(arguments));
    }

    @AfterAll
    static void end() throws InterruptedException {
        if (together != null) {
            together.end();
        }
    }

    /** Runs a network once on each of two devices. */
    static final class OnTwoDevices {
        private OnTwoDevices() {}

        public static void main(String[] args) {
            for (int ordinal = 0; ordinal < 2; ordinal++) {
                try (Arena arena = Arena.ofConfined();
                        CudaDevice device = CudaDevice.open(CudaDriver.open(), ordinal)) {
                    Place place =
                            Place.on(
                                    CudaProvider.withHostTensors(
                                            device, CudaProvider.NO_LIMIT, new CudaLibraries()));
                    Tensor x = Tensor.floats(arena.allocate(4L << 20, 64), 1, 2048, 512);
                    Tensor y = Tensor.floats(arena.allocate(4L << 20, 64), 1, 2048, 512);
                    try (OrtSession session = OrtSession.open(Path.of(args[0]), List.of(), place);
                            Binding binding = session.bind(Map.of("x", x), Map.of("y", y))) {
                        binding.run();
                    }
                }
            }
        }
    }

    private static String gpuNatives() throws IOException {
        try (Stream<Path> jars = Files.list(Path.of("target/gpu"))) {
            return jars.map(Path::toString).collect(Collectors.joining(":"));
        }
    }

    /** On the usual machine. */
    private Outcome generate(String devices, String method, String... more) throws Exception {
        return run(words(devices, method, more).toArray(new String[0]));
    }

    private Outcome generateAlone(
            Map<String, String> environment, String devices, String method, String... more)
            throws Exception {
        return runAlone(Main.class, environment, words(devices, method, more));
    }

    private List<String> words(String devices, String method, String... more) {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "generate",
                                "--prompt",
                                "a pink cone on water",
                                "--seed",
                                "0",
                                "--steps",
                                "6",
                                "--devices",
                                devices,
                                "--method",
                                method,
                                "--out",
                                picture().toString()));
        arguments.addAll(List.of(more));
        return arguments;
    }

    private Path picture() {
        return folder.resolve("x.png");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "cuda:0|direct",
                "cuda:0,cuda:1|asg",
                "cuda:0,cuda:1|multidiffusion",
                "cuda:0|cutdiffusion",
                "cuda:0|demofusion",
                "cuda:0,cuda:1|scalecrafter",
                "cuda:0,cuda:1|superres"
            })
    void methodsDrawByTheProvider(String devices, String method) throws Exception {
        Outcome drawn = generate(devices, method).expect(0);
        assertTrue(Files.isRegularFile(picture()));
        assertEquals(List.of(), drawn.events().stream().filter(EmulatedGpuTest::refused).toList());
        Set<Integer> devicesUsed = new HashSet<>();
        drawn.events().stream()
                .filter(e -> e.what().equals("gemm"))
                .forEach(e -> devicesUsed.add(e.device()));
        assertEquals(devices.split(",").length, devicesUsed.size(), devices);
    }

    private static boolean refused(Event e) {
        return e.what().equals("bad launch") || e.what().equals("out of memory");
    }

    /**
     * ONNX Runtime takes memory, waits and has cuDNN plan convolutions in its first runs only; each run is
     * the same work, the nine windows of a step being calls of one shape (five, and four with room for
     * five).
     */
    @Test
    void aRunOfTheDenoiserOnlyEnqueuesOnOurStream() throws Exception {
        List<List<Event>> runs =
                generate("cuda:0", "multidiffusion", "--view-batch", "8").expect(0).runs(0);
        List<List<Event>> settled = runs.subList(2, runs.size());
        assertEquals(6 * 2 - 3, settled.size());
        Set<String> streams = new HashSet<>();
        Map<List<Event>, Integer> work = new HashMap<>();
        for (List<Event> run : settled) {
            run.forEach(e -> streams.add(e.stream()));
            List<Event> provider = run.stream().filter(e -> !e.ours()).toList();
            work.merge(provider, 1, Integer::sum);
            Set<String> kinds = provider.stream().map(Event::what).collect(Collectors.toSet());
            kinds.removeAll(
                    Set.of("kernel", "gemm", "cudnn", "set", "copy on device", "copy to device"));
            assertEquals(Set.of(), kinds, "a run waits, allocates, plans or copies to the host");
        }
        assertEquals(1, work.size(), "runs differ");
        streams.remove("0:0"); // waiting for an event is on no stream
        assertEquals(1, streams.size(), streams.toString());
    }

    /**
     * Networks whose inputs and outputs are halves: the provider converts them in the device's memory, and
     * our kernels see float32. What a run copies there are its timestep and places in the picture, what
     * comes back is one index.
     */
    @Test
    void halvesAtTheEndsOfNetworksAreConvertedOnTheDevice() throws Exception {
        Outcome drawn =
                generate(
                                "cuda:0",
                                "multidiffusion",
                                "--model",
                                "src/test/resources/onnx/sdxl",
                                "--size",
                                "192x192")
                        .expect(0);
        List<List<Event>> runs = drawn.runs(0, Pattern.compile("convolution 2x4x16x16 by 8x4x3x3"));
        assertFalse(runs.isEmpty());
        for (List<Event> run : runs.subList(2, runs.size())) {
            assertTrue(casts(run, "OP_CastIfS2_") > 0, "to halves");
            assertTrue(casts(run, "OP_CastIS2_f") > 0, "to float32");
            for (Event e : run) {
                assertFalse(e.what().equals("copy to host"), () -> "" + e);
                assertFalse(e.what().contains("allocate"), () -> "" + e);
                if (e.what().contains("copy")) {
                    assertTrue(e.size() < 2 * 4 * 16 * 16 * 2, () -> "a tensor is copied: " + e);
                }
            }
        }
    }

    private static long casts(List<Event> run, String operation) {
        return run.stream().filter(e -> e.name().contains(operation)).count();
    }

    /** Beyond an interval of guidance a view has one row, and the device half the work. */
    @Test
    void stepsWithoutGuidanceAreHalfTheWork() throws Exception {
        String[] all = {"--scheduler", "euler", "--spacing", "leading"};
        String[] some = {
            "--scheduler", "euler", "--spacing", "leading", "--guidance-interval", "1..4"
        };
        Outcome guided = generate("cuda:0", "asg", all).expect(0);
        Outcome partly = generate("cuda:0", "asg", some).expect(0);
        // Two of six levels are from 1 to 4, both in the four steps of stage 1 with its four
        // patches;
        // the two of stage 2 have nine windows.
        assertEquals(2 * (4 * 4 + 2 * 9), rows(guided));
        assertEquals(4 * (4 + 2) + 2 * 9, rows(partly));
        assertEquals(
                (double) rows(partly) / rows(guided),
                (double) operations(partly) / operations(guided),
                0.02);
    }

    /** Rows of all runs of the denoiser. */
    private static long rows(Outcome outcome) {
        return outcome.events().stream()
                .filter(e -> RUN.matcher(e.name()).matches())
                .mapToLong(e -> Long.parseLong(e.name().split("[ x]")[1]))
                .sum();
    }

    /** Operations of the convolutions in runs of the denoiser. */
    private static long operations(Outcome outcome) {
        return outcome.runs(0).stream()
                .flatMap(List::stream)
                .filter(e -> e.what().equals("cudnn"))
                .mapToLong(Event::size)
                .sum();
    }

    /**
     * What a dilation makes of sizes is computed on the host, which never asks the device. (Memory and
     * cuDNN's plans are asked for again whenever the factors change, and with them the shapes.)
     */
    @Test
    void dilatedRunsOnlyEnqueueToo() throws Exception {
        List<List<Event>> runs = generate("cuda:0", "scalecrafter").expect(0).runs(0);
        List<List<Event>> settled = runs.subList(4, runs.size());
        assertFalse(settled.isEmpty());
        for (List<Event> run : settled) {
            Set<String> kinds =
                    run.stream()
                            .filter(e -> !e.ours())
                            .map(Event::what)
                            .collect(Collectors.toSet());
            kinds.retainAll(Set.of("wait", "copy to host"));
            assertEquals(Set.of(), kinds, "a run waits or copies to the host");
        }
    }

    /** ONNX Runtime repeats a binding's first run until it has captured it; all runs end as a replay. */
    @Test
    void graphsAreCapturedAndReplayed() throws Exception {
        Outcome drawn =
                generateAlone(GRAPHS, "cuda:0", "multidiffusion", "--view-batch", "8").expect(0);
        assertEquals(2, drawn.count("begin capture"), "calls of five and of four views");
        assertEquals(2 * 6, drawn.count("graph"));
    }

    /** A dilation is read on the host, where a graph would not look again. */
    @Test
    void graphsAreRefusedForDilations() throws Exception {
        Outcome refused = generateAlone(GRAPHS, "cuda:0", "scalecrafter").expect(4);
        assertTrue(
                refused.output().contains("a graph would replay the dilations of the first step"),
                refused.output());
    }

    /** Three for windows, four for patches, five at the stage switch. */
    @Test
    void fewLaunchesLieBetweenTwoRuns() throws Exception {
        for (List<Event> run : generate("cuda:0", "asg").expect(0).runs(0)) {
            long launches = run.stream().filter(e -> e.what().equals("our kernel")).count();
            assertTrue(launches <= 5, () -> launches + " launches: " + ofOurs(run));
        }
    }

    private static List<Event> ofOurs(List<Event> run) {
        return run.stream().filter(Event::ours).toList();
    }

    /**
     * ONNX Runtime asks for the shared memory of the autoencoder's attention on the first device only;
     * CUDA refuses the launch on others, did we not ask there too.
     */
    @Test
    void attentionRunsOnTheSecondDeviceToo() throws Exception {
        Outcome outcome =
                runAlone(
                                OnTwoDevices.class,
                                Map.of(),
                                List.of("src/test/resources/ort/attention512.onnx"))
                        .expect(0);
        List<Event> launches =
                outcome.events().stream().filter(e -> e.name().contains("attention")).toList();
        assertEquals(List.of(0, 1), launches.stream().map(Event::device).toList());
        assertEquals(
                Set.of("kernel"), launches.stream().map(Event::what).collect(Collectors.toSet()));
    }

    @Test
    void kernelsAgreeWithTheJavaOnes() throws Exception {
        Outcome outcome = run("doctor", "--devices", "cuda:0,cuda:1").expect(0);
        assertTrue(outcome.output().contains("cuda:1"), outcome.output());
    }

    /**
     * Whatever a device is at when it is lost, the other one draws the picture, and the process goes
     * on: ONNX Runtime ends it when it frees memory of a lost device.
     */
    @Test
    void theOtherDeviceDrawsThePictureOfALostOne() throws Exception {
        List<Event> undisturbed =
                generateAlone(Map.of(), "cuda:0,cuda:1", "asg").expect(0).events().stream()
                        .filter(e -> e.device() == 0 && !e.ours())
                        .toList();
        List<Integer> work =
                IntStream.range(0, undisturbed.size())
                        .filter(i -> undisturbed.get(i).what().equals("gemm"))
                        .boxed()
                        .toList();
        // In the text encoder, in both stages and their middle, and in the decoder.
        for (int at : List.of(1, work.size() / 4, work.size() / 2, work.size() - 1)) {
            Files.deleteIfExists(picture());
            Outcome outcome =
                    generateAlone(
                                    Map.of("ASG_EMULATED_LOSE", "0:" + work.get(at)),
                                    "cuda:0,cuda:1",
                                    "asg")
                            .expect(0);
            assertTrue(
                    outcome.output().contains("is begun again on those that are left"),
                    outcome.output());
            assertTrue(
                    outcome.output().contains("their work was done by the others: cuda:0"),
                    outcome.output());
            assertTrue(Files.isRegularFile(picture()));
        }
    }

    @Test
    void theLastDeviceLostIsAnErrorThatSaysWhatFailed() throws Exception {
        Outcome outcome =
                generateAlone(Map.of("ASG_EMULATED_LOSE", "0:4000"), "cuda:0", "asg").expect(4);
        assertTrue(outcome.output().contains("all devices are lost: [cuda:0"), outcome.output());
        assertTrue(outcome.output().contains("700"), outcome.output());
        assertFalse(outcome.output().contains("std::"), outcome.output());
        assertFalse(Files.exists(picture()));
    }

    @Test
    void aDeviceLostWhileLoadingIsNotTheBundlesFault() throws Exception {
        Outcome outcome =
                generateAlone(Map.of("ASG_EMULATED_LOSE", "0:100"), "cuda:0", "asg").expect(4);
        assertTrue(
                outcome.output().contains("cannot be loaded: CUDA failure 700"), outcome.output());
    }

    @Test
    void tooLittleMemoryForTheWeightsIsSaid() throws Exception {
        Outcome outcome =
                generateAlone(Map.of("ASG_EMULATED_MEMORY", "9000000"), "cuda:0", "asg").expect(4);
        assertTrue(outcome.output().contains("no memory to load it"), outcome.output());
        assertTrue(outcome.output().contains("failure 2: out of memory"), outcome.output());
        assertFalse(outcome.output().contains("std::"), outcome.output());
    }

    /** The plan reckons with the whole device, but another process has taken a part of it. */
    @Test
    void noMemoryInTheDecodeIsDecodedInTiles() throws Exception {
        Outcome outcome =
                generateAlone(
                                Map.of(
                                        "ASG_EMULATED_MEMORY", "200000000",
                                        "ASG_EMULATED_TAKEN", "143000000"),
                                "cuda:0",
                                "multidiffusion")
                        .expect(0);
        assertTrue(
                outcome.output().contains("out of memory in the VAE decode (whole), decoded again"),
                outcome.output());
        assertTrue(Files.isRegularFile(picture()));
    }
}
