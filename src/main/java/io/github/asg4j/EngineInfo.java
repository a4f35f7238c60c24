// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What an engine draws with: devices, kernels, model and versions ({@link Engine#describe}). {@link
 * ReportJson} writes it as JSON.
 *
 * @param devices names of the workers, as in a picture's report
 * @param devicesReason why these
 * @param gpus name of each GPU by its number; empty on the CPU
 * @param threadsPerWorker threads of one call of a network
 * @param kernels name of the CPU's kernels
 * @param kernelsReason why these
 * @param kernelsUsable names of all kernels that this CPU can run
 * @param precision of the denoiser: "fp32", "fp16" or "bf16"
 * @param precisionReason why this
 * @param provider what computes the denoiser, with its version
 * @param weights where networks read theirs: "packed" and "mapped" on CPUs, or "device"
 * @param weightsReason why there
 * @param selfTests the kernels of the CPU, then those of each GPU worker
 * @param model name of the bundle
 * @param usualMethod that the bundle draws by where a request names none
 * @param licence of the bundle, an SPDX expression
 * @param vae the autoencoder's file, where it was given beside the model; else null
 * @param controls control networks that requests may name, by name
 * @param bundleSha256 of the bundle's manifest, which holds the hashes of its files; 64 hexadecimal digits
 * @param nativeSize pixels that the model was trained for
 * @param onnxRuntime version of ONNX Runtime
 * @param memoryLimit bytes of host memory that a request may take
 */
public record EngineInfo(
        List<String> devices,
        String devicesReason,
        Map<Integer, String> gpus,
        int threadsPerWorker,
        String kernels,
        String kernelsReason,
        List<String> kernelsUsable,
        String precision,
        String precisionReason,
        String provider,
        String weights,
        String weightsReason,
        List<SelfTest> selfTests,
        String model,
        UsualMethod usualMethod,
        String licence,
        @Nullable VaeFile vae,
        List<ControlNetwork> controls,
        String bundleSha256,
        Size nativeSize,
        String onnxRuntime,
        long memoryLimit) {
    public EngineInfo {
        devices = List.copyOf(devices);
        gpus = Collections.unmodifiableMap(new TreeMap<>(gpus));
        kernelsUsable = List.copyOf(kernelsUsable);
        selfTests = List.copyOf(selfTests);
        controls = List.copyOf(controls);
    }

    /**
     * An autoencoder in the place of the model's own.
     *
     * @param sha256 of the file, 64 hexadecimal digits
     */
    public record VaeFile(Path file, String sha256) {}

    /**
     * A control network that requests may name.
     *
     * @param sha256 of its description and the hashes of its files, 64 hexadecimal digits; empty: it
     *     cannot be opened
     * @param problem why it cannot be opened; empty: it can
     */
    public record ControlNetwork(String name, String sha256, String problem) {}

    /**
     * A comparison of kernels with the Java kernels, bit by bit.
     *
     * @param name "kernels" for those of the CPU, else the worker of a GPU, as in "cuda:0"
     * @param difference the operation that differs, or why it cannot be tried; empty: none does
     */
    public record SelfTest(String name, String difference) {
        /** Whether all operations give the same bits. */
        public boolean passed() {
            return difference.isEmpty();
        }

        /** The outcome in words. */
        public String result() {
            return passed()
                    ? "same bits as the Java kernels"
                    : difference + " differs from the Java kernels";
        }
    }
}
