// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.onnxruntime.Env;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.OrtStatus;
import org.bytedeco.onnxruntime.Status;
import org.bytedeco.onnxruntime.global.onnxruntime;
import org.jspecify.annotations.Nullable;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * ONNX Runtime in this process: loaded at the first use, one environment, never torn down (sessions
 * of other owners may outlive any of ours). Thread-safe.
 */
public final class OrtRuntime {
    private static final Logger LOG = System.getLogger(OrtRuntime.class.getName());

    /** Text such as "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=f ; expr=cudaMalloc(p);". */
    private static final Pattern LIBRARY_FAILURE =
            Pattern.compile("(?<what>CU\\w+ failure -?\\d+: [^;]*);.*?expr=(?<call>.*?);");

    private static final Pattern NO_MEMORY =
            Pattern.compile("Failed to allocate memory for requested buffer of size \\d+");

    private static final Pattern LIBRARY = Pattern.compile("\\bCU\\w+ failure -?\\d+: ");

    private static final Pattern NODE = Pattern.compile("node\\. Name:'(?<name>[^']*)'");

    private OrtRuntime() {}

    /** Loads the native libraries if that has not happened: 0.2 s once per process. */
    public static void initialise() {
        holder();
    }

    /** Version of ONNX Runtime, as "1.24.1". */
    public static String version() {
        return holder().version;
    }

    static Env env() {
        return holder().env;
    }

    /** Describes host memory that ONNX Runtime does not own. */
    static MemoryInfo hostMemory() {
        return holder().hostMemory;
    }

    /** Throws what a function of the C interface reports, as the C++ interface would. */
    static void check(@Nullable OrtStatus reported) {
        if (reported == null || reported.isNull()) {
            return;
        }
        try (Status status = new Status(reported);
                BytePointer text = status.GetErrorMessage()) {
            throw new IllegalStateException(text.getString());
        }
    }

    /** The exception for a model that ONNX Runtime refuses to load. */
    static AsgException loadFailure(String name, RuntimeException cause) {
        String text = text(cause);
        if (isMemory(text)) {
            return new OutOfMemoryException(
                    name
                            + ": no memory to load it ("
                            + text
                            + "); close other programs or give the"
                            + " process more memory",
                    cause);
        }
        if (isDevice(text)) {
            return new DeviceException(
                    name + " cannot be loaded: " + text + "; try again, or use another device",
                    cause);
        }
        return new BadBundleException(
                name
                        + " cannot be loaded by ONNX Runtime "
                        + version()
                        + ": "
                        + text
                        + "; export the model again",
                cause);
    }

    /** The exception for a run that failed; {@code what} names the model and the bound shapes. */
    static AsgException runFailure(String what, RuntimeException cause) {
        String text = text(cause);
        if (isMemory(text)) {
            return new OutOfMemoryException(
                    what + ": out of memory (" + text + "); use a smaller view batch or picture",
                    cause);
        }
        if (isModel(text)) {
            return new BadBundleException(
                    what
                            + ": "
                            + text
                            + "; the exported model does not keep its contract, export it again",
                    cause);
        }
        return new DeviceException(what + ": ONNX Runtime failed: " + text, cause);
    }

    /** ONNX Runtime reports no codes through its C++ interface, only text. */
    private static boolean isMemory(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        return lower.contains("failed to allocate")
                || lower.contains("bad_alloc")
                || lower.contains("bad allocation")
                || lower.contains("out of memory")
                || lower.contains("status_alloc_failed")
                || lower.contains("available memory");
    }

    /** What CUDA or one of its libraries refused to do. */
    private static boolean isDevice(String text) {
        return text.contains("CUDA error ") || LIBRARY.matcher(text).find();
    }

    private static boolean isModel(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        return !isDevice(text)
                && !lower.contains("cuda")
                && (lower.contains("shape")
                        || lower.contains("dimension")
                        || lower.contains("non-zero status code")
                        || lower.contains("invalid"));
    }

    /**
     * One line of what ONNX Runtime says; where its own text is mostly C++ signatures (failures of CUDA's
     * libraries, no memory), only what failed, and at which node.
     */
    static String text(RuntimeException e) {
        String message = e.getMessage();
        if (message == null) {
            return e.toString();
        }
        String line = message.strip().replaceAll("\\s*\\R\\s*", " ");
        Matcher library = LIBRARY_FAILURE.matcher(line);
        Matcher buffer = NO_MEMORY.matcher(line);
        String what;
        if (library.find()) {
            what = library.group("what").strip() + " in " + library.group("call").strip();
        } else if (buffer.find()) {
            what = buffer.group();
        } else {
            return line;
        }
        Matcher node = NODE.matcher(line);
        return node.find() ? what + ", node " + node.group("name") : what;
    }

    private static Holder holder() {
        Holder holder = Holder.INSTANCE;
        if (holder == null) {
            DeviceException first = Objects.requireNonNull(Holder.FAILURE);
            throw new DeviceException(String.valueOf(first.getMessage()), first);
        }
        return holder;
    }

    /** Made at first use. A failure to load is not repaired by a second try: it stays. */
    private static final class Holder {
        private static final @Nullable Holder INSTANCE;
        private static final @Nullable DeviceException FAILURE;

        static {
            Holder made = null;
            DeviceException failure = null;
            try {
                made = new Holder();
            } catch (DeviceException e) {
                failure = e;
            } catch (LinkageError | RuntimeException e) {
                failure = new DeviceException("ONNX Runtime cannot be started: " + e, e);
            }
            INSTANCE = made;
            FAILURE = failure;
        }

        private final Env env;
        private final MemoryInfo hostMemory;
        private final String version;

        private Holder() {
            OrtNatives.load();
            // Errors come as exceptions; printed a second time they would garble a progress bar.
            env = new Env(onnxruntime.ORT_LOGGING_LEVEL_FATAL, "asg4j");
            env.DisableTelemetryEvents();
            hostMemory = MemoryInfo.CreateCpu(0, 0);
            try (BytePointer text = onnxruntime.GetVersionString()) {
                version = text.getString();
            }
            LOG.log(Level.DEBUG, "ONNX Runtime {0}", version);
        }
    }
}
