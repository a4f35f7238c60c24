// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import io.github.asg4j.BadRequestException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What PEFT was trained with, as diffusers writes it into the header of a LoRA file ({@code
 * lora_adapter_metadata}, with each network's name before the keys) and PEFT into {@code
 * adapter_config.json} beside it.
 */
final class PeftSettings {
    private static final String METADATA = "lora_adapter_metadata";
    private static final String CONFIG_FILE = "adapter_config.json";
    private static final int MAX_CONFIG_BYTES = 1 << 20;
    private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9_.]+");
    private static final JsonFactory JSON = new JsonFactory();

    /** Values by key, nested ones with a dot between. */
    private final Map<String, Object> values;

    private final Path file;

    private PeftSettings(Path file, Map<String, Object> values) {
        this.file = file;
        this.values = values;
    }

    /**
     * Reads the settings of a file.
     *
     * @param bare whether the file's names are PEFT's own, so that its settings lie beside it
     * @throws BadRequestException if they are no JSON
     */
    static PeftSettings of(Path file, Map<String, String> metadata, boolean bare) {
        String text = metadata.get(METADATA);
        String where = METADATA + " of its header";
        try {
            Path beside = file.resolveSibling(CONFIG_FILE);
            if (text == null && bare && Files.isRegularFile(beside)) {
                where = beside.toString();
                if (Files.size(beside) > MAX_CONFIG_BYTES) {
                    throw new IOException("it has more than " + MAX_CONFIG_BYTES + " bytes");
                }
                text = Files.readString(beside, StandardCharsets.UTF_8);
            }
            Map<String, Object> values = new LinkedHashMap<>();
            if (text != null) {
                parse(text, values);
            }
            return new PeftSettings(file, values);
        } catch (IOException e) {
            throw new BadRequestException(
                    "LoRA "
                            + file
                            + ": "
                            + where
                            + " cannot be read, so that its strength is not known ("
                            + e.getMessage()
                            + "): download it again",
                    e);
        }
    }

    private static void parse(String text, Map<String, Object> values) throws IOException {
        try (JsonParser parser = JSON.createParser(text)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("it is no JSON object");
            }
            object(parser, "", values);
        }
    }

    private static void object(JsonParser parser, String prefix, Map<String, Object> values)
            throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = prefix + parser.currentName();
            switch (parser.nextToken()) {
                case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT ->
                        values.put(key, parser.getDoubleValue());
                case VALUE_TRUE -> values.put(key, true);
                case START_OBJECT -> object(parser, key + ".", values);
                default -> parser.skipChildren();
            }
        }
    }

    /**
     * What a low-rank change is multiplied by.
     *
     * @param alpha as the layer's own tensor has it; null: it has none
     * @throws BadRequestException if a pattern for some layers is not understood
     */
    float scale(LoraName.Network network, String module, long rank, @Nullable Double alpha) {
        if (alpha != null) {
            return (float) (alpha / rank);
        }
        String prefix = prefix(network);
        Double given = pattern(prefix + "alpha_pattern.", module);
        if (given == null && values.get(prefix + "lora_alpha") instanceof Double all) {
            given = all;
        }
        if (given == null) {
            return 1;
        }
        boolean rootOfRank = Boolean.TRUE.equals(values.get(prefix + "use_rslora"));
        double divisor = rank;
        return (float) (given / (rootOfRank ? Math.sqrt(divisor) : divisor));
    }

    /** Whether the changes of a network are DoRA. */
    boolean dora(LoraName.Network network) {
        return Boolean.TRUE.equals(values.get(prefix(network) + "use_dora"));
    }

    /** What the keys of a network begin with; nothing in a file of PEFT's own. */
    private String prefix(LoraName.Network network) {
        List<String> names =
                switch (network) {
                    case DENOISER -> List.of("unet.", "transformer.");
                    case TEXT_ENCODER -> List.of("text_encoder.");
                    case TEXT_ENCODER_2 -> List.of("text_encoder_2.");
                    case TEXT_ENCODER_3 -> List.of("text_encoder_3.");
                };
        return names.stream()
                .filter(name -> values.keySet().stream().anyMatch(key -> key.startsWith(name)))
                .findFirst()
                .orElse(values.containsKey("lora_alpha") ? "" : names.getFirst());
    }

    private @Nullable Double pattern(String prefix, String module) {
        for (Map.Entry<String, Object> entry : values.entrySet()) {
            if (!entry.getKey().startsWith(prefix)
                    || !(entry.getValue() instanceof Double number)) {
                continue;
            }
            String layer = entry.getKey().substring(prefix.length());
            if (!PLAIN.matcher(layer).matches()) {
                throw new BadRequestException(
                        "LoRA "
                                + file
                                + ": alpha_pattern \""
                                + layer
                                + "\" is not the name of a layer, which is not supported: merge"
                                + " the file with PEFT");
            }
            String end = layer.replace('.', '_').replaceFirst("^text_model_", "");
            if (module.equals(end) || module.endsWith("_" + end)) {
                return number;
            }
        }
        return null;
    }
}
