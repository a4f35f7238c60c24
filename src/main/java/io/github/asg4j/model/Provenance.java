// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the weights of a bundle were copied from.
 *
 * @param files SHA-256 of each file, by its name: that of a publisher's file, or its path inside a
 *     diffusers folder
 * @param published the published file that the model is, byte for byte; null: none that is known
 * @param loras what was merged into the weights, in this order
 */
public record Provenance(
        Map<String, String> files, @Nullable String published, List<MergedLora> loras) {
    private static final int MAX_FILES = 4096;

    public Provenance {
        files = Collections.unmodifiableMap(new LinkedHashMap<>(files));
        loras = List.copyOf(loras);
    }

    /**
     * A LoRA file whose changes the weights hold.
     *
     * @param sha256 of the file
     * @param weight by which the changes were multiplied
     */
    public record MergedLora(String file, String sha256, double weight) {}

    /** Reads the manifest's {@code source}; null: there is none. */
    static @Nullable Provenance parse(@Nullable Json json) {
        if (json == null) {
            return null;
        }
        json.onlyKeys("files", "published", "loras");
        Map<String, String> files = new LinkedHashMap<>();
        Json named = json.get("files");
        for (String name : named.keys()) {
            files.put(name, Manifest.sha256(named.get(name)));
        }
        Json published = json.optional("published");
        Json merged = json.optional("loras");
        List<MergedLora> loras = new ArrayList<>();
        for (Json lora : merged == null ? List.<Json>of() : merged.items(0, MAX_FILES)) {
            lora.onlyKeys("file", "sha256", "weight");
            loras.add(
                    new MergedLora(
                            lora.get("file").name(),
                            Manifest.sha256(lora.get("sha256")),
                            lora.get("weight").number(-Double.MAX_VALUE, Double.MAX_VALUE)));
        }
        return new Provenance(files, published == null ? null : published.name(), loras);
    }
}
