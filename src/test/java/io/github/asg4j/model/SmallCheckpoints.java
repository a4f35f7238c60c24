// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recognition;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Small checkpoints of the families' published build, filled into their templates
 * (onnx-export/tests/checkpoint_resources.py): single files, and folders of diffusers.
 */
public final class SmallCheckpoints {
    /** All of them, by the names of the bundles that were exported of the same weights. */
    public static final List<String> ALL = List.of("sd15", "sd15-inpaint", "sd21", "sdxl", "sd35");

    private static final Path PLACE = Path.of("src/test/resources/checkpoint");

    private SmallCheckpoints() {}

    /** The file or folder of one. */
    public static Path place(String name) {
        boolean folder = name.equals("sd21") || name.equals("sdxl");
        return PLACE.resolve(folder ? name : name + ".safetensors");
    }

    /** The bundle that was exported of the same weights. */
    public static Path exported(String name) {
        return Path.of("src/test/resources/families").resolve(name);
    }

    /** One as a bundle. */
    public static Bundle open(String name) {
        return SmallFiles.bundle(
                place(name),
                switch (name) {
                    case "sd35" -> SmallFiles.sd35();
                    case "sd15-inpaint" -> SmallFiles.sd15("epsilon", false, 9, 0);
                    case "sd21" -> known(Family.SD2, "v");
                    case "sdxl" -> known(Family.SDXL, "epsilon");
                    default -> SmallFiles.sd15();
                });
    }

    private static Recognition known(Family family, String prediction) {
        Set<Part> parts = EnumSet.of(Part.UNET, Part.VAE);
        parts.addAll(family.textEncoders());
        return new Recognition(family, parts, prediction, false, 4, 0, 0);
    }
}
