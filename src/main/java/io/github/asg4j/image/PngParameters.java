// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.schedule.Sampler;
import io.github.asg4j.schedule.Solver;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The settings of a picture as the text that AUTOMATIC1111's web UI introduced and other tools read:
 * prompt, negative prompt, and one line of {@code Name: value} pairs. Holds what determines the
 * picture and nothing that differs from run to run, so that same pixels give the same file.
 */
public final class PngParameters {
    private static final int HASH_CHARACTERS = 10;

    /** Keys of a report that say what a method's stages decided. */
    private static final List<String> SETTINGS =
            List.of(
                    "guide_space",
                    "guide_upsampling",
                    "guide_weight",
                    "guide_schedule",
                    "mask",
                    "mask_norm",
                    "mask_blocks",
                    "mask_tokens",
                    "staleness",
                    "interaction",
                    "stage1_steps",
                    "patches",
                    "window_stride",
                    "jitter",
                    "window_weight",
                    "window_conditioning",
                    "stage2_guidance_scale",
                    "object_share",
                    "background_prompt",
                    "background_guidance_scale",
                    "cosine_scale_1",
                    "cosine_scale_2",
                    "cosine_scale_3",
                    "blur",
                    "dilation",
                    "dilation_course",
                    "dilated_steps",
                    "damped_dilation",
                    "damped_steps",
                    "upscalers");

    private PngParameters() {}

    /**
     * The text for a picture.
     *
     * @param report of the picture, with the values that the engine chose
     */
    public static String text(GenerationRequest request, Map<String, ?> report) {
        StringBuilder text = new StringBuilder(literal(request.prompt()));
        if (!request.negativePrompt().isBlank()) {
            text.append("\nNegative prompt: ").append(literal(request.negativePrompt()));
        }
        String pairs =
                pairs(request, report).entrySet().stream()
                        .map(pair -> pair.getKey() + ": " + quoted(pair.getValue()))
                        .collect(Collectors.joining(", "));
        return text.append('\n').append(pairs).toString();
    }

    /** A prompt was drawn as it is; other tools would take its brackets for weights. */
    private static String literal(String prompt) {
        return prompt.replaceAll("[()\\[\\]\\\\]", "\\\\$0");
    }

    private static Map<String, String> pairs(GenerationRequest request, Map<String, ?> report) {
        Map<String, String> pairs = new LinkedHashMap<>();
        put(pairs, "Steps", report.get("steps"));
        put(pairs, "Sampler", samplerName(report.get("scheduler"), report.get("spacing")));
        put(pairs, "CFG scale", report.get("guidance_scale"));
        put(pairs, "Seed", report.get("seed"));
        put(pairs, "Size", report.get("width") + "x" + report.get("height"));
        if (report.get("bundle_sha256") instanceof String hash) {
            put(pairs, "Model hash", hash.substring(0, Math.min(HASH_CHARACTERS, hash.length())));
        }
        put(pairs, "Model", report.get("model"));
        if (report.get("loras") instanceof List<?> loras) {
            put(pairs, "Loras", loras(loras, "weight"));
            put(pairs, "Lora hashes", loras(loras, "sha256"));
        }
        put(pairs, "Method", report.get("method"));
        for (String setting : SETTINGS) {
            put(pairs, spoken(setting), listed(setting, report.get(setting)));
        }
        put(pairs, "View batch", report.get("view_batch"));
        put(pairs, "VAE", report.get("vae"));
        put(pairs, "Threads per worker", report.get("threads_per_worker"));
        if (!Double.valueOf(0).equals(report.get("eta"))) {
            put(pairs, "Eta", report.get("eta"));
        }
        put(pairs, "Spacing", spacing(request, report));
        put(pairs, "Latents", name(request.latents()));
        put(pairs, "Image", name(request.image()));
        put(pairs, "Version", report.get("version"));
        return pairs;
    }

    /** "style: 0.8, face: 1": names of LoRA files without their ending, and what is said of each. */
    private static String loras(List<?> loras, String key) {
        List<String> said = new ArrayList<>();
        for (Object each : loras) {
            if (each instanceof Map<?, ?> lora
                    && Path.of(String.valueOf(lora.get("file"))).getFileName()
                            instanceof Path name) {
                String value = String.valueOf(lora.get(key));
                said.add(
                        name.toString().replaceFirst("\\.safetensors$", "")
                                + ": "
                                + (key.equals("sha256")
                                        ? value.substring(
                                                0, Math.min(HASH_CHARACTERS, value.length()))
                                        : value));
            }
        }
        return String.join(", ", said);
    }

    /** Where the request says it, apart from the sampler's name or in it. */
    private static @Nullable Object spacing(GenerationRequest request, Map<String, ?> report) {
        String scheduler = request.scheduler();
        boolean named = scheduler != null && Sampler.named(scheduler).spacing() != null;
        return named || request.spacing() != null ? report.get("spacing") : null;
    }

    private static @Nullable Path name(@Nullable Path file) {
        return file == null ? null : file.getFileName();
    }

    /** Pairs of numbers, of the columns and of the rows. */
    private static final Set<String> GRIDS = Set.of("patches", "window_stride", "jitter");

    /**
     * A value without commas, at which simple readers of the pairs split: a grid is "4x2", as the size
     * is, the members of other lists are separated by spaces.
     */
    private static @Nullable Object listed(String setting, @Nullable Object value) {
        if (value instanceof List<?> list) {
            return list.stream()
                    .map(String::valueOf)
                    .collect(Collectors.joining(GRIDS.contains(setting) ? "x" : " "));
        }
        return setting.endsWith("dilation") && value instanceof String factors
                ? factors.replace(',', ' ')
                : value;
    }

    /** {@code guide_weight} is "Guide weight". */
    private static String spoken(String setting) {
        String words = setting.replace('_', ' ');
        return Character.toUpperCase(words.charAt(0)) + words.substring(1);
    }

    private static void put(Map<String, String> pairs, String name, @Nullable Object value) {
        if (value == null) {
            return;
        }
        String text = value.toString();
        if (value instanceof Double number && number == Math.rint(number)) {
            text = Long.toString(number.longValue());
        }
        pairs.put(name, text);
    }

    /**
     * Returns the web UI's name, as in "DPM++ 2M Karras". The solver of a flow has the name of the same
     * solver for other networks.
     */
    private static @Nullable String samplerName(
            @Nullable Object scheduler, @Nullable Object spacing) {
        if (scheduler == null) {
            return null;
        }
        Solver solver = Sampler.named(scheduler.toString()).solver();
        String label = solver == Solver.FLOW_EULER ? Solver.EULER.label() : solver.label();
        return spacing == null ? label : label + Sampler.spacingNamed(spacing.toString()).suffix();
    }

    /** Values that would break the line of pairs are quoted as JSON strings. */
    private static String quoted(String value) {
        if (value.indexOf(',') < 0 && value.indexOf(':') < 0 && value.indexOf('\n') < 0) {
            return value;
        }
        StringBuilder json = new StringBuilder("\"");
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c < ' ') {
                json.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
            } else {
                json.append(c == '"' || c == '\\' ? "\\" : "").append(c);
            }
        }
        return json.append('"').toString();
    }
}
