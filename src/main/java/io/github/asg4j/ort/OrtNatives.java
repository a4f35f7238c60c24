// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.DeviceException;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;
import org.bytedeco.onnxruntime.CUDAProviderOptions;
import org.bytedeco.onnxruntime.ConstTensorTypeAndShapeInfo;
import org.bytedeco.onnxruntime.Env;
import org.bytedeco.onnxruntime.IoBinding;
import org.bytedeco.onnxruntime.LongVector;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.OrtApi;
import org.bytedeco.onnxruntime.OrtMemoryInfo;
import org.bytedeco.onnxruntime.OrtSessionOptions;
import org.bytedeco.onnxruntime.OrtStatus;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.Session;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.Status;
import org.bytedeco.onnxruntime.StringStringMap;
import org.bytedeco.onnxruntime.StringVector;
import org.bytedeco.onnxruntime.TypeInfo;
import org.bytedeco.onnxruntime.Value;
import org.bytedeco.onnxruntime.global.onnxruntime;

import java.io.File;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.List;

/**
 * Loads ONNX Runtime's native libraries, the short way if possible.
 *
 * <p>The preset's class initialiser first loads OpenCL and dnnl (90 MB, unpacked on first use),
 * then looks in vain for a dozen CUDA libraries: most of a second in which a command line shows
 * nothing. The engine uses none of them, so their loading is switched off while the three libraries
 * that matter are opened by name. Whatever goes wrong with that, the preset's own way follows.
 */
final class OrtNatives {
    private static final Logger LOG = System.getLogger(OrtNatives.class.getName());
    private static final String SWITCH = "org.bytedeco.javacpp.loadlibraries";
    private static final String JAVACPP = "/org/bytedeco/javacpp/";
    private static final String ORT = "/org/bytedeco/onnxruntime/";

    /** Each class initialiser loads the whole preset again unless it runs under the switch. */
    private static final List<Class<?>> USED =
            List.of(
                    onnxruntime.class,
                    BytePointer.class,
                    CUDAProviderOptions.class,
                    ConstTensorTypeAndShapeInfo.class,
                    Env.class,
                    IoBinding.class,
                    LongVector.class,
                    MemoryInfo.class,
                    OrtApi.class,
                    OrtMemoryInfo.class,
                    OrtSessionOptions.class,
                    OrtStatus.class,
                    PointerPointer.class,
                    RunOptions.class,
                    Session.class,
                    SessionOptions.class,
                    SizeTPointer.class,
                    Status.class,
                    StringStringMap.class,
                    StringVector.class,
                    TypeInfo.class,
                    Value.class);

    private OrtNatives() {}

    static void load() {
        if (System.getProperty(SWITCH) != null || !loadShort()) {
            loadWhole();
        }
    }

    /** Whether it worked. The switch is read anew by every JavaCPP class, so it is put back. */
    private static boolean loadShort() {
        System.setProperty(SWITCH, "false");
        try {
            String platform = Loader.getPlatform();
            String extension = System.getProperty("org.bytedeco.javacpp.platform.extension", "");
            open(JAVACPP + platform + "/libjnijavacpp.so");
            open(ORT + platform + extension + "/libonnxruntime_providers_shared.so");
            open(ORT + platform + extension + "/libonnxruntime.so.1");
            open(ORT + platform + extension + "/libjnionnxruntime.so");
            for (Class<?> used : USED) {
                Class.forName(used.getName(), true, used.getClassLoader());
            }
            return true;
        } catch (IOException | ClassNotFoundException | LinkageError | RuntimeException e) {
            LOG.log(Level.DEBUG, "ONNX Runtime is loaded by its preset", e);
            return false;
        } finally {
            System.clearProperty(SWITCH);
        }
    }

    @SuppressWarnings("restricted")
    private static void open(String resource) throws IOException {
        File file = Loader.cacheResource(OrtNatives.class, resource);
        if (file == null) {
            throw new IOException("no resource " + resource);
        }
        System.load(file.getAbsolutePath());
    }

    private static void loadWhole() {
        try {
            Loader.load(onnxruntime.class);
        } catch (LinkageError | RuntimeException e) {
            throw new DeviceException(
                    "ONNX Runtime cannot be loaded on "
                            + System.getProperty("os.name")
                            + " "
                            + System.getProperty("os.arch")
                            + ": "
                            + e.getMessage()
                            + "; it needs Linux x86-64 with glibc and a writable folder"
                            + " ~/.javacpp/cache (another one:"
                            + " -Dorg.bytedeco.javacpp.cachedir=DIR)",
                    e);
        }
    }
}
