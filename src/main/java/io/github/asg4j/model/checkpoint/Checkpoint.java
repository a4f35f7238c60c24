// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.Weight;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A model in a single file of its publisher's, open: what it is, and where each weight of its networks
 * lies. Thread-safe; the weights can be read until it is closed.
 */
public final class Checkpoint implements AutoCloseable {
    /** Families that the jar has templates of. */
    private static final Set<Family> DRAWABLE = Set.of(Family.SD1, Family.SD2, Family.SDXL);

    private final SafeTensors file;
    private final Recognition recognition;

    /** Memory of weights whose type ONNX does not have. */
    private final Arena converted = Arena.ofShared();

    private Checkpoint(SafeTensors file, Recognition recognition) {
        this.file = file;
        this.recognition = recognition;
    }

    /**
     * Opens a single file.
     *
     * @throws BadBundleException if it is no whole safetensors file, or holds no model of a known family
     */
    public static Checkpoint open(Path path) {
        SafeTensors file = SafeTensors.open(path);
        try {
            Map<String, List<Long>> shapes = new LinkedHashMap<>();
            file.tensors().forEach((name, tensor) -> shapes.put(name, tensor.shape()));
            Recognition found = Recognition.of(path.toString(), shapes, file.metadata());
            requireDrawable(path, found);
            return new Checkpoint(file, found);
        } catch (RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /** Opens a file as that of a model that is known already. */
    public static Checkpoint open(Path path, Recognition known) {
        return new Checkpoint(SafeTensors.open(path), known);
    }

    /** The file. */
    public Path path() {
        return file.file();
    }

    /** Names of its tensors. */
    public Set<String> tensors() {
        return file.tensors().keySet();
    }

    /** What the file holds. */
    public Recognition recognition() {
        return recognition;
    }

    /** Name of the file without its ending: what the model is called. */
    public String name() {
        return path().getFileName().toString().replaceFirst("\\.safetensors$", "");
    }

    /** What the denoiser predicts: "epsilon", "v" or "flow". */
    public String prediction() {
        return Objects.requireNonNull(recognition.prediction());
    }

    /** Latent cells of its native height and width where they are not the template's; else 0. */
    public int nativeCells() {
        // SD 2.1-base was trained at 512 pixels, SD 2.1, which predicts v, at 768.
        return recognition.family() == Family.SD2 && prediction().equals("epsilon") ? 64 : 0;
    }

    /** Folder of the template that this file fills. */
    public String templateName() {
        return recognition.family().id();
    }

    /** Refuses, before any work, what no template can be filled with. */
    private static void requireDrawable(Path path, Recognition found) {
        String title = found.family().title();
        if (found.prediction() == null) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " and does not say what its network predicts: noise, as"
                            + " v2-1_512-ema-pruned does, or v, as v2-1_768-ema-pruned. Its header"
                            + " has no modelspec.prediction_type; add it, or export the model as a"
                            + " bundle");
        }
        if (found.inputChannels() != 4 && found.inputChannels() != 16) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " with "
                            + found.inputChannels()
                            + " input channels, for inpainting, editing or depth maps, which is not"
                            + " supported: use the plain model");
        }
        if (found.guidanceEmbedding()) {
            throw new BadBundleException(
                    path
                            + " is an LCM model, which takes the guidance scale as an input: not"
                            + " supported; use the plain model");
        }
        if (found.zeroTerminalSnr()) {
            throw new BadBundleException(
                    path
                            + " was trained with a noise schedule of zero terminal SNR (its tensor"
                            + " ztsnr says so), which is not supported");
        }
        if (!DRAWABLE.contains(found.family())) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + ", for which this release has no template; it has those of "
                            + DRAWABLE.stream().map(Family::title).sorted().toList());
        }
        Set<Part> needed = EnumSet.copyOf(found.family().textEncoders());
        needed.add(Part.VAE);
        needed.removeAll(found.parts());
        if (!needed.isEmpty()) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " without its "
                            + needed.stream().map(Part::folder).sorted().toList()
                            + ": use a file that holds the whole model");
        }
    }

    /** A weight where it lies: rows of a tensor, and what is to be done to them. */
    public record Located(Tensor tensor, long firstElement, long elements, Source.Change change) {
        /** Outputs of the layer: the extent of the weight's first axis, as diffusers has it. */
        public long rows() {
            List<Long> shape = tensor.shape();
            if (shape.isEmpty()) {
                return 1;
            }
            return change == Source.Change.TRANSPOSE
                    ? elements / shape.getFirst()
                    : shape.getFirst() * elements / tensor.count();
        }

        /**
         * Fills {@code into} with elements in the order that diffusers has them in.
         *
         * @param first of the weight
         */
        public void read(long first, float[] into) {
            if (change == Source.Change.NONE) {
                Elements.read(tensor, firstElement + first, into);
                return;
            }
            long rows = rows();
            long columns = elements / rows;
            for (int i = 0; i < into.length; i++) {
                long at = first + i;
                long from =
                        change == Source.Change.TRANSPOSE
                                ? at % columns * rows + at / columns
                                : (at + elements / 2) % elements;
                into[i] = Elements.at(tensor, firstElement + from);
            }
        }
    }

    /**
     * The place of a weight.
     *
     * @param weight its name in diffusers
     * @throws BadBundleException if the file does not have it
     */
    public Located find(Part part, String weight) {
        List<Source> places = places(part, weight);
        for (Source place : places) {
            if (place.change() == Source.Change.IDENTITY) {
                continue;
            }
            Tensor tensor = file.tensors().get(place.tensor());
            if (tensor == null) {
                continue;
            }
            if (!tensor.type().isFloat()) {
                throw new BadBundleException(
                        path()
                                + ": \""
                                + tensor.name()
                                + "\" is of type "
                                + tensor.type()
                                + ", not of floating-point numbers");
            }
            if (tensor.count() % place.parts() != 0) {
                throw new BadBundleException(
                        path()
                                + ": \""
                                + tensor.name()
                                + "\" of shape "
                                + tensor.shape()
                                + " cannot be cut into "
                                + place.parts()
                                + " equal parts");
            }
            long elements = tensor.count() / place.parts();
            return new Located(tensor, place.part() * elements, elements, place.change());
        }
        throw new BadBundleException(
                path()
                        + " has no weights of "
                        + part.folder()
                        + "."
                        + weight
                        + "; looked for "
                        + places.stream().map(Source::tensor).collect(Collectors.joining(", ")));
    }

    /** Whether a weight is the identity matrix because the file has none. */
    boolean isIdentity(Part part, String weight) {
        List<Source> places = places(part, weight);
        return places.getLast().change() == Source.Change.IDENTITY
                && places.stream().noneMatch(p -> file.tensors().containsKey(p.tensor()));
    }

    /** The places where a file of this layout may have a weight. */
    private List<Source> places(Part part, String weight) {
        return WeightNames.of(
                recognition.family().singleFile(), part, weight, recognition.jointBlocks());
    }

    /** Elements in another type, in memory that lives as long as the checkpoint is open. */
    MemorySegment converted(MemorySegment from, ElementType type, Weight.Type to) {
        long count = from.byteSize() / type.bytes();
        MemorySegment out = converted.allocate(Math.multiplyExact(count, (long) to.bytes()), 64);
        for (long i = 0; i < count; i++) {
            float value = Elements.at(from, type, i);
            if (to == Weight.Type.FLOAT32) {
                out.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            } else {
                out.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
            }
        }
        return out;
    }

    @Override
    public void close() {
        file.close();
        converted.close();
    }
}
