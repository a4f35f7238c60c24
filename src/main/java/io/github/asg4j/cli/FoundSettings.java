// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.image.PictureTexts;
import io.github.asg4j.image.PngParameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a picture says of how it was drawn, under the names that AUTOMATIC1111's web UI has for it; what
 * it has no name for under the tool's own.
 *
 * @param tool that wrote it; empty: none that is known
 * @param settings by their names, in the order of the file
 */
record FoundSettings(String tool, Map<String, String> settings) {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static final String PROMPT = "Prompt";
    private static final String NEGATIVE = "Negative prompt";
    private static final String SIZE = "Size";

    /** What Fooocus made of the prompts: styles and words of its own are in them. */
    static final String FULL_PROMPT = "Full prompt";

    static final String FULL_NEGATIVE = "Full negative prompt";

    /** Nodes of a graph beside its first sampler and what that is connected to. */
    static final String NODES = "Nodes";

    /** Options of InvokeAI's first command line. */
    private static final Map<String, String> DREAM =
            Map.of("s", "Steps", "S", "Seed", "C", "CFG scale", "A", "Sampler");

    private static final Pattern DREAM_OPTION =
            Pattern.compile(" -([A-Za-z]+) (\\S+(?: [^\\s-]\\S*)*)");

    private static final int MAX_LINKS = 32;

    /** Kinds of nodes of a graph that only do what is said of its sampler, or do not change the picture. */
    private static final Set<String> FOLLOWED =
            Set.of(
                    "CheckpointLoader",
                    "CheckpointLoaderSimple",
                    "CLIPTextEncode",
                    "EmptyLatentImage",
                    "VAEDecode",
                    "SaveImage",
                    "PreviewImage");

    /**
     * Reads the texts of a picture's file.
     *
     * @throws BadRequestException if it cannot be read, or says nothing that is known
     */
    static FoundSettings of(Path file) {
        try {
            Map<String, String> texts = PictureTexts.of(Files.readAllBytes(file));
            FoundSettings found = of(texts);
            if (found.settings.isEmpty()) {
                throw new BadRequestException(
                        "'"
                                + file
                                + "' says nothing of its settings that is known here: it has "
                                + (texts.isEmpty()
                                        ? "no text"
                                        : "the texts " + List.copyOf(texts.keySet()))
                                + "; settings are read from PNG, JPEG and WebP files");
            }
            return found;
        } catch (IOException e) {
            throw new BadRequestException("'" + file + "' cannot be read (" + e + ")", e);
        }
    }

    /**
     * Reads the texts of a picture.
     *
     * @param texts by their keywords
     */
    static FoundSettings of(Map<String, String> texts) {
        String parameters = texts.getOrDefault("parameters", "");
        Map<String, String> found = new LinkedHashMap<>();
        if (parameters.startsWith("{")) {
            fooocus(json(parameters), found);
            return new FoundSettings("Fooocus", found);
        }
        if (!parameters.isEmpty()) {
            found.putAll(PngParameters.settings(parameters));
            return new FoundSettings(
                    found.containsKey("Method") ? "asg4j" : "AUTOMATIC1111", found);
        }
        if (texts.containsKey("invokeai_metadata")) {
            invoke(json(texts.get("invokeai_metadata")), found);
            return new FoundSettings("InvokeAI", found);
        }
        if (texts.containsKey("Dream")) {
            dream(texts.get("Dream"), found);
            put(
                    found,
                    "Model",
                    json(texts.getOrDefault("sd-metadata", "{}")).path("model_weights"));
            return new FoundSettings("InvokeAI", found);
        }
        if ("NovelAI".equals(texts.get("Software"))) {
            found.put(PROMPT, texts.getOrDefault("Description", ""));
            JsonNode comment = json(texts.getOrDefault("Comment", "{}"));
            put(found, NEGATIVE, comment.path("uc"));
            put(found, "Steps", comment.path("steps"));
            put(found, "Sampler", comment.path("sampler"));
            put(found, "CFG scale", comment.path("scale"));
            put(found, "Seed", comment.path("seed"));
            putOthers(found, comment, Set.of("uc", "steps", "sampler", "scale", "seed", "prompt"));
            return new FoundSettings("NovelAI", found);
        }
        JsonNode graph = json(texts.getOrDefault("prompt", "{}"));
        comfy(graph, found);
        return new FoundSettings(found.isEmpty() ? "" : "ComfyUI", found);
    }

    private static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException e) {
            return JSON.createObjectNode();
        }
    }

    private static void put(Map<String, String> found, String name, JsonNode value) {
        if (value.isValueNode() && !value.isNull() && !value.isMissingNode()) {
            found.put(name, value.asText().strip());
        }
    }

    /** What has no name of its own here: all members but those named and what says nothing. */
    private static void putOthers(Map<String, String> found, JsonNode json, Set<String> known) {
        json.properties()
                .forEach(
                        member -> {
                            JsonNode value = member.getValue();
                            String text = value.isValueNode() ? value.asText() : value.toString();
                            boolean says =
                                    !value.isNull()
                                            && !text.isBlank()
                                            && !Set.of("[]", "{}", "None").contains(text);
                            if (says && !known.contains(member.getKey())) {
                                found.put(member.getKey(), text);
                            }
                        });
    }

    private static void putSize(Map<String, String> found, JsonNode width, JsonNode height) {
        if (width.isNumber() && height.isNumber()) {
            found.put(SIZE, width.asText() + "x" + height.asText());
        }
    }

    private static void fooocus(JsonNode json, Map<String, String> found) {
        put(found, PROMPT, json.path("prompt"));
        put(found, NEGATIVE, json.path("negative_prompt"));
        put(found, "Steps", json.path("steps"));
        put(found, "Sampler", json.path("sampler"));
        put(found, "Schedule type", json.path("scheduler"));
        put(found, "CFG scale", json.path("guidance_scale"));
        put(found, "Seed", json.path("seed"));
        Matcher size = Pattern.compile("(\\d+), (\\d+)").matcher(json.path("resolution").asText());
        if (size.find()) {
            found.put(SIZE, size.group(1) + "x" + size.group(2));
        }
        put(found, "Model", json.path("base_model"));
        put(found, "Clip skip", json.path("clip_skip"));
        put(found, FULL_PROMPT, joined(json.path("full_prompt")));
        put(found, FULL_NEGATIVE, joined(json.path("full_negative_prompt")));
        putOthers(
                found,
                json,
                Set.of(
                        "prompt",
                        "negative_prompt",
                        "steps",
                        "sampler",
                        "scheduler",
                        "guidance_scale",
                        "seed",
                        "resolution",
                        "base_model",
                        "clip_skip",
                        "full_prompt",
                        "full_negative_prompt",
                        "metadata_scheme",
                        "version"));
    }

    /** Texts that are encoded by themselves and follow each other, as chunks of one prompt. */
    private static JsonNode joined(JsonNode texts) {
        List<String> all = new ArrayList<>();
        texts.forEach(text -> all.add(text.asText()));
        return all.isEmpty() ? JSON.missingNode() : JSON.valueToTree(String.join(" BREAK ", all));
    }

    private static void invoke(JsonNode json, Map<String, String> found) {
        put(found, PROMPT, json.path("positive_prompt"));
        put(found, NEGATIVE, json.path("negative_prompt"));
        put(found, "Steps", json.path("steps"));
        put(found, "Sampler", json.path("scheduler"));
        put(found, "CFG scale", json.path("cfg_scale"));
        put(found, "Seed", json.path("seed"));
        putSize(found, json.path("width"), json.path("height"));
        put(found, "Model", json.path("model").path("model_name"));
        putOthers(
                found,
                json,
                Set.of(
                        "positive_prompt",
                        "negative_prompt",
                        "steps",
                        "scheduler",
                        "cfg_scale",
                        "seed",
                        "width",
                        "height",
                        "model",
                        "app_version"));
    }

    /** As in {@code "a cat [a dog]" -s 50 -S 7 -W 512 -H 768 -C 5 -A k_lms}. */
    private static void dream(String text, Map<String, String> found) {
        int end = text.lastIndexOf("\" -");
        String quoted = end < 0 ? text : text.substring(text.indexOf('"') + 1, end);
        int negative = quoted.endsWith("]") ? quoted.lastIndexOf('[') : -1;
        found.put(PROMPT, negative < 0 ? quoted : quoted.substring(0, negative).strip());
        if (negative >= 0) {
            found.put(NEGATIVE, quoted.substring(negative + 1, quoted.length() - 1));
        }
        Matcher option = DREAM_OPTION.matcher(end < 0 ? "" : text.substring(end + 1));
        String width = "";
        while (option.find()) {
            String name = option.group(1);
            String value = option.group(2);
            if (DREAM.containsKey(name)) {
                found.put(DREAM.get(name), value);
            } else if (!name.equals("W") && !name.equals("H")) {
                found.put("-" + name, value);
            }
            width = name.equals("W") ? value : width;
            if (name.equals("H") && !width.isEmpty()) {
                found.put(SIZE, width + "x" + value);
            }
        }
    }

    /** What the first sampler of a graph is connected to. */
    private static void comfy(JsonNode graph, Map<String, String> found) {
        List<String> others = new ArrayList<>();
        boolean first = true;
        for (JsonNode node : graph) {
            String type = node.path("class_type").asText();
            if (!first || !type.startsWith("KSampler")) {
                if (!type.isEmpty() && !FOLLOWED.contains(type)) {
                    others.add(type);
                }
                continue;
            }
            first = false;
            JsonNode sampler = node.path("inputs");
            found.put(PROMPT, linked(graph, sampler.path("positive"), "text").asText().strip());
            found.put(NEGATIVE, linked(graph, sampler.path("negative"), "text").asText().strip());
            put(found, "Steps", sampler.path("steps"));
            put(found, "Sampler", sampler.path("sampler_name"));
            put(found, "Schedule type", sampler.path("scheduler"));
            put(found, "CFG scale", sampler.path("cfg"));
            put(found, "Seed", sampler.path(sampler.has("seed") ? "seed" : "noise_seed"));
            put(found, "Denoising strength", sampler.path("denoise"));
            JsonNode latents = sampler.path("latent_image");
            putSize(found, linked(graph, latents, "width"), linked(graph, latents, "height"));
            put(found, "Model", linked(graph, sampler.path("model"), "ckpt_name"));
        }
        if (!first && !others.isEmpty()) {
            found.put(NODES, String.join(", ", others.stream().distinct().toList()));
        }
    }

    /** A value of the node that a link leads to, or of the first before it that has one. */
    private static JsonNode linked(JsonNode graph, JsonNode link, String key) {
        return linked(graph, link, key, 0);
    }

    private static JsonNode linked(JsonNode graph, JsonNode link, String key, int depth) {
        JsonNode inputs = graph.path(link.path(0).asText()).path("inputs");
        if (inputs.path(key).isValueNode() || depth == MAX_LINKS) {
            return inputs.path(key);
        }
        for (JsonNode next : inputs) {
            if (next.isArray() && next.size() == 2 && next.get(0).isTextual()) {
                JsonNode found = linked(graph, next, key, depth + 1);
                if (found.isValueNode()) {
                    return found;
                }
            }
        }
        return JSON.missingNode();
    }
}
