// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import io.github.asg4j.DeviceException;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Finds OpenVINO's plug-in for ONNX Runtime, as the Python wheel {@value #WHEEL} has it, in this order:
 *
 * <ol>
 *   <li>the folder of the system property {@value #PROPERTY}, and then nothing else;
 *   <li>the folder of the environment variable {@value #VARIABLE}, and then nothing else;
 *   <li>{@code asg4j/openvino} in the user's cache folder;
 *   <li>Python's packages in {@code VIRTUAL_ENV}, {@code CONDA_PREFIX}, {@code ~/.local} and {@code
 *       /usr/local}.
 * </ol>
 *
 * <p>A folder is that of the libraries, or the one above it that the wheel was unpacked into.
 */
public final class OpenVinoLibraries {
    public static final String PROPERTY = "asg.openvino.path";
    public static final String VARIABLE = "ASG_OPENVINO";
    public static final String WHEEL = "onnxruntime-ep-openvino";

    /** The version that this engine was measured with. */
    public static final String VERSION = "1.8.1";

    /** Folder of the libraries in the wheel. */
    private static final String PACKAGE = "onnxruntime_ep_openvino";

    private static final String PLUGIN = "libonnxruntime_providers_openvino_plugin.so";

    /** What the plug-in needs beside it, by how the files' names begin: their versions change. */
    private static final List<String> BESIDE =
            List.of(
                    "libopenvino.so.",
                    "libopenvino_intel_cpu_plugin.so",
                    "libopenvino_onnx_frontend.so.",
                    "libtbb.so.");

    private final UnaryOperator<String> environment;
    private final String property;
    private final Path root;
    private final Path home;

    /** Looks in the environment and the folders of this machine. */
    public OpenVinoLibraries() {
        this(
                name -> System.getenv().getOrDefault(name, ""),
                System.getProperty(PROPERTY, ""),
                Path.of("/"),
                Path.of(System.getProperty("user.home")));
    }

    OpenVinoLibraries(UnaryOperator<String> environment, String property, Path root, Path home) {
        this.environment = environment;
        this.property = property;
        this.root = root;
        this.home = home;
    }

    /**
     * The plug-in, with all that it needs beside it.
     *
     * @throws DeviceException that names what is missing and how to install it
     */
    public Path find() {
        Map<Path, String> missing = new LinkedHashMap<>();
        for (Path folder : folders()) {
            for (Path candidate : List.of(folder, folder.resolve(PACKAGE))) {
                if (!Files.isRegularFile(candidate.resolve(PLUGIN))) {
                    continue;
                }
                List<String> lacking =
                        BESIDE.stream()
                                .filter(
                                        start ->
                                                CudaLibraries.matches(candidate, start + "*")
                                                        .isEmpty())
                                .toList();
                if (lacking.isEmpty()) {
                    return candidate.resolve(PLUGIN);
                }
                missing.put(candidate, String.join("*, ", lacking));
            }
        }
        String found =
                missing.isEmpty()
                        ? PLUGIN + " was not found in " + folders()
                        : "of OpenVINO's plug-in there is missing " + missing;
        throw new DeviceException(
                found
                        + "; install it with: "
                        + install()
                        + "; or name the folder that has it with -D"
                        + PROPERTY
                        + "=FOLDER or "
                        + VARIABLE
                        + "=FOLDER");
    }

    /** The command that installs it where {@link #find} looks. */
    private String install() {
        return "pip install --no-deps --target "
                + UserCache.folder(environment, home).resolve("openvino")
                + " "
                + WHEEL
                + "=="
                + VERSION;
    }

    /** Where it is looked for, in this order; not all of them exist. */
    private List<Path> folders() {
        if (!property.isEmpty()) {
            return List.of(Path.of(property));
        }
        String named = environment.apply(VARIABLE);
        if (!named.isEmpty()) {
            return List.of(Path.of(named));
        }
        List<Path> folders = new ArrayList<>();
        folders.add(UserCache.folder(environment, home).resolve("openvino"));
        for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
            String prefix = environment.apply(variable);
            if (!prefix.isEmpty()) {
                folders.addAll(packages(Path.of(prefix)));
            }
        }
        folders.addAll(packages(home.resolve(".local")));
        folders.addAll(packages(root.resolve("usr/local")));
        return folders;
    }

    private static List<Path> packages(Path prefix) {
        return CudaLibraries.matches(prefix.resolve("lib"), "python3*").stream()
                .flatMap(python -> CudaLibraries.matches(python, "{site,dist}-packages").stream())
                .toList();
    }
}
