// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.function.UnaryOperator;

/**
 * Finds CUDA's libraries (NVRTC, and what ONNX Runtime's CUDA provider needs), in this order:
 *
 * <ol>
 *   <li>the folders of the system property {@value #PROPERTY}, separated by colons, and then nothing
 *       else;
 *   <li>the environment: {@code LD_LIBRARY_PATH}, then {@code lib64} and {@code lib} of {@code
 *       CUDA_HOME} and {@code CUDA_PATH};
 *   <li>installed toolkits: {@code /usr/local/cuda}, {@code /usr/local/cuda-13*}, {@code /opt/cuda},
 *       and the system's folder for libraries;
 *   <li>NVIDIA's Python wheels in {@code VIRTUAL_ENV}, {@code CONDA_PREFIX} and {@code ~/.local};
 *   <li>what JavaCPP unpacked of its cuda-redist jars ({@code ~/.javacpp/cache}).
 * </ol>
 */
public final class CudaLibraries {
    private static final System.Logger LOG = System.getLogger(CudaLibraries.class.getName());

    public static final String PROPERTY = "asg.cuda.path";

    private final UnaryOperator<String> environment;
    private final String property;
    private final Path root;
    private final Path home;

    /** Looks in the environment and the folders of this machine. */
    public CudaLibraries() {
        this(
                name -> System.getenv().getOrDefault(name, ""),
                System.getProperty(PROPERTY, ""),
                Path.of("/"),
                Path.of(System.getProperty("user.home")));
    }

    CudaLibraries(UnaryOperator<String> environment, String property, Path root, Path home) {
        this.environment = environment;
        this.property = property;
        this.root = root;
        this.home = home;
    }

    /** The folders that exist, in the order of the search. */
    public List<Path> folders() {
        SequencedSet<Path> found = new LinkedHashSet<>();
        if (!property.isEmpty()) {
            addAll(found, property);
            return List.copyOf(found);
        }
        addAll(found, environment.apply("LD_LIBRARY_PATH"));
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            String toolkit = environment.apply(variable);
            if (!toolkit.isEmpty()) {
                addToolkit(found, Path.of(toolkit));
            }
        }
        addToolkit(found, root.resolve("usr/local/cuda"));
        for (Path toolkit : matches(root.resolve("usr/local"), "cuda-13*")) {
            addToolkit(found, toolkit);
        }
        addToolkit(found, root.resolve("opt/cuda"));
        add(found, root.resolve("usr/lib/x86_64-linux-gnu"));
        add(found, root.resolve("usr/lib64"));
        for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
            String prefix = environment.apply(variable);
            if (!prefix.isEmpty()) {
                addWheels(found, Path.of(prefix));
            }
        }
        addWheels(found, home.resolve(".local"));
        for (Path jar : matches(home.resolve(".javacpp/cache"), "*cuda*")) {
            add(found, jar.resolve("org/bytedeco/cuda/linux-x86_64"));
        }
        return List.copyOf(found);
    }

    /** The first file of that name. */
    public Optional<Path> find(String name) {
        return folders().stream()
                .map(f -> f.resolve(name))
                .filter(Files::isRegularFile)
                .findFirst();
    }

    /** What to say where {@code name} is missing. */
    public String missing(String name, String fix) {
        return name
                + " was not found in "
                + (folders().isEmpty() ? "any folder" : folders())
                + "; "
                + fix
                + ", or name the folder that has it with -D"
                + PROPERTY
                + "=FOLDER";
    }

    private static void addToolkit(SequencedSet<Path> found, Path toolkit) {
        add(found, toolkit.resolve("lib64"));
        add(found, toolkit.resolve("lib"));
        add(found, toolkit.resolve("targets/x86_64-linux/lib"));
    }

    /** Wheels put their libraries into nvidia/cu13/lib, older ones into nvidia/PART/lib. */
    private static void addWheels(SequencedSet<Path> found, Path prefix) {
        for (Path python : matches(prefix.resolve("lib"), "python3*")) {
            for (Path part : matches(python.resolve("site-packages/nvidia"), "*")) {
                add(found, part.resolve("lib"));
            }
        }
    }

    private static void addAll(SequencedSet<Path> found, String folders) {
        for (String folder : folders.split(":")) {
            if (!folder.isEmpty()) {
                try {
                    add(found, Path.of(folder));
                } catch (InvalidPathException e) {
                    LOG.log(Level.DEBUG, "no folder can have this name", e);
                }
            }
        }
    }

    private static void add(SequencedSet<Path> found, Path folder) {
        if (Files.isDirectory(folder)) {
            found.add(folder);
        }
    }

    /** What a folder has of that name, the newest version first; nothing if it cannot be read. */
    static List<Path> matches(Path folder, String glob) {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, glob)) {
                stream.forEach(found::add);
            } catch (IOException e) {
                return List.of(); // a folder that cannot be read has nothing for us
            }
        }
        found.sort(Comparator.reverseOrder()); // the newest version first
        return found;
    }
}
