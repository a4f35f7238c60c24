// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.RequestJson;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.batch.Given;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.schedule.Sampler;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * What a picture's file says of how to draw it again.
 *
 * @param file of the picture
 * @param settings under the names that the file has
 * @param values of options, by the options' names
 * @param files options whose files the picture only names, with those names
 * @param unfollowed settings that cannot be followed, each with the reason
 */
record Likeness(
        Path file,
        Map<String, String> settings,
        Map<String, Given> values,
        Map<String, String> files,
        List<String> unfollowed) {
    private static final String TI_HASHES = "TI hashes";
    private static final String REQUEST = "Request";

    /** Options by the names of settings that other tools write. */
    private static final Map<String, String> OPTIONS =
            Map.of(
                    "Steps", "steps",
                    "CFG scale", "guidance-scale",
                    "Seed", "seed",
                    "Size", "size",
                    "Clip skip", "clip-skip",
                    "Eta", "eta",
                    "Variation seed", "variation-seed",
                    "Variation seed strength", "variation-strength",
                    "Method", "method");

    /** What is read together with others, or changes no picture. */
    private static final Set<String> READ_WITH_OTHERS =
            Set.of(
                    "Prompt",
                    "Negative prompt",
                    FoundSettings.FULL_PROMPT,
                    FoundSettings.FULL_NEGATIVE,
                    "Sampler",
                    "Schedule type",
                    "Version",
                    "Model hash",
                    TI_HASHES,
                    // what Fooocus made of these is in its full prompts
                    "styles",
                    "prompt_expansion");

    /** Settings that decide the pixels beside the request. */
    private static final List<String> SURROUNDINGS =
            List.of(
                    "Model hash",
                    "VAE hash",
                    "Lora hashes",
                    TI_HASHES,
                    "VAE",
                    "Threads per worker",
                    "Precision",
                    "Provider",
                    "Weights",
                    "Version");

    /**
     * Reads a file.
     *
     * @throws BadRequestException if it cannot be read, or says nothing that is known
     */
    static Likeness of(Path file) {
        FoundSettings found = FoundSettings.of(file);
        Likeness likeness =
                new Likeness(
                        file,
                        found.settings(),
                        new LinkedHashMap<>(),
                        new LinkedHashMap<>(),
                        new ArrayList<>());
        String request = found.settings().get(REQUEST);
        if (request == null) {
            likeness.foreign(found.tool());
        } else {
            likeness.own(RequestJson.values(request));
        }
        return likeness;
    }

    private boolean isOwn() {
        return settings.containsKey(REQUEST);
    }

    /** Our own: every option as it was given. */
    private void own(Map<String, Object> json) {
        for (RequestOption<?> option : RequestOptions.ALL) {
            Object value = json.remove(option.key());
            if (value != null && names(value).isEmpty()) {
                values.put(option.name(), Given.json(option, value));
            } else if (value != null) {
                files.put(option.name(), String.join(", ", names(value)));
            }
        }
        json.forEach((key, value) -> unfollowed.add(key + ": " + value + " (no option here)"));
    }

    /** Names of files, and hashes of bytes, in a value. */
    private static List<String> names(Object json) {
        return switch (json) {
            case List<?> list -> list.stream().flatMap(each -> names(each).stream()).toList();
            case Map<?, ?> map when map.containsKey("file") ->
                    List.of(
                            map.get("file")
                                    + (map.containsKey("weight") ? ":" + map.get("weight") : ""));
            case Map<?, ?> map when map.containsKey("sha256") ->
                    List.of("bytes with SHA-256 " + map.get("sha256"));
            case Map<?, ?> map -> names(List.copyOf(map.values()));
            default -> List.of();
        };
    }

    private void foreign(String tool) {
        prompts(tool);
        sampler();
        settings.forEach(
                (name, value) -> {
                    if (OPTIONS.containsKey(name)) {
                        follow(name, OPTIONS.get(name), value);
                    } else if (name.equals("Denoising strength")) {
                        strength(value);
                    } else if (!READ_WITH_OTHERS.contains(name)) {
                        unfollowed.add(name + ": " + value + reason(name));
                    }
                });
        if (!settings.containsKey("Size")) {
            unfollowed.add("Size: not said (2x native, or what --size says)");
        }
        unfollowed.add(
                "the noise of "
                        + tool
                        + ": the same seed draws other noise here, so another picture of the same"
                        + " settings");
    }

    private static String reason(String name) {
        return switch (name) {
            case "Model" -> " (drawn with what --model says)";
            case "VAE" -> " (drawn with what --vae says)";
            case "Lora hashes" -> " (files are found by the names in the prompt, and not compared)";
            case FoundSettings.NODES -> " (not followed)";
            default -> " (no option of this name)";
        };
    }

    private void prompts(String tool) {
        String prompt =
                settings.getOrDefault(
                        FoundSettings.FULL_PROMPT, settings.getOrDefault("Prompt", ""));
        String negative =
                settings.getOrDefault(
                        FoundSettings.FULL_NEGATIVE, settings.getOrDefault("Negative prompt", ""));
        boolean weighted = Set.of("AUTOMATIC1111", "asg4j", "ComfyUI", "Fooocus").contains(tool);
        boolean comfy = tool.equals("ComfyUI") || tool.equals("Fooocus");
        if (weighted) {
            put("prompt-syntax", "a1111");
        }
        if (!prompt.isBlank()) {
            put("prompt", comfy ? literalBrackets(prompt) : prompt);
        }
        if (!negative.isBlank()) {
            put("negative-prompt", comfy ? literalBrackets(negative) : negative);
        }
        String all = prompt + "\n" + negative;
        if (comfy && all.contains("(")) {
            unfollowed.add(
                    "weights of words as "
                            + tool
                            + " computes them (they are those of AUTOMATIC1111's web UI here)");
        }
        if (!weighted && all.matches("(?s).*(?:[\\w)][+]|\\w-[\\s,]|[{}]).*")) {
            unfollowed.add(
                    "weights of words as " + tool + " writes them (they are read as plain text)");
        }
    }

    /** Square brackets mean nothing in ComfyUI's prompts. */
    private static String literalBrackets(String prompt) {
        return prompt.replaceAll("(?<!\\\\)[\\[\\]]", "\\\\$0");
    }

    private void sampler() {
        String said = settings.get("Sampler");
        if (said == null) {
            return;
        }
        String name = said.replaceFirst("^(?:sample|k)_", "").replaceFirst("_gpu$", "");
        name = name.replaceFirst("^uni_pc_bh2$", "uni_pc");
        if (!is(name, Sampler::named)) {
            unfollowed.add("Sampler: " + said + " (there is none; the bundle's is taken)");
        } else {
            put("scheduler", Sampler.named(name).toString());
        }
        String spacing = settings.get("Schedule type");
        if (spacing == null || spacing.equals("Automatic")) {
            return;
        }
        if (!is(spacing, Sampler::spacingNamed)) {
            unfollowed.add(
                    "Schedule type: "
                            + spacing
                            + " (there is none; the bundle's spacing is taken)");
        } else if (values.containsKey("scheduler")
                && !Sampler.named(name)
                        .solver()
                        .spacings()
                        .contains(Sampler.spacingNamed(spacing))) {
            unfollowed.add("Schedule type: " + spacing + " (" + said + " does not follow it here)");
        } else {
            put("spacing", Sampler.spacingNamed(spacing).id());
        }
    }

    private static boolean is(String name, Consumer<String> known) {
        try {
            known.accept(name);
            return true;
        } catch (BadRequestException e) {
            return false;
        }
    }

    /** Of a start picture, which a file does not hold; 1 draws from noise. */
    private void strength(String value) {
        if (settings.containsKey("Hires upscale")) {
            unfollowed.add(
                    "Denoising strength: "
                            + value
                            + " (of a second pass: see --method relay --preset hires-fix)");
        } else if (!value.matches("1(?:\\.0*)?")) {
            files.put("image", "its start picture");
            follow("Denoising strength", "strength", value);
        }
    }

    /** Follows a setting where its value is one of ours. */
    private void follow(String name, String option, String value) {
        try {
            Given given = given(option, value);
            given.applyTo(GenerationRequest.builder("any"));
            values.put(option, given);
        } catch (BadRequestException e) {
            unfollowed.add(name + ": " + value + " (" + e.getMessage() + ")");
        }
    }

    private void put(String option, String value) {
        values.put(option, given(option, value));
    }

    private static Given given(String option, String value) {
        RequestOption<?> of =
                RequestOptions.ALL.stream()
                        .filter(each -> each.name().equals(option))
                        .findFirst()
                        .orElseThrow();
        return Given.text(of, value);
    }

    /**
     * Gives a request what the picture says, but for the options that the command line gives.
     *
     * @param given whether the command line gives the option of that name
     * @throws BadRequestException if the picture was drawn from files that are not given again
     */
    void applyTo(GenerationRequest.Builder request, Predicate<String> given) {
        String method = request.build().method();
        for (RequestOption<?> option : RequestOptions.ALL) { // the method before its options
            Given value = values.get(option.name());
            if (value == null || given.test(option.name()) || option.name().equals("method")) {
                continue;
            }
            if (method == null || option.methods().contains(method)) {
                value.applyTo(request);
            } else {
                unfollowed.add(value + " (no option of the method " + method + ")");
            }
        }
        List<String> missing =
                files.entrySet().stream()
                        .filter(each -> !given.test(each.getKey()))
                        .map(each -> "--" + each.getKey() + " (" + each.getValue() + ")")
                        .toList();
        if (!missing.isEmpty()) {
            throw new BadRequestException(
                    "'"
                            + file
                            + "' was drawn from files that it does not hold: give them again with "
                            + String.join(", ", missing));
        }
    }

    /** The method that the picture was drawn with; null: it does not say. */
    @Nullable String method() {
        Given method = values.get("method");
        return method == null ? null : method.value().toString();
    }

    /** Options of the engine that decide pixels, where the command line leaves them open. */
    EngineOptions engine(EngineOptions options, Predicate<String> given) {
        EngineOptions like = options;
        String threads = settings.get("Threads per worker");
        if (isOwn()
                && threads != null
                && !given.test("--threads-per-worker")
                && !given.test("--devices")) {
            like = like.withThreadsPerWorker(Integer.parseInt(threads));
        }
        if (isOwn() && !given.test("--precision")) {
            like = like.withPrecision(settings.getOrDefault("Precision", "fp32"));
        }
        if (isOwn() && settings.containsKey("Weights") && !given.test("--weights")) {
            like = like.withWeights(settings.get("Weights"));
        }
        return like;
    }

    /** What cannot be followed, for people. */
    List<String> warnings() {
        return unfollowed.stream().map(each -> "not as in '" + file + "': " + each).toList();
    }

    /** What decides pixels and is not as it was, for people. */
    List<String> differences(PictureReport report) {
        Map<String, String> now = PngParameters.settings(PngParameters.text(report));
        return isOwn() ? surroundings(now) : embeddings(now);
    }

    private List<String> surroundings(Map<String, String> now) {
        return SURROUNDINGS.stream()
                .filter(name -> !settings.getOrDefault(name, "").equals(now.getOrDefault(name, "")))
                .map(
                        name ->
                                "other pixels than those of '"
                                        + file
                                        + "' are to be expected: "
                                        + name
                                        + " is "
                                        + now.getOrDefault(name, "none")
                                        + ", it was "
                                        + settings.getOrDefault(name, "none"))
                .toList();
    }

    /** Textual inversions that are others here, or words only; they have the same hashes in the web UI. */
    private List<String> embeddings(Map<String, String> now) {
        Map<String, String> here = hashes(now.getOrDefault(TI_HASHES, ""));
        List<String> said = new ArrayList<>();
        hashes(settings.getOrDefault(TI_HASHES, ""))
                .forEach(
                        (name, hash) -> {
                            String found = here.get(name);
                            if (found == null) {
                                said.add(
                                        "not as in '"
                                                + file
                                                + "': "
                                                + name
                                                + " is a word here, and was a textual inversion"
                                                + " there (SHA-256 "
                                                + hash
                                                + "): put its file into --embedding-folder");
                            } else if (!found.startsWith(hash) && !hash.startsWith(found)) {
                                said.add(
                                        "not as in '"
                                                + file
                                                + "': the SHA-256 of the textual inversion "
                                                + name
                                                + " is "
                                                + found
                                                + ", it was "
                                                + hash);
                            }
                        });
        return said;
    }

    /** Hashes by names, as in "ti-a: 0123456789ab, ti-b: 456789abcdef". */
    private static Map<String, String> hashes(String text) {
        Map<String, String> hashes = new LinkedHashMap<>();
        for (String pair : text.split(",")) {
            int colon = pair.lastIndexOf(':');
            if (colon > 0) {
                hashes.put(pair.substring(0, colon).strip(), pair.substring(colon + 1).strip());
            }
        }
        return hashes;
    }
}
