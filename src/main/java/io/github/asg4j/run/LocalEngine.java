// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.EngineActivity;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.device.HostQueue;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.kernel.KernelSelfTest;
import io.github.asg4j.method.Defaults;
import io.github.asg4j.method.Method;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.ControlFiles;
import io.github.asg4j.model.ControlFolder;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.ort.OrtRuntime;
import io.github.asg4j.plan.Arithmetic;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.planning.Planner;
import io.github.asg4j.prompt.PromptLoras;
import io.github.asg4j.run.start.PromptTokens;
import io.github.asg4j.run.worker.EngineParts;
import io.github.asg4j.run.worker.Fleet;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The engine on this machine: opens bundle, devices and networks, plans requests and hands them to
 * the queue that draws them. Thread-safe.
 */
public final class LocalEngine implements AutoCloseable {
    private static final String VERSION = readVersion();

    private final EngineOptions options;
    private final Devices devices;
    private final KernelChoice kernels;
    private final PrecisionChoice precision;
    private final WeightsChoice weights;
    private final Bundle bundle;
    private final LoadedModel model;
    private final ControlFolder controls;
    private final EngineParts parts;
    private final Planner planner;
    private final Fleet fleet;
    private final RequestQueue queue;

    private LocalEngine(
            EngineOptions options, Supplier<Bundle> opened, WorkerHook hook, Gpus gpus) {
        this.options = options;
        devices =
                Devices.parse(
                        options.devices(),
                        options.threadsPerWorker(),
                        () -> gpus.driver().deviceCount());
        kernels = KernelChoice.choose(options.kernels());
        controls = ControlFolder.of(options.controls(), options.model(), options.verify());
        bundle = opened.get();
        try {
            precision =
                    PrecisionChoice.choose(
                            options.precision(), devices, bundle, memoryLimit(options));
            weights =
                    WeightsChoice.choose(
                            options.weights(),
                            devices.onGpus(),
                            bundle.weightPrecision(),
                            packable(bundle, precision),
                            memoryLimit(options));
            fleet =
                    devices.onGpus()
                            ? Fleet.ofGpus(devices.names(), devices.gpus(), gpus)
                            : Fleet.ofCpu(
                                    devices.names(),
                                    devices.threadsPerWorker(),
                                    precision.provider(),
                                    weights.holding() == Arithmetic.Holding.MAPPED,
                                    kernels.kernels());
        } catch (Throwable e) {
            bundle.close();
            throw e;
        }
        Runner runner;
        try {
            List<Tokenizer> tokenizers =
                    IntStream.range(0, bundle.manifest().textEncoders().size())
                            .mapToObj(bundle::tokenizer)
                            .toList();
            planner =
                    new Planner(
                            bundle,
                            devices.workers(),
                            new Arithmetic(
                                    precision.precision(),
                                    precision.computedBy(),
                                    precision.provider() != null,
                                    bundle.weightPrecision(),
                                    weights.holding()),
                            fleet.gpuMemory(),
                            memoryLimit(options));
            model = LoadedModel.open(bundle, fleet.placements(), options.loras());
            parts =
                    new EngineParts(
                            bundle,
                            model,
                            tokenizers,
                            options.folders(),
                            kernels.kernels(),
                            VERSION);
            runner = new Runner(parts, planner, fleet.lanes(), memoryLimit(options), hook);
        } catch (Throwable e) {
            fleet.close();
            bundle.close();
            throw e;
        }
        queue = new RequestQueue(options, runner);
    }

    /**
     * Loads the bundle and makes the workers.
     *
     * @throws io.github.asg4j.AsgException when bundle, devices or kernels are not to be had
     */
    public static LocalEngine open(EngineOptions options) {
        return open(options, WorkerHook.NONE, Gpus.ofMachine());
    }

    /**
     * The same with a hook into the workers, and with other GPUs than those of the machine; for tests.
     */
    public static LocalEngine open(EngineOptions options, WorkerHook hook, Gpus gpus) {
        return open(
                options,
                () -> Bundle.open(options.model(), options.parts(), options.verify()),
                hook,
                gpus);
    }

    /** The same over a model that was opened otherwise, which the engine takes over; for tests. */
    public static LocalEngine open(
            EngineOptions options, Supplier<Bundle> opened, WorkerHook hook, Gpus gpus) {
        return new LocalEngine(options, opened, hook, gpus);
    }

    /** Version of this library, "unknown" outside of its build. */
    public static String version() {
        return VERSION;
    }

    private static String readVersion() {
        Properties properties = new Properties();
        try (InputStream in =
                LocalEngine.class.getResourceAsStream("/io/github/asg4j/version.properties")) {
            if (in != null) {
                properties.load(in);
            }
        } catch (IOException e) {
            System.getLogger(LocalEngine.class.getName())
                    .log(System.Logger.Level.WARNING, "version.properties cannot be read", e);
        }
        return properties.getProperty("version", "unknown");
    }

    /** Names of the methods a request can ask for. */
    public static Set<String> methods() {
        return Method.names();
    }

    /** Names of the solvers a request can ask for. */
    public static List<String> schedulers() {
        return Solver.ids();
    }

    /** Names of the spacings a request can ask for. */
    public static List<String> spacings() {
        return Spacing.ids();
    }

    /** What a method does by itself; see {@code Engine.defaults}. */
    public static MethodOptions defaults(String method) {
        return Defaults.of(method);
    }

    /** Bytes of off-heap memory that this process holds through engines. */
    public static long nativeBytesInUse() {
        return Memory.bytesInUse();
    }

    /** What waits, what is drawn and how long devices have worked; see {@code Engine.activity}. */
    public EngineActivity activity() {
        return queue.activity(fleet.busy());
    }

    /** LoRA files that prompts can name; see {@code Engine.promptLoras}. */
    public List<Path> promptLoras() {
        return PromptLoras.files(options.folders());
    }

    /** Plans a request and queues it with its plan; see {@code Engine.submit}. */
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        return queue.submit(planned(request), listener);
    }

    /** What a request would take, without doing it. */
    public PlanReport plan(GenerationRequest request) {
        return planned(request).plan().report();
    }

    /** Plans a request, and refuses what would fail when its turn has come. */
    private PlannedRequest planned(GenerationRequest request) {
        List<Lora> loras = PromptLoras.of(request, options.folders());
        if (!loras.isEmpty()) {
            bundle.loras(loras).close();
        }
        List<ControlFiles> networks =
                controls.of(request.controls(), bundle.manifest(), model.textEncoder());
        PlannedRequest planned = planner.planned(request, networks).withLoras(loras);
        PromptTokens tokens = PromptTokens.of(planned, parts);
        return planned.plan().stages().isEmpty()
                ? planned
                : planned.withText(tokens.work(parts, planned.request()));
    }

    /** Frees the networks until they are next used; see {@code Engine.unload}. */
    public void unload() {
        queue.between(model::unload);
    }

    /** Devices, kernels, model and versions; see {@code Engine.describe}. */
    public EngineInfo describe() {
        List<EngineInfo.SelfTest> tests = new ArrayList<>();
        tests.add(
                new EngineInfo.SelfTest(
                        "kernels",
                        KernelSelfTest.firstDifference(kernels.kernels(), HostQueue.INSTANCE)));
        fleet.kernelDifferences()
                .forEach((name, found) -> tests.add(new EngineInfo.SelfTest(name, found)));
        var latent = bundle.manifest().latent();
        return new EngineInfo(
                devices.names(),
                devices.reason(),
                fleet.models(),
                devices.threadsPerWorker(),
                kernels.kernels().name(),
                kernels.reason(),
                KernelChoice.usable(),
                precision.precision(),
                precision.reason(),
                precision.computedBy(),
                weights.holding().word(),
                weights.reason(),
                tests,
                bundle.manifest().name(),
                bundle.manifest().usualMethod(),
                bundle.manifest().licence(),
                bundle.vae(),
                controls.described(),
                bundle.bundleSha256(),
                new Size(
                        latent.nativeWidth() * latent.vaeFactor(),
                        latent.nativeHeight() * latent.vaeFactor()),
                OrtRuntime.version(),
                memoryLimit(options));
    }

    /** Ends all requests as {@code Engine.close} says, and frees everything. */
    @Override
    public void close() {
        queue.close(this::free);
    }

    private synchronized void free() {
        queue.awaitEnd();
        try {
            model.close();
        } finally {
            fleet.close();
        }
    }

    /** Bytes of the weights that ONNX Runtime's own kernels read. */
    private static long packable(Bundle bundle, PrecisionChoice precision) {
        return bundle.networkBytes()
                - (precision.provider() == null
                        ? 0
                        : bundle.graphBytes(bundle.manifest().denoiser().file()));
    }

    private static long memoryLimit(EngineOptions options) {
        if (options.maxMemoryBytes() > 0) {
            return options.maxMemoryBytes();
        }
        var os = java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return os instanceof com.sun.management.OperatingSystemMXBean bean
                ? bean.getTotalMemorySize()
                : Long.MAX_VALUE;
    }
}
