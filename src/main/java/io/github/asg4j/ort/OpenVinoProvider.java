// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;
import org.bytedeco.onnxruntime.EpDeviceImpl;
import org.bytedeco.onnxruntime.KeyValuePairsImpl;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.OrtEnv;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.global.onnxruntime;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * OpenVINO's plug-in for ONNX Runtime (Python wheel onnxruntime-ep-openvino): networks on the CPU in
 * bf16, which it computes with the CPU's matrix units. It compiles a network for each set of shapes; to
 * ONNX Runtime the network is then one node, so that a run that is to be terminated ends when it is done.
 *
 * <p>The bytes of an output depend on the shapes, the plug-in's version and the CPU's model, not on how
 * many runs there are at the same time.
 */
public final class OpenVinoProvider implements Provider {
    private static final System.Logger LOG = System.getLogger(OpenVinoProvider.class.getName());
    private static final Set<String> KIND =
            Set.of("vendor_id", "cpu family", "model", "model name", "stepping", "flags");
    private static final String NAME = "OpenVINOExecutionProvider";

    /** Under which the library is known to ONNX Runtime. */
    private static final String REGISTRATION = "asg4j.openvino";

    /** Once for a process: ONNX Runtime has one environment. */
    private static @Nullable Plugin loaded;

    /** Memory that compiled networks may take before those that nobody uses are closed. */
    private static final long KEPT_BYTES = 4L << 30;

    private final Plugin plugin;
    private final int streams;
    private final int threads;
    private final CompiledCache cache;
    private final long keptBytes;

    /**
     * The library in this process.
     *
     * @param device the CPU as the plug-in offers it, owned by ONNX Runtime
     */
    private record Plugin(Path library, String version, Pointer device) {}

    private OpenVinoProvider(
            Plugin plugin, int streams, int threads, CompiledCache cache, long keptBytes) {
        this.plugin = plugin;
        this.streams = streams;
        this.threads = threads;
        this.cache = cache;
        this.keptBytes = keptBytes;
    }

    /**
     * Loads the plug-in.
     *
     * @param library the plug-in, with OpenVINO's libraries beside it
     * @param streams runs that take place at the same time
     * @param threads of each of them
     * @param cache keeps what is compiled
     * @throws DeviceException if it cannot be loaded
     */
    public static OpenVinoProvider open(
            Path library, int streams, int threads, CompiledCache cache) {
        OrtRuntime.initialise();
        return new OpenVinoProvider(plugin(library), streams, threads, cache, KEPT_BYTES);
    }

    private static synchronized Plugin plugin(Path library) {
        Plugin known = loaded;
        if (known == null) {
            known = load(real(library));
            loaded = known;
        }
        if (!known.library().equals(real(library))) {
            throw new DeviceException(
                    "OpenVINO's plug-in was loaded from "
                            + known.library()
                            + " before, and a process can have one: "
                            + library
                            + " needs a new process");
        }
        return known;
    }

    private static Path real(Path library) {
        try {
            return library.toRealPath();
        } catch (IOException e) {
            throw new DeviceException(library + " cannot be read: " + e, e);
        }
    }

    private static Plugin load(Path library) {
        OrtEnv env = OrtRuntime.env().asOrtEnv();
        try (BytePointer path = new BytePointer(library.toString())) {
            OrtRuntime.check(
                    onnxruntime.GetApi().RegisterExecutionProviderLibrary(env, REGISTRATION, path));
        } catch (RuntimeException e) {
            throw new DeviceException(
                    library
                            + " cannot be loaded: "
                            + OrtRuntime.text(e)
                            + "; it needs glibc 2.28 or newer and the libraries of its wheel beside"
                            + " it: install it again, or use --precision fp32",
                    e);
        }
        // Owned by ONNX Runtime; the call moves the pointer to its array.
        PointerPointer<Pointer> devices = new PointerPointer<>((Pointer) null);
        try (SizeTPointer count = new SizeTPointer(1)) {
            OrtRuntime.check(onnxruntime.GetApi().GetEpDevices(env, devices, count));
            for (long i = 0; i < count.get(); i++) {
                long entry = devices.address() + i * Long.BYTES;
                // The C++ wrapper is a struct of nothing but the pointer.
                EpDeviceImpl device =
                        new EpDeviceImpl(new OrtSession.Address(MemorySegment.ofAddress(entry)));
                if (device.EpName().getString().equals(NAME)) {
                    KeyValuePairsImpl metadata = device.EpMetadata();
                    if ("CPU".equals(metadata.GetValue("ov_device"))) {
                        String version = metadata.GetValue("version");
                        return new Plugin(library, version, new Pointer(device.asOrtEpDevice()));
                    }
                }
            }
        }
        throw new DeviceException(
                library + " offers no CPU: install it again, or use --precision fp32");
    }

    /** Version of the plug-in. */
    public String version() {
        return plugin.version();
    }

    @Override
    public void configure(SessionOptions session) {
        // OpenVINO folds and fuses by itself; a graph that ONNX Runtime has fused it may not know.
        session.SetGraphOptimizationLevel(onnxruntime.ORT_DISABLE_ALL);
        Deque<Pointer> texts = new ArrayDeque<>();
        Map<String, String> options = Map.of("load_config", loadConfig());
        try (PointerPointer<Pointer> devices = new PointerPointer<>(1);
                PointerPointer<Pointer> keys = new PointerPointer<>(options.size());
                PointerPointer<Pointer> values = new PointerPointer<>(options.size())) {
            devices.put(0, plugin.device());
            int i = 0;
            for (Map.Entry<String, String> option : options.entrySet()) {
                texts.push(new BytePointer(option.getKey(), StandardCharsets.UTF_8));
                keys.put(i, texts.peek());
                texts.push(new BytePointer(option.getValue(), StandardCharsets.UTF_8));
                values.put(i, texts.peek());
                i++;
            }
            OrtRuntime.check(
                    onnxruntime.GetApi()
                            .SessionOptionsAppendExecutionProvider_V2(
                                    session.asOrtSessionOptions(),
                                    OrtRuntime.env().asOrtEnv(),
                                    devices,
                                    1,
                                    keys,
                                    values,
                                    options.size()));
        } catch (RuntimeException e) {
            throw new DeviceException("ONNX Runtime cannot use OpenVINO: " + OrtRuntime.text(e), e);
        } finally {
            texts.forEach(Pointer::close);
        }
    }

    /** As many streams as runs at the same time; more than the cores OpenVINO makes fewer. */
    private String loadConfig() {
        return String.format(
                Locale.ROOT,
                "{\"CPU\":{\"INFERENCE_PRECISION_HINT\":\"bf16\",\"NUM_STREAMS\":\"%d\","
                        + "\"INFERENCE_NUM_THREADS\":\"%d\",\"ENABLE_CPU_PINNING\":\"NO\"}}",
                streams,
                streams * threads);
    }

    @Override
    public void configure(RunOptions run, Collection<Tensor> inputs) {}

    @Override
    public boolean compiles() {
        return true;
    }

    /** Without a cache: to open the VAE takes nearly as long as to compile it (benchmarks/NOTES.md). */
    @Override
    public OpenVinoProvider keepingNone(int runs, int threadsOfEach) {
        return new OpenVinoProvider(plugin, runs, threadsOfEach, CompiledCache.NONE, 0);
    }

    @Override
    public long keptBytes() {
        return keptBytes;
    }

    @Override
    public CompiledCache cache() {
        return cache;
    }

    /** Without streams and threads: what is compiled does not depend on them. */
    @Override
    public String compiler() {
        return "OpenVINO plug-in "
                + version()
                + ", ONNX Runtime "
                + OrtRuntime.version()
                + ", bf16, "
                + processor();
    }

    /** What Linux says of the first processor's kind, empty where that cannot be read. */
    private static List<String> processor() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.takeWhile(line -> !line.isBlank())
                    .filter(line -> KIND.contains(line.split("[\\t:]", 2)[0].strip()))
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            LOG.log(Level.DEBUG, "/proc/cpuinfo cannot be read", e);
            return List.of();
        }
    }

    @Override
    public AsgException compileFailure(String what, RuntimeException cause) {
        AsgException failure = OrtRuntime.loadFailure(what, cause);
        return failure instanceof OutOfMemoryException
                ? failure
                : new DeviceException(
                        what
                                + " cannot be compiled by OpenVINO "
                                + version()
                                + ": "
                                + OrtRuntime.text(cause)
                                + "; use --precision fp32",
                        cause);
    }

    @Override
    public MemoryInfo memory() {
        return OrtRuntime.hostMemory();
    }
}
