// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.AssembledGraph;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.WeightName;

import org.jspecify.annotations.Nullable;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.JarURLConnection;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.ToLongFunction;

/** Where the files of a bundle lie. Names have passed {@link Manifest#pathFault}. Thread-safe. */
sealed interface BundleFiles {
    /** The bundle's place, for messages. */
    String place();

    /** A file's place, for messages. */
    String place(String name);

    /** Size in bytes; -1: there is no such file. */
    long size(String name) throws IOException;

    InputStream open(String name) throws IOException;

    /** What the memory of verified hashes goes by; null: it cannot be told whether it changed. */
    VerifiedFiles.@Nullable State state(String name) throws IOException;

    /**
     * The graph {@code name} of {@code bytes} bytes.
     *
     * @param memory receives what has to be read
     * @param changes weights that take the place of a checkpoint's own; a bundle has none
     * @param external checks a location of the graph's external data and tells which file it is
     */
    ModelFile graph(
            String name, long bytes, Memory memory, ChangedWeights changes, ExternalLookup external)
            throws IOException;

    /**
     * Bytes of what the graph {@code name} reads from files of the bundle beside it; 0 where its recorded
     * size has them.
     *
     * @param bytes size of the graph
     */
    long besideGraph(String name, long bytes, ExternalLookup external) throws IOException;

    /** The checkpoint that is open for weights; null: none is. */
    default @Nullable Checkpoint checkpoint() {
        return null;
    }

    /** Which file a graph's external data lies in. */
    interface ExternalLookup {
        /**
         * @throws BadBundleException if the bundle has no such file, or must not read it
         */
        External of(String location);
    }

    /** A file of the bundle that holds external data of a graph. */
    record External(String name, long bytes) {}

    /** Files in a folder; {@code root} is its real path. */
    record Folder(Path root) implements BundleFiles {
        @Override
        public String place() {
            return root.toString();
        }

        @Override
        public String place(String name) {
            return root.resolve(name).toString();
        }

        @Override
        public long size(String name) throws IOException {
            try {
                return Files.readAttributes(inside(name), BasicFileAttributes.class).isRegularFile()
                        ? Files.size(inside(name))
                        : -1;
            } catch (NoSuchFileException e) {
                return -1;
            }
        }

        @Override
        public InputStream open(String name) throws IOException {
            return Files.newInputStream(inside(name));
        }

        @Override
        public VerifiedFiles.State state(String name) throws IOException {
            return stateOf(inside(name), "");
        }

        @Override
        public ModelFile graph(
                String name,
                long bytes,
                Memory memory,
                ChangedWeights changes,
                ExternalLookup external)
                throws IOException {
            Path path = inside(name);
            try (Arena arena = Arena.ofConfined();
                    FileChannel channel = FileChannel.open(path)) {
                MemorySegment mapped = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
                List<Path> weights = new ArrayList<>();
                for (String location : ExternalData.locations(place(name), mapped)) {
                    weights.add(root.resolve(external.of(location).name()));
                }
                // Not the real path: external data lies beside the name, not beside the target.
                return new ModelFile.Stored(name, root.resolve(name), weights);
            }
        }

        @Override
        public long besideGraph(String name, long bytes, ExternalLookup external)
                throws IOException {
            try (Memory memory = new Memory("counting " + place(name))) {
                return ExternalData.size(place(name), memory.map(inside(name)), beside(external));
            }
        }

        /** The real path of a file, which symbolic links must not lead out of the folder. */
        private Path inside(String name) throws IOException {
            Path real = root.resolve(name).toRealPath();
            if (!real.startsWith(root)) {
                throw new BadBundleException(
                        place(name)
                                + ": a symbolic link leads to "
                                + real
                                + ", outside of the bundle. Put a copy of the file in its place");
            }
            return real;
        }
    }

    /**
     * Resources of a class loader. Graphs and their external data are read into memory; nothing is
     * unpacked.
     *
     * @param prefixes folders that may have a file, the first one that has it counts; each ends with a
     *     slash
     */
    record Resources(ClassLoader loader, List<String> prefixes) implements BundleFiles {
        private static final int CHUNK_BYTES = 1 << 16;

        public Resources {
            prefixes = List.copyOf(prefixes);
        }

        @Override
        public String place() {
            return "resource " + prefixes.getFirst();
        }

        @Override
        public String place(String name) {
            return "resource " + prefix(name) + name;
        }

        /** The folder that has a file; the first one where none has it. */
        private String prefix(String name) {
            return prefixes.stream()
                    .filter(prefix -> loader.getResource(prefix + name) != null)
                    .findFirst()
                    .orElse(prefixes.getFirst());
        }

        private @Nullable URL find(String name) {
            return prefixes.stream()
                    .map(prefix -> loader.getResource(prefix + name))
                    .filter(Objects::nonNull)
                    .findFirst()
                    .orElse(null);
        }

        @Override
        public long size(String name) throws IOException {
            URL url = find(name);
            if (url == null) {
                return -1;
            }
            URLConnection connection = connect(url);
            try (InputStream in = connection.getInputStream()) {
                long size = connection.getContentLengthLong();
                return size >= 0 ? size : in.transferTo(java.io.OutputStream.nullOutputStream());
            }
        }

        @Override
        public InputStream open(String name) throws IOException {
            URL url = find(name);
            if (url == null) {
                throw new FileNotFoundException(place(name));
            }
            return new BufferedInputStream(connect(url).getInputStream());
        }

        @Override
        public VerifiedFiles.@Nullable State state(String name) throws IOException {
            URL url = find(name);
            try {
                if (url != null && url.openConnection() instanceof JarURLConnection jar) {
                    URI file = jar.getJarFileURL().toURI();
                    return "file".equals(file.getScheme())
                            ? stateOf(Path.of(file).toRealPath(), "!/" + prefix(name) + name)
                            : null;
                }
                return url != null && url.getProtocol().equals("file")
                        ? stateOf(Path.of(url.toURI()).toRealPath(), "")
                        : null;
            } catch (URISyntaxException e) {
                return null;
            }
        }

        @Override
        public ModelFile graph(
                String name,
                long bytes,
                Memory memory,
                ChangedWeights changes,
                ExternalLookup external)
                throws IOException {
            MemorySegment graph = load(name, bytes, memory);
            Map<String, MemorySegment> data = new LinkedHashMap<>();
            for (String location : ExternalData.locations(place(name), graph)) {
                External file = external.of(location);
                data.put(location, load(file.name(), file.bytes(), memory));
            }
            return new ModelFile.Loaded(name, graph, data);
        }

        @Override
        public long besideGraph(String name, long bytes, ExternalLookup external)
                throws IOException {
            try (Memory memory = new Memory("counting " + place(name))) {
                return ExternalData.size(place(name), load(name, bytes, memory), beside(external));
            }
        }

        private MemorySegment load(String name, long bytes, Memory memory) throws IOException {
            MemorySegment copy = memory.allocate(bytes, place(name));
            byte[] chunk = new byte[CHUNK_BYTES];
            try (InputStream in = open(name)) {
                long at = 0;
                for (int read; (read = in.read(chunk)) >= 0; at += read) {
                    if (read > bytes - at) {
                        throw new IOException("it has become longer than " + bytes + " bytes");
                    }
                    MemorySegment.copy(chunk, 0, copy, ValueLayout.JAVA_BYTE, at, read);
                }
                if (at < bytes) {
                    throw new IOException("it ends after " + at + " of " + bytes + " bytes");
                }
            }
            return copy;
        }

        /** Connects past the cache, which would keep the jar open, and the old one when it is replaced. */
        private static URLConnection connect(URL url) throws IOException {
            URLConnection connection = url.openConnection();
            connection.setUseCaches(false);
            return connection;
        }
    }

    /**
     * A template's files with the weights of a checkpoint: graphs are put together from both, all else
     * is the template's.
     */
    record Filled(Resources template, Checkpoint checkpoint) implements BundleFiles {
        @Override
        public String place() {
            return checkpoint.path().toString();
        }

        @Override
        public String place(String name) {
            return template.place(name);
        }

        @Override
        public long size(String name) throws IOException {
            return template.size(name);
        }

        @Override
        public InputStream open(String name) throws IOException {
            return template.open(name);
        }

        @Override
        public VerifiedFiles.@Nullable State state(String name) throws IOException {
            return template.state(name);
        }

        @Override
        public ModelFile graph(
                String name,
                long bytes,
                Memory memory,
                ChangedWeights changes,
                ExternalLookup external)
                throws IOException {
            Recipe recipe = recipe(name);
            AssembledGraph graph = AssembledGraph.of(read(name), recipe, checkpoint, changes);
            MemorySegment copy = memory.allocate(graph.model().length, place(name));
            MemorySegment.copy(
                    graph.model(), 0, copy, ValueLayout.JAVA_BYTE, 0, graph.model().length);
            ModelFile assembled = new ModelFile.Assembled(name, copy, graph.weights());
            Recognition model = checkpoint.recognition();
            return recipe.part() == Part.UNET && model.takesMore()
                    ? assembled.changed(changed -> addInputs(changed, recipe, model), memory)
                    : assembled;
        }

        @Override
        public long besideGraph(String name, long bytes, ExternalLookup external) {
            return 0;
        }

        /** What the model's denoiser takes beside what the template's does. */
        private static void addInputs(OnnxGraph graph, Recipe recipe, Recognition model) {
            if (model.inpaintChannels() > 0) {
                InpaintInput.apply(graph, model.inpaintChannels());
            }
            if (model.guidanceWidth() > 0) {
                GuidanceInput.apply(graph, recipe, model.guidanceWidth());
            }
        }

        /** Bytes that a graph's weights take in the checkpoint. */
        long weightBytes(String graph) throws IOException {
            return AssembledGraph.weightBytes(recipe(graph), checkpoint);
        }

        /** Names in diffusers of the weights that graphs read, by part. */
        Map<Part, Set<String>> weights(List<String> graphs) throws IOException {
            Map<Part, Set<String>> names = new EnumMap<>(Part.class);
            for (String graph : graphs) {
                Recipe recipe = recipe(graph);
                Set<String> ofPart = names.computeIfAbsent(recipe.part(), p -> new HashSet<>());
                recipe.values().forEach(value -> ofPart.addAll(value.weights()));
            }
            return names;
        }

        /** Weights that graphs read as matrices, and as nothing else. */
        Set<WeightName> matrices(List<String> graphs) throws IOException {
            Set<WeightName> matrices = new HashSet<>();
            Set<WeightName> others = new HashSet<>();
            for (String graph : graphs) {
                Recipe recipe = recipe(graph);
                for (Recipe.Value value : recipe.values()) {
                    Set<WeightName> kind = Recipe.isMatrix(value) ? matrices : others;
                    value.weights().forEach(w -> kind.add(new WeightName(recipe.part(), w)));
                }
            }
            matrices.removeAll(others);
            matrices.removeIf(name -> !checkpoint.isStored(name));
            return matrices;
        }

        private byte[] read(String name) throws IOException {
            try (InputStream in = open(name)) {
                return in.readAllBytes();
            }
        }

        /** What a graph's values are made of in this checkpoint. */
        private Recipe recipe(String graph) throws IOException {
            String file = graph.replaceFirst("\\.onnx$", Recipe.FILE_END);
            Recognition model = checkpoint.recognition();
            return Recipe.parse(file, read(file))
                    .takingMore(model.inpaintChannels())
                    .takingGuidance(model.guidanceWidth());
        }
    }

    /**
     * A folder of graphs that other exporters wrote, which get the inputs and outputs of a bundle's. Links
     * are followed: download caches are made of them.
     *
     * @param made files that the folder has in another form, by name
     * @param graphs what each graph needs, by name
     */
    record Onnx(Path root, Map<String, byte[]> made, Map<String, OnnxFolder.Adaptation> graphs)
            implements BundleFiles {
        public Onnx {
            made = Map.copyOf(made);
            graphs = Map.copyOf(graphs);
        }

        @Override
        public String place() {
            return root.toString();
        }

        @Override
        public String place(String name) {
            return root.resolve(name).toString();
        }

        @Override
        public long size(String name) throws IOException {
            byte[] bytes = made.get(name);
            return bytes != null ? bytes.length : Files.size(root.resolve(name));
        }

        @Override
        public InputStream open(String name) throws IOException {
            byte[] bytes = made.get(name);
            return bytes != null
                    ? new ByteArrayInputStream(bytes)
                    : Files.newInputStream(root.resolve(name));
        }

        @Override
        public VerifiedFiles.@Nullable State state(String name) throws IOException {
            return made.containsKey(name) ? null : stateOf(root.resolve(name).toRealPath(), "");
        }

        @Override
        public ModelFile graph(
                String name,
                long bytes,
                Memory memory,
                ChangedWeights changes,
                ExternalLookup external)
                throws IOException {
            Path path = root.resolve(name);
            MemorySegment model = memory.map(path);
            Map<String, MemorySegment> data = new LinkedHashMap<>();
            for (String location : ExternalData.locations(place(name), model)) {
                data.put(location, memory.map(root.resolve(external.of(location).name())));
            }
            OnnxFolder.Adaptation adaptation =
                    Objects.requireNonNull(graphs.get(name), "a graph of the manifest");
            return new ModelFile.Loaded(name, model, data)
                    .changed(graph -> adaptation.apply(new OnnxEnds(graph, place(name))), memory);
        }

        @Override
        public long besideGraph(String name, long bytes, ExternalLookup external)
                throws IOException {
            try (Memory memory = new Memory("counting " + place(name))) {
                return ExternalData.size(
                        place(name), memory.map(root.resolve(name)), beside(external));
            }
        }
    }

    /**
     * A bundle with another autoencoder than its own.
     *
     * @param vae template and weights of the other one
     * @param vaeFiles names in the manifest of its graphs
     */
    record WithVae(BundleFiles bundle, Filled vae, Set<String> vaeFiles) implements BundleFiles {
        public WithVae {
            vaeFiles = Set.copyOf(vaeFiles);
        }

        private BundleFiles holder(String name) {
            return vaeFiles.contains(name) ? vae : bundle;
        }

        @Override
        public String place() {
            return bundle.place();
        }

        @Override
        public String place(String name) {
            return holder(name).place(name);
        }

        @Override
        public long size(String name) throws IOException {
            return holder(name).size(name);
        }

        @Override
        public InputStream open(String name) throws IOException {
            return holder(name).open(name);
        }

        @Override
        public VerifiedFiles.@Nullable State state(String name) throws IOException {
            return holder(name).state(name);
        }

        @Override
        public ModelFile graph(
                String name,
                long bytes,
                Memory memory,
                ChangedWeights changes,
                ExternalLookup external)
                throws IOException {
            return holder(name).graph(name, bytes, memory, changes, external);
        }

        @Override
        public long besideGraph(String name, long bytes, ExternalLookup external)
                throws IOException {
            return holder(name).besideGraph(name, bytes, external);
        }

        @Override
        public @Nullable Checkpoint checkpoint() {
            return vae.checkpoint();
        }
    }

    private static ToLongFunction<String> beside(ExternalLookup external) {
        return location -> external.of(location).bytes();
    }

    /** What tells one content of a file from another. */
    static VerifiedFiles.State stateOf(Path path, String inner) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        return new VerifiedFiles.State(
                path + inner,
                attributes.size(),
                attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS));
    }
}
