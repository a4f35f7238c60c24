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
import org.bytedeco.onnxruntime.EpDeviceImpl;
import org.bytedeco.onnxruntime.IoBinding;
import org.bytedeco.onnxruntime.KeyValuePairsImpl;
import org.bytedeco.onnxruntime.LongVector;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.OrtApi;
import org.bytedeco.onnxruntime.OrtEpDevice;
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
import org.jspecify.annotations.Nullable;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * Loads ONNX Runtime's native libraries, once for each class loader.
 *
 * <p>The preset's class initialisers would first load OpenCL and dnnl (90 MB, unpacked on first
 * use), then look in vain for a dozen CUDA libraries: most of a second in which a command line shows
 * nothing. The engine uses none of them, so the libraries that it needs are loaded by name, and the
 * initialisers then run under JavaCPP's switch that keeps them from loading anything. That switch is
 * a system property: see {@link #initialiseClasses}.
 *
 * <p>The libraries are unpacked into JavaCPP's cache, and into a temporary folder where that cannot
 * be written, does not allow execution, or holds what another class loader has loaded.
 */
final class OrtNatives {
    private static final Logger LOG = System.getLogger(OrtNatives.class.getName());
    private static final String SWITCH = "org.bytedeco.javacpp.loadlibraries";
    private static final String CACHE = "org.bytedeco.javacpp.cachedir";
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
                    EpDeviceImpl.class,
                    IoBinding.class,
                    KeyValuePairsImpl.class,
                    LongVector.class,
                    MemoryInfo.class,
                    OrtApi.class,
                    OrtEpDevice.class,
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

    /** Folder for what cannot be used in JavaCPP's cache; made when it is needed. */
    private static @Nullable Path temporary;

    /** Whether ONNX Runtime itself lies in the temporary folder. */
    private static boolean outsideOfCache;

    private OrtNatives() {}

    /**
     * Loads the libraries.
     *
     * @throws DeviceException that says what is missing and what to do
     */
    static synchronized void load() {
        try {
            if (System.getProperty(SWITCH) != null) {
                // The owner of this process has set it: JavaCPP's own way, and the switch
                // untouched.
                Loader.load(onnxruntime.class);
                return;
            }
            open(JAVACPP + Loader.getPlatform() + "/libjnijavacpp.so");
            open(folder() + "libonnxruntime_providers_shared.so");
            outsideOfCache = open(folder() + "libonnxruntime.so.1");
            open(folder() + "libjnionnxruntime.so");
            initialiseClasses();
        } catch (IOException | ClassNotFoundException | LinkageError | RuntimeException e) {
            throw new DeviceException(
                    "ONNX Runtime cannot be loaded on "
                            + System.getProperty("os.name")
                            + " "
                            + System.getProperty("os.arch")
                            + ": "
                            + first(e)
                            + "; it needs Linux x86-64 with glibc, the artifact onnxruntime with"
                            + " classifier linux-x86_64, and 45 MB in a folder that can be written"
                            + " and allows execution: ~/.javacpp/cache (another one: -D"
                            + CACHE
                            + "=DIR) or "
                            + System.getProperty("java.io.tmpdir")
                            + " (another one: -Djava.io.tmpdir=DIR)",
                    e);
        }
    }

    /** The resource folder of ONNX Runtime's libraries, with the slash at its end. */
    static String folder() {
        return ORT
                + Loader.getPlatform()
                + System.getProperty("org.bytedeco.javacpp.platform.extension", "")
                + "/";
    }

    /**
     * Unpacks a library beside those that were loaded, where ONNX Runtime looks for it.
     *
     * @throws IOException if there is no place for it
     */
    static synchronized void unpack(String resource) throws IOException {
        if (outsideOfCache) {
            copied(resource);
        } else {
            cached(resource);
        }
    }

    /**
     * The switch is read anew by every class of JavaCPP that is initialised, so it is put back. A
     * class of another preset that another thread initialises meanwhile is left without its library:
     * hence the time is kept to these initialisers alone, a few milliseconds. No lock could help: an
     * initialiser that waits for it may be one that these wait for.
     */
    private static void initialiseClasses() throws ClassNotFoundException {
        System.setProperty(SWITCH, "false");
        try {
            for (Class<?> used : USED) {
                Class.forName(used.getName(), true, used.getClassLoader());
            }
        } finally {
            System.clearProperty(SWITCH);
        }
    }

    /** Loads a library from JavaCPP's cache, or from a copy. Whether it was a copy. */
    private static boolean open(String resource) throws IOException {
        Throwable first;
        try {
            open(cached(resource));
            return false;
        } catch (IOException | UnsatisfiedLinkError e) {
            first = e;
        }
        boolean loadedElsewhere = first(first).contains("already loaded in another classloader");
        if (loadedElsewhere && !resource.contains("/libjni")) {
            return false; // Java calls nothing in it: once in the process is enough
        }
        if (!loadedElsewhere) {
            LOG.log(Level.INFO, "{0} is copied for this process: {1}", resource, first(first));
        }
        try {
            open(copied(resource));
            return true;
        } catch (IOException | UnsatisfiedLinkError e) {
            e.addSuppressed(first);
            throw e;
        }
    }

    /** Loads a library through JavaCPP, so that it belongs to the class loader of JavaCPP's classes. */
    private static void open(Path file) throws IOException {
        String name = file.getFileName().toString().replaceFirst("lib(.*)\\.so.*", "$1");
        Loader.loadLibrary(Loader.class, new URL[] {file.toUri().toURL()}, name);
    }

    /** What JavaCPP says last is that a library is not in java.library.path; the cause says why. */
    private static String first(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.toString();
    }

    private static Path cached(String resource) throws IOException {
        File file = Loader.cacheResource(OrtNatives.class, resource);
        if (file == null) {
            throw new FileNotFoundException("no resource " + resource);
        }
        return file.toPath();
    }

    /** A copy in a private folder that is deleted when the process ends. */
    private static Path copied(String resource) throws IOException {
        if (temporary == null) {
            temporary = Files.createTempDirectory("asg4j-ort-");
            temporary.toFile().deleteOnExit();
        }
        Path file = temporary.resolve(resource.substring(resource.lastIndexOf('/') + 1));
        URL url = Loader.findResource(OrtNatives.class, resource);
        if (url == null) {
            throw new FileNotFoundException("no resource " + resource);
        }
        file.toFile().deleteOnExit();
        try (InputStream in = url.openStream()) {
            Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
        }
        return file;
    }
}
