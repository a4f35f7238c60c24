// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.device.HostQueue;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.kernel.KernelSelfTest;
import io.github.asg4j.method.Method;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.ort.OrtRuntime;
import io.github.asg4j.planning.Planner;
import io.github.asg4j.run.Runner;
import io.github.asg4j.run.worker.Fleet;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;

/**
 * A loaded model and the devices that draw with it. Open once, use from any thread: requests are
 * drawn one after the other, each by all devices, so that each is done as soon as it can be. The
 * bytes of a picture do not depend on how many devices there are, nor on what else is asked for.
 *
 * <p>Close it when done: it holds native memory. {@link #close()} cancels what is being drawn and
 * what waits; to drain instead, join the generations first.
 */
public final class Engine implements AutoCloseable {
    private static final GenerationListener SILENT = event -> {};
    private static final String VERSION = readVersion();

    private final EngineOptions options;
    private final Devices devices;
    private final KernelChoice kernels;
    private final Bundle bundle;
    private final LoadedModel model;
    private final Planner planner;
    private final Runner runner;
    private final Fleet fleet;
    private final ExecutorService dispatcher;

    /** For the request that is drawn and those that may wait. */
    private final Semaphore places;

    /** The dispatcher's, once it has run something; listeners are told and futures completed by it. */
    private volatile @Nullable Thread requests;

    private final Set<Running> open = java.util.concurrent.ConcurrentHashMap.newKeySet();

    private Engine(EngineOptions options, WorkerHook hook, Gpus gpus) {
        this.options = options;
        devices =
                Devices.parse(options.devices(), options.threadsPerWorker(), () -> gpuCount(gpus));
        kernels = KernelChoice.choose(options.kernels());
        bundle = Bundle.open(options.model(), options.verify());
        fleet =
                devices.onGpus()
                        ? Fleet.ofGpus(devices.names(), devices.gpus(), gpus)
                        : Fleet.ofCpu(
                                devices.names(), devices.threadsPerWorker(), kernels.kernels());
        try {
            List<Tokenizer> tokenizers =
                    IntStream.range(0, bundle.manifest().textEncoders().size())
                            .mapToObj(bundle::tokenizer)
                            .toList();
            planner =
                    new Planner(
                            bundle.manifest(),
                            devices.workers(),
                            fleet.gpuMemory(),
                            memoryLimit(options));
            model = LoadedModel.open(bundle, fleet.placements());
            runner =
                    new Runner(
                            bundle,
                            model,
                            kernels.kernels(),
                            planner,
                            tokenizers,
                            fleet.lanes(),
                            memoryLimit(options),
                            VERSION,
                            hook);
        } catch (Throwable e) {
            fleet.close();
            throw e;
        }
        places = new Semaphore(options.queueCapacity() + 1, true);
        dispatcher = Executors.newSingleThreadExecutor(daemon("asg-requests"));
    }

    /**
     * Loads the bundle and makes the workers.
     *
     * @throws AsgException when bundle, devices or kernels are not to be had
     */
    public static Engine open(EngineOptions options) {
        return new Engine(options, WorkerHook.NONE, Gpus.ofMachine());
    }

    /** For tests: with a hook into the workers. */
    static Engine open(EngineOptions options, WorkerHook hook) {
        return new Engine(options, hook, Gpus.ofMachine());
    }

    /** For tests: with other GPUs than those of the machine. */
    static Engine open(EngineOptions options, WorkerHook hook, Gpus gpus) {
        return new Engine(options, hook, gpus);
    }

    private static int gpuCount(Gpus gpus) {
        return gpus.driver().deviceCount();
    }

    /** Version of this library, "unknown" outside of its build. */
    public static String version() {
        return VERSION;
    }

    private static String readVersion() {
        Properties properties = new Properties();
        try (InputStream in = Engine.class.getResourceAsStream("version.properties")) {
            if (in != null) {
                properties.load(in);
            }
        } catch (IOException e) {
            System.getLogger(Engine.class.getName())
                    .log(System.Logger.Level.WARNING, "version.properties cannot be read", e);
        }
        return properties.getProperty("version", "unknown");
    }

    /** Names of the methods a request can ask for. */
    public static Set<String> methods() {
        return Method.names();
    }

    /** {@link #submit(GenerationRequest, GenerationListener)} without a listener. */
    public Generation submit(GenerationRequest request) {
        return submit(request, SILENT);
    }

    /**
     * Queues a request; everything that can be checked without work is checked at once.
     *
     * @throws BadRequestException when it cannot be drawn with this bundle
     * @throws RejectedExecutionException when the queue is full and {@link EngineOptions#whenFull}
     *     says so or a listener submits, or the engine is closed
     */
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        planner.plan(request);
        planner.schedule(request);
        Running running = new Running(request, listener);
        takePlace();
        open.add(running);
        boolean accepted = false;
        try {
            dispatcher.execute(running);
            accepted = true;
        } catch (RejectedExecutionException e) {
            throw new RejectedExecutionException("the engine is closed", e);
        } finally {
            if (!accepted) {
                running.leave(); // whoever waits takes the place over and is refused too
            }
        }
        return running;
    }

    private void takePlace() {
        try {
            // A listener that waited would wait for itself.
            if (options.whenFull() == EngineOptions.WhenFull.WAIT && !inRequestsThread()) {
                places.acquire();
            } else if (!places.tryAcquire()) {
                throw new RejectedExecutionException(
                        dispatcher.isShutdown()
                                ? "the engine is closed"
                                : "the queue is full: "
                                        + options.queueCapacity()
                                        + " requests wait already");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancelledException("interrupted while waiting for a place in the queue", e);
        }
    }

    /** What a request would take, without doing it: see the plan command. */
    public Map<String, Object> plan(GenerationRequest request) {
        planner.schedule(request);
        return planner.plan(request).describe();
    }

    /** Devices, kernels, model and versions, for reports. */
    public Map<String, Object> describe() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("devices", devices.names());
        map.put("devices_reason", devices.reason());
        if (devices.onGpus()) {
            map.put("gpus", fleet.models());
        }
        map.put("threads_per_worker", devices.threadsPerWorker());
        map.put("kernels", kernels.kernels().name());
        map.put("kernels_reason", kernels.reason());
        map.put("kernels_usable", KernelChoice.usable());
        String difference = KernelSelfTest.firstDifference(kernels.kernels(), HostQueue.INSTANCE);
        map.put("kernels_self_test", selfTest(difference));
        fleet.kernelDifferences()
                .forEach((name, found) -> map.put(name + "_self_test", selfTest(found)));
        map.put("model", bundle.manifest().name());
        map.put("licence", bundle.manifest().licence());
        map.put("bundle_sha256", bundle.bundleSha256());
        var latent = bundle.manifest().latent();
        map.put(
                "native_size",
                List.of(
                        latent.nativeWidth() * latent.vaeFactor(),
                        latent.nativeHeight() * latent.vaeFactor()));
        map.put("onnxruntime", OrtRuntime.version());
        map.put("memory_limit", memoryLimit(options));
        return map;
    }

    private static Map<String, String> selfTest(String difference) {
        return Map.of(
                "status",
                difference.isEmpty() ? "OK" : "FAIL",
                "result",
                difference.isEmpty()
                        ? "same bits as the Java kernels"
                        : difference + " differs from the Java kernels");
    }

    /** Bytes of off-heap memory that this process holds through engines. */
    public static long nativeBytesInUse() {
        return Memory.bytesInUse();
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

    private static java.util.concurrent.ThreadFactory daemon(String name) {
        return Thread.ofPlatform().daemon().name(name).factory();
    }

    private boolean inRequestsThread() {
        return Thread.currentThread() == requests;
    }

    /**
     * Cancels all generations, waits for the workers, frees all memory. Idempotent. Called by a
     * listener, or by what follows on a future, it does not wait for the generation that it is called
     * from: the rest is done when that has ended.
     */
    @Override
    public void close() {
        dispatcher.shutdown();
        open.forEach(Running::cancel);
        if (inRequestsThread()) {
            daemon("asg-close").newThread(this::free).start();
        } else {
            free();
        }
    }

    private synchronized void free() {
        Fleet.end(dispatcher);
        try {
            model.close();
        } finally {
            fleet.close();
        }
    }

    /** One submitted request. */
    private final class Running implements Generation, Runnable {
        private final GenerationRequest request;
        private final GenerationListener listener;
        private final Runner.Cancellation cancellation = new Runner.Cancellation();
        private final CompletableFuture<GeneratedImage> future = new CompletableFuture<>();

        Running(GenerationRequest request, GenerationListener listener) {
            this.request = request;
            this.listener = listener;
        }

        @Override
        public void run() {
            requests = Thread.currentThread();
            GeneratedImage image;
            try {
                image = runner.run(request, listener, cancellation);
            } catch (Throwable e) {
                leave();
                future.completeExceptionally(e);
                return;
            }
            leave();
            future.complete(image);
        }

        /** Before anybody hears of the end: who then submits the next one finds its place free. */
        void leave() {
            open.remove(this);
            places.release();
        }

        @Override
        public CompletableFuture<GeneratedImage> future() {
            return future.copy();
        }

        @Override
        public void cancel() {
            cancellation.cancel();
        }

        @Override
        public GeneratedImage join() {
            try {
                return future.join();
            } catch (CompletionException e) {
                if (e.getCause() instanceof AsgException cause) {
                    throw cause;
                }
                throw e;
            }
        }
    }
}
