// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.Tensor;
import io.github.asg4j.model.lora.LoraName.Network;
import io.github.asg4j.model.lora.LoraName.Role;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A LoRA file, open: the layers that it changes. Reading is told by names, shapes and metadata alone;
 * the elements are read when they are used, until {@link #close()}.
 */
public final class LoraFile implements AutoCloseable {
    private final SafeTensors file;
    private final List<Layer> layers;

    private LoraFile(SafeTensors file) {
        this.file = file;
        this.layers = layers(file);
    }

    /**
     * What the file changes of a layer.
     *
     * @param module the layer's name with _ for every dot, without that of its network
     * @param scale what the change is multiplied by: alpha and rank
     */
    record Layer(Network network, String module, LoraChange change, float scale) {}

    /**
     * Opens a file.
     *
     * @throws BadRequestException if it is no whole safetensors file, or holds something other than
     *     LoRA, LoCon, LoHa, LoKr and DoRA, naming the tensor
     */
    public static LoraFile open(Path path) {
        SafeTensors file;
        try {
            file = SafeTensors.open(path);
        } catch (BadBundleException e) {
            throw new BadRequestException("LoRA " + e.getMessage(), e);
        }
        try {
            return new LoraFile(file);
        } catch (RuntimeException e) {
            file.close();
            throw e;
        }
    }

    private static List<Layer> layers(SafeTensors file) {
        record Place(Network network, String module, boolean bias) {}
        Map<Place, Map<Role, Tensor>> found = new LinkedHashMap<>();
        Map<Place, String> shown = new LinkedHashMap<>();
        boolean bare = false;
        for (Tensor tensor : file.tensors().values()) {
            LoraName name = LoraName.parse(tensor.name());
            if (name == null) {
                throw new BadRequestException(
                        "LoRA "
                                + file.file()
                                + " holds \""
                                + tensor.name()
                                + "\": "
                                + LoraName.otherForm(tensor.name()));
            }
            bare |= tensor.name().startsWith("base_model.");
            Place place = new Place(name.network(), name.module(), name.role() == Role.FULL_BIAS);
            shown.putIfAbsent(place, tensor.name());
            Tensor before =
                    found.computeIfAbsent(place, p -> new EnumMap<>(Role.class))
                            .putIfAbsent(name.role(), tensor);
            if (before != null) {
                throw new BadRequestException(
                        "LoRA "
                                + file.file()
                                + ": \""
                                + before.name()
                                + "\" and \""
                                + tensor.name()
                                + "\" are the same change of one layer");
            }
        }
        if (found.isEmpty()) {
            throw new BadRequestException("LoRA " + file.file() + " holds no tensors");
        }
        PeftSettings settings = PeftSettings.of(file.file(), file.metadata(), bare);
        List<Layer> layers = new ArrayList<>();
        found.forEach(
                (place, tensors) -> {
                    var change =
                            new LoraChange(file.file(), shown.getOrDefault(place, ""), tensors);
                    if (settings.dora(place.network()) && !change.isDora()) {
                        throw new BadRequestException(
                                "LoRA "
                                        + file.file()
                                        + " says that it is DoRA (use_dora), but has no"
                                        + " lora_magnitude_vector for \""
                                        + change.layer()
                                        + "\": the file is incomplete");
                    }
                    float scale =
                            change.rank() == 0
                                    ? 1
                                    : settings.scale(
                                            place.network(),
                                            place.module(),
                                            change.rank(),
                                            change.alpha());
                    layers.add(new Layer(place.network(), place.module(), change, scale));
                });
        return List.copyOf(layers);
    }

    /** The file that was opened. */
    public Path path() {
        return file.file();
    }

    /** What it changes. */
    List<Layer> layers() {
        return layers;
    }

    @Override
    public void close() {
        file.close();
    }
}
