// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.ffi.NativeLoadException;
import io.github.asg4j.ffi.WebpLibrary;
import io.github.asg4j.image.PictureEncoding;

import java.io.File;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** What doctor finds out about the machine by itself; of the engine nothing is loaded here. */
final class Machine {
    /** Below it, the G1 collector may move pinned objects (JDK-8377811). */
    private static final Runtime.Version SOUND_JAVA = Runtime.Version.parse("25.0.3");

    private static final long MIN_MEMORY_BYTES = 2L << 30;

    private static final List<String> LIBRARY_FOLDERS =
            List.of(
                    "/usr/lib/x86_64-linux-gnu",
                    "/usr/lib64",
                    "/usr/lib",
                    "/lib/x86_64-linux-gnu",
                    "/usr/lib/wsl/lib",
                    "/usr/local/nvidia/lib64",
                    "/usr/local/cuda/compat");

    private Machine() {}

    /** How bad it is. */
    enum Status {
        OK,
        WARN,
        FAIL
    }

    /**
     * One line of the report.
     *
     * @param name what was looked at
     * @param detail what was found, and what to do if it is not well
     */
    record Finding(Status status, String name, String detail) {}

    static List<Finding> findings() {
        return List.of(
                java(Runtime.version()),
                platform(),
                new Finding(
                        Status.OK,
                        "cores",
                        Integer.toString(Runtime.getRuntime().availableProcessors())),
                memory(),
                nativeCache(),
                png(),
                webp(),
                gpu());
    }

    static Finding java(Runtime.Version version) {
        String found = version + " (" + System.getProperty("java.vendor") + ")";
        if (version.compareToIgnoreOptional(SOUND_JAVA) < 0) {
            return new Finding(
                    Status.WARN,
                    "java",
                    found
                            + ": below "
                            + SOUND_JAVA
                            + " the G1 collector may corrupt memory"
                            + " (JDK-8377811); update, or run with -XX:+UseSerialGC");
        }
        return new Finding(Status.OK, "java", found);
    }

    private static Finding platform() {
        String os = System.getProperty("os.name") + " " + System.getProperty("os.version");
        String architecture = System.getProperty("os.arch");
        boolean known = os.startsWith("Linux") && architecture.equals("amd64");
        return new Finding(
                known ? Status.OK : Status.WARN,
                "platform",
                os + ", " + architecture + (known ? "" : ": tested on Linux x86-64 only"));
    }

    /** The JVM reads the limits of a container. */
    private static Finding memory() {
        long heap = Runtime.getRuntime().maxMemory();
        long total =
                ManagementFactory.getOperatingSystemMXBean()
                                instanceof com.sun.management.OperatingSystemMXBean bean
                        ? bean.getTotalMemorySize()
                        : 0;
        String detail = gibibytes(total) + ", of which Java heap " + gibibytes(heap);
        return total > 0 && total < MIN_MEMORY_BYTES
                ? new Finding(
                        Status.WARN,
                        "memory",
                        detail
                                + ": less than "
                                + gibibytes(MIN_MEMORY_BYTES)
                                + " draws small pictures only")
                : new Finding(Status.OK, "memory", detail);
    }

    private static String gibibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f GiB", bytes / (double) (1 << 30));
    }

    /** Where JavaCPP unpacks ONNX Runtime: the first of these folders that it can write to. */
    private static Finding nativeCache() {
        String configured = System.getProperty("org.bytedeco.javacpp.cachedir");
        String home = System.getProperty("user.home") + "/.javacpp/cache";
        String temporary =
                System.getProperty("java.io.tmpdir")
                        + "/.javacpp-"
                        + System.getProperty("user.name")
                        + "/cache";
        Optional<String> first =
                Stream.of(
                                Optional.ofNullable(configured),
                                Optional.of(home),
                                Optional.of(temporary))
                        .flatMap(Optional::stream)
                        .filter(folder -> isWritable(Path.of(folder)))
                        .findFirst();
        if (first.isEmpty()) {
            return new Finding(
                    Status.FAIL,
                    "native cache",
                    "neither "
                            + home
                            + " nor "
                            + temporary
                            + " is writable: set"
                            + " -Dorg.bytedeco.javacpp.cachedir=DIR in ASG_JAVA_OPTS");
        }
        if (first.get().equals(temporary)) {
            return new Finding(
                    Status.WARN,
                    "native cache",
                    temporary
                            + ": "
                            + home
                            + " is not writable, ONNX Runtime is unpacked again"
                            + " whenever temporary files are deleted");
        }
        return new Finding(Status.OK, "native cache", first.get());
    }

    /** Whether the folder, or the nearest one above it that exists, can be written to. */
    private static boolean isWritable(Path folder) {
        Path existing = folder.toAbsolutePath();
        while (!Files.exists(existing)) {
            Path parent = existing.getParent();
            if (parent == null) {
                return false;
            }
            existing = parent;
        }
        return Files.isDirectory(existing) && Files.isWritable(existing);
    }

    /** Java without its desktop libraries cannot write pictures. */
    private static Finding png() {
        try {
            Path folder = Files.createTempDirectory("asg-doctor");
            Path file = folder.resolve("pixel.png");
            try {
                PictureEncoding.PNG.write(
                        file, 1, 1, MemorySegment.ofArray(new byte[3]), "", () -> false);
                return new Finding(Status.OK, "png", "can be written");
            } finally {
                Files.deleteIfExists(file);
                Files.delete(folder);
            }
        } catch (IOException | AsgException | LinkageError e) {
            return new Finding(
                    Status.FAIL,
                    "png",
                    "cannot be written ("
                            + e
                            + "): check the disk of "
                            + System.getProperty("java.io.tmpdir")
                            + " and that the JDK has the module java.desktop");
        }
    }

    /** WebP is written by a library that embedders may leave out. */
    private static Finding webp() {
        try {
            WebpLibrary library = WebpLibrary.load();
            return new Finding(
                    Status.OK,
                    "webp",
                    "can be written (libwebp "
                            + library.version()
                            + " of "
                            + library.origin()
                            + ")");
        } catch (NativeLoadException e) {
            return new Finding(Status.WARN, "webp", "cannot be written: " + e.getMessage());
        }
    }

    private static Finding gpu() {
        Path driver = Path.of("/proc/driver/nvidia/version");
        List<String> folders = new ArrayList<>(LIBRARY_FOLDERS);
        String configured = System.getenv("LD_LIBRARY_PATH");
        if (configured != null) {
            folders.addAll(Arrays.asList(configured.split(File.pathSeparator)));
        }
        Optional<Path> library =
                folders.stream()
                        .filter(folder -> !folder.isEmpty())
                        .map(folder -> Path.of(folder, "libcuda.so.1"))
                        .filter(Files::exists)
                        .findFirst();
        String found;
        if (Files.exists(driver) && library.isPresent()) {
            found = "an NVIDIA driver is there (" + library.get() + ")";
        } else if (Files.exists(driver)) {
            found = "an NVIDIA driver is there, but no libcuda.so.1";
        } else if (library.isPresent()) {
            found = library.get() + " is there, but no NVIDIA driver is loaded";
        } else {
            found = "no NVIDIA driver";
        }
        return new Finding(Status.OK, "gpu", found);
    }
}
