// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.run.LocalEngine;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;

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

    private final LocalEngine local;

    Engine(LocalEngine local) {
        this.local = local;
    }

    /**
     * Loads the bundle and makes the workers.
     *
     * @throws AsgException when bundle, devices or kernels are not to be had
     */
    public static Engine open(EngineOptions options) {
        return new Engine(LocalEngine.open(options));
    }

    /** Version of this library, "unknown" outside of its build. */
    public static String version() {
        return LocalEngine.version();
    }

    /** Names of the methods a request can ask for. */
    public static Set<String> methods() {
        return LocalEngine.methods();
    }

    /** Names of the schedulers a request can ask for; not every model takes all of them. */
    public static List<String> schedulers() {
        return LocalEngine.schedulers();
    }

    /** Names of the spacings of noise levels a request can ask for. */
    public static List<String> spacings() {
        return LocalEngine.spacings();
    }

    /**
     * What a method does where a request leaves its options open and does not ask for the paper's, as far
     * as neither the picture's size nor the bundle decides it.
     *
     * @throws BadRequestException if there is no such method
     */
    public static MethodOptions defaults(String method) {
        return LocalEngine.defaults(method);
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
        return local.submit(request, listener);
    }

    /**
     * Draws a request and waits for its picture. A thread that is interrupted meanwhile cancels it, so
     * that nothing is drawn for a caller that is gone.
     *
     * @throws AsgException when it cannot be drawn; {@link CancelledException} when this thread is
     *     interrupted, which it still is then
     * @throws RejectedExecutionException as {@link #submit} does
     */
    public GeneratedImage draw(GenerationRequest request) {
        Generation generation = submit(request);
        try {
            generation.future().get();
        } catch (InterruptedException e) {
            generation.cancel();
            Thread.currentThread().interrupt();
            throw new CancelledException(
                    "the thread that waits for the picture was interrupted", e);
        } catch (ExecutionException e) {
            // join throws the cause itself
        }
        return generation.join();
    }

    /**
     * What a request would take, without doing it.
     *
     * @throws BadRequestException when it cannot be drawn with this bundle
     */
    public PlanReport plan(GenerationRequest request) {
        return local.plan(request);
    }

    /** Devices, kernels, model and versions. Compares the kernels with the Java kernels, which takes some milliseconds. */
    public EngineInfo describe() {
        return local.describe();
    }

    /** What waits and what is drawn now, and how long each device has worked; costs next to nothing. */
    public EngineActivity activity() {
        return local.activity();
    }

    /**
     * Frees the networks, behind the requests that were submitted before: for an engine that has nothing
     * to draw for a while. The next picture loads them again and has the same bytes; plans do without.
     * Waits until they are freed, unless a listener calls it.
     *
     * @throws RejectedExecutionException if the engine is closed
     */
    public void unload() {
        local.unload();
    }

    /**
     * LoRA files that prompts can name by their file's name without ending, as in {@code
     * <lora:style:0.8>}: paths below {@link PromptFolders#loras}, sorted, as the folder is now.
     *
     * @throws BadRequestException if the folder cannot be listed
     */
    public List<Path> promptLoras() {
        return local.promptLoras();
    }

    /** Bytes of off-heap memory that this process holds through engines. */
    public static long nativeBytesInUse() {
        return LocalEngine.nativeBytesInUse();
    }

    /**
     * Cancels all generations, waits for the workers, frees all memory. Idempotent. Called by a
     * listener, or by what follows on a future, it does not wait for the generation that it is called
     * from: the rest is done when that has ended.
     */
    @Override
    public void close() {
        local.close();
    }
}
