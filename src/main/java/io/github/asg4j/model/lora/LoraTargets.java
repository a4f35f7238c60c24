// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.Source;
import io.github.asg4j.model.checkpoint.WeightNames;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiPredicate;
import java.util.stream.Stream;

/**
 * The layers of a model by every name that LoRA files have for them: that of diffusers, and that of the
 * single file, which names blocks by position and keeps some weights as one.
 */
public final class LoraTargets {
    /** Blocks of the deepest text encoder. */
    private static final int MAX_TEXT_BLOCKS = 32;

    private static final List<String> TEXT_LAYERS =
            List.of(
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.out_proj",
                    "mlp.fc1",
                    "mlp.fc2");

    /** What old diffusers calls layers of text encoders. */
    private static final Map<String, String> OLD_TEXT_LAYERS =
            Map.of(
                    "_self_attn_to_q", "_self_attn_q_proj",
                    "_self_attn_to_k", "_self_attn_k_proj",
                    "_self_attn_to_v", "_self_attn_v_proj",
                    "_self_attn_to_out", "_self_attn_out_proj");

    private final Family family;
    private final Map<Part, Map<String, List<Target>>> byName = new TreeMap<>();

    /**
     * A weight that a change is of.
     *
     * @param weight its name in diffusers, without ".weight" and ".bias"
     * @param share which of {@code shares} equal shares of the change's rows is its
     * @param swapped whether the second half of the change's rows is of the weight's first half: shift
     *     and scale are the other way round in files that name layers as the publisher's code does
     */
    record Target(Part part, String weight, int share, int shares, boolean swapped) {}

    private LoraTargets(Family family) {
        this.family = family;
    }

    /**
     * The layers of a checkpoint's networks.
     *
     * @param weights names in diffusers of the weights that the networks read, by part
     * @param stored whether the checkpoint has a weight of this name in diffusers
     */
    public static LoraTargets of(
            Recognition model, Map<Part, Set<String>> weights, BiPredicate<Part, String> stored) {
        LoraTargets targets = new LoraTargets(model.family());
        weights.forEach(
                (part, names) -> {
                    Stream<String> unread =
                            part.isText() ? unreadTextLayers(part, stored) : Stream.of();
                    Stream.concat(names.stream(), unread)
                            .filter(name -> name.endsWith(".weight"))
                            .forEach(name -> targets.add(model, part, name));
                });
        return targets;
    }

    /** Layers of a text encoder behind those that are read, which files change all the same. */
    private static Stream<String> unreadTextLayers(Part part, BiPredicate<Part, String> stored) {
        Stream.Builder<String> found = Stream.builder();
        for (int block = 0; block < MAX_TEXT_BLOCKS; block++) {
            for (String layer : TEXT_LAYERS) {
                String name = "encoder.layers." + block + "." + layer + ".weight";
                if (stored.test(part, name)) {
                    found.add(name);
                }
            }
        }
        return found.build();
    }

    private void add(Recognition model, Part part, String name) {
        String weight = name.substring(0, name.length() - ".weight".length());
        Map<String, List<Target>> names = byName.computeIfAbsent(part, p -> new HashMap<>());
        // What networks read comes first, by the names that they have for it.
        names.putIfAbsent(plain(weight), List.of(new Target(part, weight, 0, 1, false)));
        for (Source source : WeightNames.of(family.singleFile(), part, name, model.jointBlocks())) {
            boolean swapped = source.change() == Source.Change.SWAP_HALVES;
            if ((source.change() != Source.Change.NONE && !swapped)
                    || !source.tensor().endsWith(".weight")) {
                continue;
            }
            String stored =
                    source.tensor()
                            .replaceFirst("^model\\.diffusion_model\\.", "")
                            .replaceFirst("\\.weight$", "");
            var target = new Target(part, weight, source.part(), source.parts(), swapped);
            names.merge(
                    plain(stored),
                    List.of(target),
                    (before, added) ->
                            source.parts() == 1 || before.contains(target)
                                    ? before
                                    : Stream.concat(before.stream(), added.stream()).toList());
        }
    }

    private static String plain(String name) {
        return name.replaceFirst("^text_model\\.", "").replace('.', '_');
    }

    /** Architecture of the model. */
    Family family() {
        return family;
    }

    /**
     * The weights that a layer of a LoRA file is of; empty: the model has no such layer.
     *
     * @param module its name with _ for every dot
     */
    List<Target> find(LoraName.Network network, String module) {
        Map<String, List<Target>> names =
                byName.getOrDefault(network.part(family.denoiser()), Map.of());
        List<Target> found = names.get(module);
        if (found == null) {
            // Older files have the attention's output projection as to_out, now the first of two.
            found = names.get(module + "_0");
        }
        for (Map.Entry<String, String> old : OLD_TEXT_LAYERS.entrySet()) {
            if (found == null && module.endsWith(old.getKey())) {
                String stem = module.substring(0, module.length() - old.getKey().length());
                found = names.get(stem + old.getValue());
            }
        }
        return found == null ? List.of() : found;
    }
}
