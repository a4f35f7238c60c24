// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.Properties;

/**
 * Finds and opens our native library, in this order:
 *
 * <ol>
 *   <li>the file that the system property {@value #PATH_PROPERTY} names, and then nothing else;
 *   <li>the resource of the jar for this system, copied to a private temporary folder that is
 *       deleted as soon as the library is open.
 * </ol>
 *
 * A library stays open until the process ends.
 */
final class NativeLoader {
    static final String PATH_PROPERTY = "asg.native.path";
    static final String FOLDER = "/io/github/asg4j/native/";
    private static final String LIBRARY = "libasg_cpu.so";

    /**
     * An open library.
     *
     * @param origin where it came from, for reports
     */
    record Library(SymbolLookup symbols, String origin) {}

    private NativeLoader() {}

    static Library load() throws NativeLoadException {
        String path = System.getProperty(PATH_PROPERTY);
        if (path != null) {
            return new Library(openNamed(PATH_PROPERTY, path), path);
        }
        String resource = FOLDER + platform() + "/" + LIBRARY;
        return new Library(
                extract(
                        NativeLoader.class.getResource(resource),
                        resource,
                        Path.of(System.getProperty("java.io.tmpdir"))),
                "the jar");
    }

    /**
     * Opens the library that a system property names.
     *
     * @param path value of the property
     */
    static SymbolLookup openNamed(String property, String path) throws NativeLoadException {
        return open(
                Path.of(path),
                "-D" + property + "=" + path + " (correct the path, or leave the property out)");
    }

    /**
     * Links a function.
     *
     * @param library for messages, as in "NVRTC"
     * @param otherwise what to do where the library lacks it, as in "use CUDA 13's"
     */
    @SuppressWarnings("restricted")
    static MethodHandle link(
            SymbolLookup symbols,
            String library,
            String name,
            FunctionDescriptor descriptor,
            String otherwise)
            throws NativeLoadException {
        MemorySegment address =
                symbols.find(name)
                        .orElseThrow(
                                () ->
                                        new NativeLoadException(
                                                library + " has no " + name + "; " + otherwise,
                                                null));
        return Linker.nativeLinker().downcallHandle(address, descriptor);
    }

    /** Returns the platform as resources are named by it: linux-x86_64. */
    private static String platform() {
        String architecture = System.getProperty("os.arch");
        return System.getProperty("os.name").toLowerCase(Locale.ROOT).replace(' ', '_')
                + "-"
                + (architecture.equals("amd64") ? "x86_64" : architecture);
    }

    static SymbolLookup extract(@Nullable URL library, String resource, Path temporary)
            throws NativeLoadException {
        if (library == null) {
            throw new NativeLoadException(
                    "the jar has no "
                            + resource
                            + ": "
                            + buildReason()
                            + "; rebuild where CMake and a C++ compiler are installed, or name a"
                            + " library with -D"
                            + PATH_PROPERTY,
                    null);
        }
        return openCopy(library, resource, temporary);
    }

    /**
     * Opens a copy of a resource that is a library, and deletes the copy.
     *
     * @param resource its name, for messages and for the copy's
     * @param temporary folder
     */
    static SymbolLookup openCopy(URL library, String resource, Path temporary)
            throws NativeLoadException {
        String name = resource.substring(resource.lastIndexOf('/') + 1);
        Path folder = null;
        try {
            folder =
                    Files.createTempDirectory(
                            temporary,
                            "asg4j-",
                            PosixFilePermissions.asFileAttribute(
                                    PosixFilePermissions.fromString("rwx------")));
            Path file = folder.resolve(name);
            try (InputStream in = library.openStream()) {
                Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
            }
            return open(
                    file,
                    "a copy of "
                            + resource
                            + " (is "
                            + temporary
                            + " mounted noexec? name a folder that allows execution with"
                            + " -Djava.io.tmpdir=FOLDER)");
        } catch (IOException e) {
            throw new NativeLoadException(
                    "no copy of "
                            + resource
                            + " can be written below "
                            + temporary
                            + " ("
                            + e
                            + "); name a writable folder with -Djava.io.tmpdir=FOLDER",
                    e);
        } finally {
            // The open library keeps its mapping.
            delete(folder, name);
        }
    }

    private static void delete(@Nullable Path folder, String name) {
        if (folder == null) {
            return;
        }
        try {
            Files.deleteIfExists(folder.resolve(name));
            Files.deleteIfExists(folder);
        } catch (IOException e) {
            System.getLogger(NativeLoader.class.getName())
                    .log(System.Logger.Level.WARNING, "temporary folder left behind: " + folder, e);
        }
    }

    @SuppressWarnings("restricted")
    static SymbolLookup open(Path file, String what) throws NativeLoadException {
        if (!Files.isRegularFile(file)) {
            throw new NativeLoadException(file + " is not a file: " + what, null);
        }
        try {
            return SymbolLookup.libraryLookup(file, Arena.global());
        } catch (IllegalCallerException e) {
            throw new NativeLoadException(
                    "this JVM does not allow native code; start it with"
                            + " --enable-native-access=ALL-UNNAMED",
                    e);
        } catch (IllegalArgumentException e) {
            throw new NativeLoadException(file + " cannot be opened: " + what, e);
        }
    }

    /** Whether the build of this jar had the tools for the native library. */
    static boolean built() {
        return Boolean.parseBoolean(buildProperties().getProperty("native.built"));
    }

    private static String buildReason() {
        return buildProperties().getProperty("reason", "it was built without the native kernels");
    }

    private static Properties buildProperties() {
        Properties properties = new Properties();
        try (InputStream in = NativeLoader.class.getResourceAsStream(FOLDER + "build.properties")) {
            if (in != null) {
                properties.load(in);
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException("build.properties of the jar", e);
        }
        return properties;
    }
}
