// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ModelParts;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Single files of the published build with small widths (onnx-export/tests/checkpoint_resources.py), which
 * are too narrow to be recognised, opened as what they are.
 */
public final class SmallFiles {
    private static final Path RESOURCES = Path.of("src/test/resources/checkpoint");
    private static final int SD35_BLOCKS = 6;

    public static final Path SD15 = RESOURCES.resolve("sd15.safetensors");
    public static final Path SD35 = RESOURCES.resolve("sd35.safetensors");
    public static final Path REFINER = RESOURCES.resolve("sdxl-refiner.safetensors");

    private SmallFiles() {}

    /** A plain model that predicts noise. */
    public static Recognition sd15() {
        return sd15("epsilon", false, 4, 0);
    }

    public static Recognition sd15(
            String prediction, boolean zeroSnr, int channels, int guidanceWidth) {
        Set<Part> parts = EnumSet.of(Part.UNET, Part.TEXT_ENCODER, Part.VAE);
        return new Recognition(Family.SD1, parts, prediction, zeroSnr, channels, guidanceWidth, 0);
    }

    /** SD3.5's build with all of its networks. */
    public static Recognition sd35() {
        Set<Part> parts = EnumSet.of(Part.TRANSFORMER, Part.VAE);
        parts.addAll(Family.SD35_MEDIUM.textEncoders());
        return sd35(parts);
    }

    public static Recognition sd35(Set<Part> parts) {
        return new Recognition(Family.SD35_MEDIUM, parts, "flow", false, 16, 0, SD35_BLOCKS);
    }

    public static Recognition refiner() {
        Set<Part> parts = EnumSet.of(Part.UNET, Part.TEXT_ENCODER_2, Part.VAE);
        return new Recognition(Family.SDXL_REFINER, parts, "epsilon", false, 4, 0, 0);
    }

    /** Opens a file as what it is. */
    public static Checkpoint checkpoint(Path file, Recognition known, ModelParts parts) {
        return Checkpoint.openAs(file, known, parts);
    }

    /** A file filled into the small template of its family. */
    public static Bundle bundle(Path file, Recognition known) {
        return bundle(file, known, ModelParts.NONE);
    }

    static Bundle bundle(Path file, Recognition known, ModelParts parts) {
        String template =
                switch (known.family()) {
                    case SD1 -> "sd15";
                    case SD2 -> "sd21";
                    case SDXL -> "sdxl";
                    case SDXL_REFINER -> "sdxl-refiner";
                    default -> "sd35";
                };
        return Bundle.filled(
                checkpoint(file, known, parts),
                List.of("checkpoint/templates/" + template + "/"),
                parts.vae(),
                new VerifiedFiles(null),
                false);
    }

    /** Adds all tensors of a file to another. */
    public static SafeTensorsFile copy(Path from, SafeTensorsFile to) {
        return copy(from, to, name -> true);
    }

    /** Adds those tensors of a file to another whose names are wanted. */
    public static SafeTensorsFile copy(Path from, SafeTensorsFile to, Predicate<String> wanted) {
        try (SafeTensors stored = SafeTensors.open(from)) {
            stored.tensors()
                    .forEach(
                            (name, tensor) -> {
                                if (wanted.test(name)) {
                                    to.tensor(
                                            name,
                                            tensor.type().name(),
                                            tensor.shape(),
                                            tensor.data().toArray(ValueLayout.JAVA_BYTE));
                                }
                            });
        }
        return to;
    }
}
