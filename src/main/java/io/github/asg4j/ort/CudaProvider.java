// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.CpuLibrary;
import io.github.asg4j.ffi.CudaLibraries;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.onnxruntime.CUDAProviderOptions;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.StringStringMap;
import org.bytedeco.onnxruntime.global.onnxruntime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * ONNX Runtime's CUDA provider. On a stream of ours a run enqueues its kernels behind ours and
 * returns without waiting, all tensors are in the memory of the device; one session to a stream.
 * Without a stream a run takes tensors in host memory and waits.
 */
public final class CudaProvider implements Provider {
    private static final System.Logger LOG = System.getLogger(CudaProvider.class.getName());

    /**
     * System property with further options of the provider for the networks on our stream, as {@code
     * prefer_nhwc=1,enable_cuda_graph=1}: for measurements. ONNX Runtime refuses what it does not know.
     */
    public static final String OPTIONS = "asg.cuda.options";

    private static final String GRAPHS = "enable_cuda_graph";

    /** ONNX Runtime keeps a graph for each number, for as long as the session lives. */
    private static final AtomicInteger CAPTURED = new AtomicInteger();

    /** No limit on ONNX Runtime's arena beyond the device's memory. */
    public static final long NO_LIMIT = 0;

    private static final long NO_STREAM = 0;

    private static final String PROVIDER = "libonnxruntime_providers_cuda.so";

    /** What the provider is linked with, dependencies first, and what to install for each. */
    private static final Map<String, String> LIBRARIES = libraries();

    private static final String CUDNN = "libcudnn.so.9";

    /** What cuDNN loads by itself when it is first used, from its own folder. */
    private static final List<String> PARTS_OF_CUDNN =
            List.of(
                    "libcudnn_graph.so.9",
                    "libcudnn_ops.so.9",
                    "libcudnn_cnn.so.9",
                    "libcudnn_heuristic.so.9",
                    "libcudnn_engines_precompiled.so.9",
                    "libcudnn_engines_runtime_compiled.so.9");

    private final CudaDevice device;
    private final long stream;
    private final Map<String, String> options;
    private final MemoryInfo memory;

    private CudaProvider(CudaDevice device, long stream, long arenaLimit) {
        this.device = device;
        this.stream = stream;
        this.options = options(device.ordinal(), stream, arenaLimit);
        this.memory =
                stream == NO_STREAM
                        ? OrtRuntime.hostMemory()
                        : new MemoryInfo(
                                "Cuda",
                                onnxruntime.OrtDeviceAllocator,
                                device.ordinal(),
                                onnxruntime.OrtMemTypeDefault);
    }

    private static Map<String, String> libraries() {
        Map<String, String> fixes = new LinkedHashMap<>();
        String toolkit = "install CUDA 13 (package cuda-libraries-13-1, or the Python wheel ";
        fixes.put("libcudart.so.13", toolkit + "nvidia-cuda-runtime)");
        fixes.put("libcublasLt.so.13", toolkit + "nvidia-cublas)");
        fixes.put("libcublas.so.13", toolkit + "nvidia-cublas)");
        fixes.put("libcufft.so.12", toolkit + "nvidia-cufft)");
        fixes.put(
                CUDNN,
                "install cuDNN 9 for CUDA 13 (package cudnn9-cuda-13, or the Python wheel"
                        + " nvidia-cudnn-cu13)");
        return fixes;
    }

    /**
     * For sessions that run on {@code stream}, which has to outlive them.
     *
     * @param arenaLimit bytes of ONNX Runtime's arena, {@link #NO_LIMIT}: none; its libraries'
     *     workspaces come on top
     * @throws DeviceException if the build lacks the CUDA natives, or the machine one of CUDA's
     *     libraries
     */
    public static CudaProvider on(CudaStream stream, long arenaLimit, CudaLibraries libraries) {
        return open(stream.device(), stream.handle(), arenaLimit, libraries);
    }

    /** Opens the provider for sessions whose tensors lie in host memory; the rest is that of {@link #on}. */
    public static CudaProvider withHostTensors(
            CudaDevice device, long arenaLimit, CudaLibraries libraries) {
        return open(device, NO_STREAM, arenaLimit, libraries);
    }

    private static CudaProvider open(
            CudaDevice device, long stream, long arenaLimit, CudaLibraries libraries) {
        unpack();
        for (Path library : find(libraries)) {
            load(library);
        }
        if (!CpuLibrary.cudaDevice(device.ordinal())) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    "without the native library, ONNX Runtime's attention in the VAE runs on the"
                            + " first GPU of the process that decodes, and fails on others");
        }
        OrtRuntime.initialise();
        return new CudaProvider(device, stream, arenaLimit);
    }

    private static String resource() {
        return OrtNatives.folder() + PROVIDER;
    }

    /**
     * Whether this build can use a GPU at all.
     *
     * @throws DeviceException if it cannot
     */
    public static void requireBuilt() {
        if (CudaProvider.class.getResource(resource()) == null) {
            throw new DeviceException(
                    "this build has no CUDA natives ("
                            + resource()
                            + "): build it with ASG_GPU=1 ./asg, or mvn -Pgpu; a program that"
                            + " embeds the engine adds org.bytedeco:onnxruntime with classifier"
                            + " linux-x86_64-gpu and -Dorg.bytedeco.javacpp.platform.extension=-gpu"
                            + " (docs/embedding.md); or use --devices cpu:N");
        }
    }

    /** Unpacks the provider beside ONNX Runtime, where that looks for it. */
    private static void unpack() {
        requireBuilt();
        OrtRuntime.initialise();
        try {
            OrtNatives.unpack(resource());
        } catch (IOException e) {
            throw new DeviceException(
                    PROVIDER
                            + " cannot be unpacked: "
                            + e
                            + "; make ~/.javacpp/cache writable or name another folder with"
                            + " -Dorg.bytedeco.javacpp.cachedir=DIR",
                    e);
        }
    }

    /**
     * All libraries of CUDA that the provider needs, in the order in which they are loaded.
     *
     * @throws DeviceException that names the first one that is missing and what to install
     */
    static List<Path> find(CudaLibraries libraries) {
        List<Path> found = new ArrayList<>();
        LIBRARIES.forEach(
                (name, fix) ->
                        found.add(
                                libraries
                                        .find(name)
                                        .orElseThrow(
                                                () ->
                                                        new DeviceException(
                                                                libraries.missing(name, fix)))));
        requireWhole(found.getLast());
        return found;
    }

    private static void requireWhole(Path cudnn) {
        for (String part : PARTS_OF_CUDNN) {
            if (!Files.isRegularFile(cudnn.resolveSibling(part))) {
                throw new DeviceException(
                        part
                                + " was not found beside "
                                + cudnn
                                + ", from where cuDNN loads it; "
                                + LIBRARIES.get(CUDNN)
                                + " whole, all libcudnn*.so.9 in one folder");
            }
        }
    }

    /** ONNX Runtime asks the system for them by name alone; once loaded, they are found. */
    @SuppressWarnings("restricted")
    private static void load(Path library) {
        try {
            System.load(library.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            throw new DeviceException(
                    library
                            + " cannot be loaded: "
                            + e.getMessage()
                            + "; it has to be of CUDA 13 and complete",
                    e);
        }
    }

    /**
     * The provider's options. Those that are not here have ONNX Runtime's defaults; prefer_nhwc and
     * enable_cuda_graph are among them until they are measured.
     */
    static Map<String, String> options(int device, long stream, long arenaLimit) {
        Map<String, String> options = new LinkedHashMap<>();
        options.put("device_id", Integer.toString(device));
        if (stream != NO_STREAM) {
            options.put("has_user_compute_stream", "1");
            options.put("user_compute_stream", Long.toUnsignedString(stream));
        }
        options.put("use_ep_level_unified_stream", "1");
        options.put("do_copy_in_default_stream", "1"); // 0 may race, says its own documentation
        // EXHAUSTIVE, the default, measures anew for every shape of input.
        options.put("cudnn_conv_algo_search", "HEURISTIC");
        options.put("fuse_conv_bias", "0");
        // Otherwise SkipLayerNormalization sums squares in halves, which overflows from 256 on.
        options.put("enable_skip_layer_norm_strict_mode", "1");
        // The other strategy doubles: a model may reserve twice what it needs.
        options.put("arena_extend_strategy", "kSameAsRequested");
        if (arenaLimit != NO_LIMIT) {
            options.put("gpu_mem_limit", Long.toString(arenaLimit));
            options.put("cudnn_conv_use_max_workspace", "0");
        }
        if (stream != NO_STREAM) {
            options.putAll(given(System.getProperty(OPTIONS, "")));
        }
        return options;
    }

    private static Map<String, String> given(String text) {
        Map<String, String> given = new LinkedHashMap<>();
        for (String option : text.isBlank() ? new String[0] : text.split(",", -1)) {
            int at = option.indexOf('=');
            if (at < 1) {
                throw new DeviceException(
                        "-D"
                                + OPTIONS
                                + "="
                                + text
                                + ": found \""
                                + option
                                + "\", expected options of ONNX Runtime's CUDA provider as"
                                + " prefer_nhwc=1,enable_cuda_graph=1");
            }
            given.put(option.substring(0, at).strip(), option.substring(at + 1).strip());
        }
        return given;
    }

    @Override
    public void configure(SessionOptions session) {
        // Weights outside the arena, so that the arena can be shrunk between pictures.
        session.AddConfigEntry("session.use_device_allocator_for_initializers", "1");
        try (CUDAProviderOptions cuda = new CUDAProviderOptions();
                StringStringMap map = new StringStringMap()) {
            for (Map.Entry<String, String> option : options.entrySet()) {
                try (BytePointer key = new BytePointer(option.getKey())) {
                    map.put(key, option.getValue());
                }
            }
            cuda.Update(map);
            session.AppendExecutionProvider_CUDA_V2(cuda.asOrtCUDAProviderOptionsV2());
        } catch (RuntimeException e) {
            throw failure(e);
        }
    }

    private AsgException failure(RuntimeException e) {
        return new DeviceException(
                "ONNX Runtime cannot use cuda:" + device.ordinal() + ": " + OrtRuntime.text(e), e);
    }

    /** Lets a run on a stream of ours return when its work is enqueued. */
    @Override
    public void configure(RunOptions run, Collection<Tensor> inputs) {
        if (stream == NO_STREAM) {
            return;
        }
        run.AddConfigEntry("disable_synchronize_execution_providers", "1");
        if ("1".equals(options.get(GRAPHS))) {
            if (inputs.stream().anyMatch(Tensor::onHost)) {
                throw new DeviceException(
                        "-D"
                                + OPTIONS
                                + "="
                                + GRAPHS
                                + "=1: a graph would replay the dilations of the first step in all"
                                + " others; leave it out for scalecrafter");
            }
            // A graph replays what it captured, buffers too: each binding has one of its own.
            run.AddConfigEntry("gpu_graph_id", Integer.toString(CAPTURED.incrementAndGet()));
        }
    }

    @Override
    public boolean isAlive() {
        return device.isAlive();
    }

    @Override
    public MemoryInfo memory() {
        return memory;
    }
}
