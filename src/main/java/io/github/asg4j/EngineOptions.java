// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;

/**
 * How an {@link Engine} runs; none of it but {@code threadsPerWorker}, {@code precision}, {@code
 * weights} and the kind of device changes the bytes of a picture.
 *
 * @param model folder of a model bundle, a publisher's .safetensors file, or a diffusers folder; null:
 *     the demo bundle in the jar; {@link #DEMO_TURBO}
 * @param parts files of the model's networks that lie beside it
 * @param loras LoRA files that the first requests will ask for: the model is loaded with them, which
 *     saves loading it twice
 * @param folders of the files that prompts name
 * @param controls folder of control networks, each in a folder of its name; null: the bundle's
 *     controlnets
 * @param devices "auto", "cpu:N" (N workers), or "cuda:0,cuda:1"
 * @param threadsPerWorker threads of one UNet call; empty: chosen with the devices
 * @param kernels "auto", "java", "scalar", "avx2" or "avx512"
 * @param precision of denoiser and VAE on CPUs: "fp32", "bf16" (needs OpenVINO's plug-in and a CPU with
 *     bf16), or "auto"
 * @param weights of the networks on CPUs: "packed" (copies in float32, laid out for speed), "mapped" (read
 *     where they lie in their files: least memory), or "auto" (packed, where that takes at most half of the
 *     memory limit)
 * @param maxMemoryBytes refuse work that needs more; 0: what the machine has
 * @param queueCapacity requests that may wait, besides the one being drawn
 * @param whenFull what {@code submit} does when the queue is full
 * @param verify check the SHA-256 of all files of the bundle even when they were checked before
 */
public record EngineOptions(
        @Nullable Path model,
        ModelParts parts,
        List<Lora> loras,
        PromptFolders folders,
        @Nullable Path controls,
        String devices,
        OptionalInt threadsPerWorker,
        String kernels,
        String precision,
        String weights,
        long maxMemoryBytes,
        int queueCapacity,
        WhenFull whenFull,
        boolean verify) {

    /**
     * Names the demo that was distilled to four steps without guidance, beside the demo in the jar; where a file
     * or folder has this name, that is meant.
     */
    public static final Path DEMO_TURBO = Path.of("demo-turbo");

    public static final EngineOptions DEFAULT =
            new EngineOptions(
                    null,
                    ModelParts.NONE,
                    List.of(),
                    PromptFolders.NONE,
                    null,
                    "auto",
                    OptionalInt.empty(),
                    "auto",
                    "auto",
                    "auto",
                    0,
                    16,
                    WhenFull.REJECT,
                    false);

    public EngineOptions {
        loras = List.copyOf(loras);
        new Range(1, 1024).check("threads per worker", threadsPerWorker);
        new Range(0, 1_000_000).check("queue capacity", queueCapacity);
        if (maxMemoryBytes < 0) {
            throw new BadRequestException(
                    "max memory is "
                            + maxMemoryBytes
                            + " bytes: it has to be positive, or 0 for all");
        }
    }

    /** Fail at once, or wait for a place. */
    public enum WhenFull {
        REJECT,
        WAIT
    }

    public EngineOptions withModel(@Nullable Path folder) {
        Copy copy = new Copy(this);
        copy.model = folder;
        return copy.build();
    }

    public EngineOptions withVae(@Nullable Path file) {
        Copy copy = new Copy(this);
        copy.parts = new ModelParts(file, parts.textEncoders());
        return copy.build();
    }

    public EngineOptions withTextEncoders(List<Path> files) {
        Copy copy = new Copy(this);
        copy.parts = new ModelParts(parts.vae(), files);
        return copy.build();
    }

    public EngineOptions withLoras(List<Lora> files) {
        Copy copy = new Copy(this);
        copy.loras = files;
        return copy.build();
    }

    public EngineOptions withFolders(PromptFolders named) {
        Copy copy = new Copy(this);
        copy.folders = named;
        return copy.build();
    }

    public EngineOptions withControls(@Nullable Path folder) {
        Copy copy = new Copy(this);
        copy.controls = folder;
        return copy.build();
    }

    public EngineOptions withDevices(String names) {
        Copy copy = new Copy(this);
        copy.devices = names;
        return copy.build();
    }

    public EngineOptions withThreadsPerWorker(int threads) {
        Copy copy = new Copy(this);
        copy.threadsPerWorker = OptionalInt.of(threads);
        return copy.build();
    }

    public EngineOptions withKernels(String name) {
        Copy copy = new Copy(this);
        copy.kernels = name;
        return copy.build();
    }

    public EngineOptions withPrecision(String name) {
        Copy copy = new Copy(this);
        copy.precision = name;
        return copy.build();
    }

    public EngineOptions withWeights(String name) {
        Copy copy = new Copy(this);
        copy.weights = name;
        return copy.build();
    }

    public EngineOptions withMaxMemoryBytes(long bytes) {
        Copy copy = new Copy(this);
        copy.maxMemoryBytes = bytes;
        return copy.build();
    }

    public EngineOptions withQueue(int capacity, WhenFull full) {
        Copy copy = new Copy(this);
        copy.queueCapacity = capacity;
        copy.whenFull = full;
        return copy.build();
    }

    public EngineOptions withVerify(boolean always) {
        Copy copy = new Copy(this);
        copy.verify = always;
        return copy.build();
    }

    /** The components, to change one of them. */
    private static final class Copy {
        private @Nullable Path model;
        private ModelParts parts;
        private List<Lora> loras;
        private PromptFolders folders;
        private @Nullable Path controls;
        private String devices;
        private OptionalInt threadsPerWorker;
        private String kernels;
        private String precision;
        private String weights;
        private long maxMemoryBytes;
        private int queueCapacity;
        private WhenFull whenFull;
        private boolean verify;

        Copy(EngineOptions from) {
            model = from.model;
            parts = from.parts;
            loras = from.loras;
            folders = from.folders;
            controls = from.controls;
            devices = from.devices;
            threadsPerWorker = from.threadsPerWorker;
            kernels = from.kernels;
            precision = from.precision;
            weights = from.weights;
            maxMemoryBytes = from.maxMemoryBytes;
            queueCapacity = from.queueCapacity;
            whenFull = from.whenFull;
            verify = from.verify;
        }

        EngineOptions build() {
            return new EngineOptions(
                    model,
                    parts,
                    loras,
                    folders,
                    controls,
                    devices,
                    threadsPerWorker,
                    kernels,
                    precision,
                    weights,
                    maxMemoryBytes,
                    queueCapacity,
                    whenFull,
                    verify);
        }
    }
}
