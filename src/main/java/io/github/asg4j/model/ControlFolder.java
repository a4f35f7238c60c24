// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Control;
import io.github.asg4j.EngineInfo;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The control networks that requests may name: folders with a control.json, in the folder that was given
 * or in the bundle's {@code controlnets}. Opened when they are first asked for. Thread-safe.
 */
public final class ControlFolder {
    private static final String IN_BUNDLE = "controlnets";

    private final @Nullable Path folder;
    private final boolean verify;
    private final VerifiedFiles verified = VerifiedFiles.ofUser();
    private final Map<String, ControlFiles> opened = new HashMap<>();

    private ControlFolder(@Nullable Path folder, boolean verify) {
        this.folder = folder;
        this.verify = verify;
    }

    /**
     * Names the folder.
     *
     * @param given null: that of the bundle
     * @param model the bundle's folder or the checkpoint; null: the demo bundle
     * @param verify check every SHA-256 even if that was done before
     * @throws BadRequestException if a folder was given that is not there
     */
    public static ControlFolder of(@Nullable Path given, @Nullable Path model, boolean verify) {
        if (given != null && !Files.isDirectory(given)) {
            throw new BadRequestException(
                    "--control-folder "
                            + given
                            + " is no folder: give the one in which every control network has a"
                            + " folder of its name");
        }
        Path own = model == null ? null : of(model);
        return new ControlFolder(
                given != null ? given : own != null && Files.isDirectory(own) ? own : null, verify);
    }

    /** The folder of a bundle's own control networks, which may not be there. */
    static Path of(Path bundle) {
        return bundle.resolve(IN_BUNDLE);
    }

    /** Names of all networks, sorted. */
    public List<String> names() {
        return folder == null
                ? List.of()
                : in(folder).stream().map(path -> String.valueOf(path.getFileName())).toList();
    }

    /**
     * The networks in a folder, sorted; none where there is no such folder.
     *
     * @throws BadRequestException if it cannot be listed
     */
    static List<Path> in(Path folder) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(folder)) {
            return all.filter(path -> Files.exists(path.resolve(ControlManifest.FILE_NAME)))
                    .sorted()
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            throw new BadRequestException(
                    "the folder of control networks " + folder + " cannot be listed (" + e + ")",
                    e);
        }
    }

    /** Bytes of all networks. */
    long bytes() {
        return names().stream().mapToLong(name -> named(name).bytes()).sum();
    }

    /** Copies all networks into the folder of a bundle. */
    void copyTo(Path bundle) throws IOException {
        for (String name : names()) {
            named(name).copyTo(bundle.resolve(IN_BUNDLE).resolve(name));
        }
    }

    /** All networks with what is wrong with them, for {@code doctor}. */
    public List<EngineInfo.ControlNetwork> described() {
        List<EngineInfo.ControlNetwork> all = new ArrayList<>();
        for (String name : names()) {
            try {
                all.add(new EngineInfo.ControlNetwork(name, named(name).sha256(), ""));
            } catch (BadBundleException e) {
                all.add(new EngineInfo.ControlNetwork(name, "", String.valueOf(e.getMessage())));
            }
        }
        return all;
    }

    /**
     * The networks of a request's controls, in their order.
     *
     * @param textEncoder of the model, whose widths they have to fit
     * @throws BadRequestException there is no network of a name, or it is for another model
     * @throws BadBundleException its files are not what control.json says
     */
    public List<ControlFiles> of(List<Control> controls, Manifest model, TextEncoder textEncoder) {
        List<ControlFiles> all = new ArrayList<>();
        for (Control control : controls) {
            ControlFiles network = named(control.network());
            network.requireFor(model, textEncoder.hiddenWidth(), textEncoder.pooledWidth());
            ControlFiles first = all.isEmpty() ? network : all.getFirst();
            if (!network.manifest().residuals().equals(first.manifest().residuals())) {
                throw new BadRequestException(
                        "the control networks "
                                + first.name()
                                + " and "
                                + network.name()
                                + " give other residuals: they were made for other denoisers");
            }
            all.add(network);
        }
        return all;
    }

    private synchronized ControlFiles named(String name) {
        ControlFiles known = opened.get(name);
        if (known == null) {
            if (folder == null || !names().contains(name)) {
                throw new BadRequestException(unknown(name));
            }
            known = ControlFiles.open(folder.resolve(name), verified, verify);
            opened.put(name, known);
        }
        return known;
    }

    private String unknown(String name) {
        if (folder == null) {
            return "there is no folder of control networks: say with --control-folder where they"
                    + " are, or put them into the bundle, each with asg4j-export controlnet"
                    + " CONTROLNET --out BUNDLE/"
                    + IN_BUNDLE
                    + "/NAME";
        }
        List<String> names = names();
        return "there is no control network \""
                + name
                + "\" in "
                + folder
                + (names.isEmpty()
                        ? ", which holds none"
                        : ", which holds " + String.join(", ", names))
                + ": make it with asg4j-export controlnet CONTROLNET --out "
                + folder
                + "/"
                + name;
    }
}
