// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OptionNames;
import io.github.asg4j.WindowOptions;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The settings of a picture as the text that AUTOMATIC1111's web UI introduced and other tools read:
 * prompt, negative prompt, and one line of {@code Name: value} pairs. Holds what determines the
 * picture and nothing that differs from run to run, so that same pixels give the same file.
 */
public final class PngParameters {
    private static final int HASH_CHARACTERS = 10;

    private PngParameters() {}

    /**
     * The text for a picture.
     *
     * @param report of the picture, with the values that the engine chose
     */
    public static String text(GenerationRequest request, Map<String, ?> report) {
        StringBuilder text = new StringBuilder(request.prompt());
        if (!request.negativePrompt().isBlank()) {
            text.append("\nNegative prompt: ").append(request.negativePrompt());
        }
        String pairs =
                pairs(request, report).entrySet().stream()
                        .map(pair -> pair.getKey() + ": " + quoted(pair.getValue()))
                        .collect(Collectors.joining(", "));
        return text.append('\n').append(pairs).toString();
    }

    private static Map<String, String> pairs(GenerationRequest request, Map<String, ?> report) {
        Map<String, String> pairs = new LinkedHashMap<>();
        put(pairs, "Steps", report.get("steps"));
        put(pairs, "Sampler", samplerName(report.get("scheduler")));
        put(pairs, "CFG scale", report.get("guidance_scale"));
        put(pairs, "Seed", report.get("seed"));
        put(pairs, "Size", report.get("width") + "x" + report.get("height"));
        if (report.get("bundle_sha256") instanceof String hash) {
            put(pairs, "Model hash", hash.substring(0, Math.min(HASH_CHARACTERS, hash.length())));
        }
        put(pairs, "Model", report.get("model"));
        put(pairs, "Method", report.get("method"));
        put(pairs, "Guide space", report.get("guide_space"));
        put(pairs, "Guide weight", report.get("guide_weight"));
        put(pairs, "Mask", report.get("mask"));
        put(pairs, "Staleness", report.get("staleness"));
        put(pairs, "Interaction", report.get("interaction"));
        put(pairs, "View batch", report.get("view_batch"));
        put(pairs, "Threads per worker", report.get("threads_per_worker"));
        putChanged(pairs, request);
        put(pairs, "Version", report.get("version"));
        return pairs;
    }

    /** What a report does not say, where it is not the default. */
    private static void putChanged(Map<String, String> pairs, GenerationRequest request) {
        putChanged(pairs, "Spacing", request.spacing(), null);
        putChanged(pairs, "Eta", request.eta(), 0.0);
        GuideOptions guide = request.guide();
        GuideOptions usual = GuideOptions.DEFAULT;
        putChanged(pairs, "Guide schedule", guide.schedule(), usual.schedule());
        putChanged(pairs, "Mask norm", guide.maskNorm(), usual.maskNorm());
        putChanged(pairs, "Mask blocks", guide.maskBlocks(), usual.maskBlocks());
        putChanged(pairs, "Mask tokens", guide.maskTokens(), usual.maskTokens());
        putChanged(pairs, "Stage-1 share", guide.stage1Share(), usual.stage1Share());
        putChanged(pairs, "Patch aspect", guide.patchAspect(), usual.patchAspect());
        WindowOptions windows = request.windows();
        if (windows.stride().isPresent()) {
            put(pairs, "Window stride", windows.stride().getAsInt());
        }
        if (windows.jitter().isPresent()) {
            put(pairs, "Jitter", windows.jitter().getAsInt());
        }
        putChanged(pairs, "Window weight", windows.weight(), WindowOptions.DEFAULT.weight());
        putChanged(
                pairs,
                "Window conditioning",
                windows.conditioning(),
                WindowOptions.DEFAULT.conditioning());
        if (windows.guidanceScale().isPresent()) {
            put(pairs, "Stage-2 CFG scale", windows.guidanceScale().getAsDouble());
        }
        if (request.latents() != null) {
            put(pairs, "Latents", request.latents().getFileName());
        }
    }

    private static void putChanged(
            Map<String, String> pairs,
            String name,
            @Nullable Object value,
            @Nullable Object usual) {
        if (value != null && !value.equals(usual)) {
            put(pairs, name, value);
        }
    }

    private static void put(Map<String, String> pairs, String name, @Nullable Object value) {
        if (value == null) {
            return;
        }
        String text = value.toString();
        if (value instanceof Double number && number == Math.rint(number)) {
            text = Long.toString(number.longValue());
        } else if (value instanceof Enum<?> choice) {
            text = OptionNames.of(choice);
        }
        pairs.put(name, text);
    }

    private static @Nullable String samplerName(@Nullable Object scheduler) {
        if (scheduler == null) {
            return null;
        }
        String name = scheduler.toString();
        return switch (name) {
            case "euler" -> "Euler";
            case "ddim" -> "DDIM";
            default -> name;
        };
    }

    /** Values that would break the line of pairs are quoted as JSON strings. */
    private static String quoted(String value) {
        if (value.indexOf(',') < 0 && value.indexOf(':') < 0 && value.indexOf('\n') < 0) {
            return value;
        }
        return '"' + value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
