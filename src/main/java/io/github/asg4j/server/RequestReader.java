// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.Content;
import io.github.asg4j.Control;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.RequestJson;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;

import org.jspecify.annotations.Nullable;

import java.math.BigInteger;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Makes requests out of JSON with the keys of {@link RequestOptions}. A request of HTTP can name no
 * file of the server: start pictures come along, options that read LoRA files or tensors or write them
 * are refused.
 */
final class RequestReader {
    /** Options whose values are files or folders of the machine. */
    private static final Set<String> FILES = Set.of("latents", "dump", "loras");

    /** Options whose values are pictures, which come along. */
    private static final List<String> PICTURES = List.of("image", "inpaint");

    /** Key of controls, whose pictures come along too. */
    private static final String CONTROLS = "controls";

    private static final Set<String> KEYS =
            RequestOptions.ALL.stream().map(RequestOption::key).collect(Collectors.toSet());

    private static final Pattern WHITESPACE = Pattern.compile("\\s+");
    private static final int MAX_PROMPT = 32_000;

    /** Seeds of 32 bits stay exact in every JSON reader. */
    private static final long SEEDS = 1L << 32;

    private final SecureRandom random = new SecureRandom();

    /** Whether that is an option of ours. */
    static boolean isOption(String key) {
        return KEYS.contains(key);
    }

    /** Options that requests of HTTP may have. */
    static List<RequestOption<?>> options() {
        return RequestOptions.ALL.stream().filter(o -> !FILES.contains(o.key())).toList();
    }

    /**
     * The request and, with {@code count} of more than one, those that follow it.
     *
     * @param fields options by their keys; null values count as not given
     * @param picture a start picture; null: what "image" holds, or none
     * @throws Refusal for what cannot be asked for by HTTP
     * @throws io.github.asg4j.BadRequestException for what is wrong in itself
     */
    List<GenerationRequest> read(ObjectNode fields, byte @Nullable [] picture, int count) {
        ObjectNode given = Json.object();
        fields.properties().stream()
                .filter(field -> !field.getValue().isNull())
                .forEach(field -> given.set(field.getKey(), field.getValue()));
        FILES.forEach(key -> refuse(given, key));
        JsonNode prompt = given.path("prompt");
        if (prompt.asText().length() > MAX_PROMPT
                || given.path("negative_prompt").asText().length() > MAX_PROMPT) {
            throw Refusal.invalidValue(
                    "prompt", "a prompt has at most " + MAX_PROMPT + " characters here");
        }
        if (!given.has("seed") || isRandom(given.path("seed"))) {
            given.put("seed", random.nextLong(SEEDS));
        }
        if (given.has("variation_seed") && isRandom(given.path("variation_seed"))) {
            given.put("variation_seed", random.nextLong(SEEDS));
        }
        if (picture != null) {
            put(given, "image", picture);
        }
        for (String key : PICTURES) {
            byte[] content = picture(key, given.remove(key));
            if (content != null) {
                put(given, key, content);
            }
        }
        for (JsonNode control : given.path(CONTROLS)) {
            if (control instanceof ObjectNode object && object.has("picture")) {
                byte[] content = picture("picture", object.remove("picture"));
                if (content != null) {
                    put(object, "picture", content);
                }
            }
        }
        GenerationRequest first = RequestJson.read(given.toString());
        List<GenerationRequest> all = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            all.add(first.following(i));
        }
        return all;
    }

    /** Whether that asks for a random seed; seeds themselves have up to 64 bits. */
    private static boolean isRandom(JsonNode seed) {
        return seed.isIntegralNumber() && seed.bigIntegerValue().equals(BigInteger.ONE.negate());
    }

    private static void refuse(ObjectNode given, String key) {
        if (given.has(key)) {
            throw Refusal.invalidValue(
                    key, "\"" + key + "\" names files of the server: that is not allowed by HTTP");
        }
    }

    private static void put(ObjectNode given, String key, byte[] content) {
        given.putObject(key).put("base64", Base64.getEncoder().encodeToString(content));
    }

    private static byte @Nullable [] picture(String key, @Nullable JsonNode value) {
        if (value == null) {
            return null;
        }
        if (value.isTextual()) {
            return decode(key, value.asText());
        }
        if (value.isObject() && value.size() == 1 && value.path("base64").isTextual()) {
            return decode(key, value.path("base64").asText());
        }
        throw Refusal.invalidValue(
                key,
                "\""
                        + key
                        + "\" is the picture itself, as in {\"base64\": \"iVBOR...\"}; no file of"
                        + " the server can be named");
    }

    /**
     * What base64 or a data URL holds.
     *
     * @param key of the request, for messages
     * @throws Refusal if it is neither, or an address: this server fetches nothing
     */
    static byte[] decode(String key, String text) {
        String base64 = text.strip();
        if (base64.startsWith("data:")) {
            int comma = base64.indexOf(',');
            if (comma < 0 || !base64.substring(0, comma).endsWith(";base64")) {
                throw Refusal.invalidValue(
                        key, "\"" + key + "\" is a data URL without base64 data");
            }
            base64 = base64.substring(comma + 1);
        } else if (base64.regionMatches(true, 0, "http:", 0, 5)
                || base64.regionMatches(true, 0, "https:", 0, 6)
                || base64.regionMatches(true, 0, "file:", 0, 5)) {
            throw Refusal.invalidValue(
                    key,
                    "\""
                            + key
                            + "\" is an address, and this server fetches nothing: send the picture"
                            + " itself, in base64");
        }
        try {
            // MIME's decoder skips what is no base64: a path would be a picture
            return Base64.getDecoder().decode(WHITESPACE.matcher(base64).replaceAll(""));
        } catch (IllegalArgumentException e) {
            throw Refusal.invalidValue(key, "\"" + key + "\" is no base64: " + e.getMessage());
        }
    }

    /** A request as it came, so that it can be sent again; its pictures are only named. */
    static ObjectNode json(GenerationRequest request) {
        GenerationRequest bare =
                request.toBuilder()
                        .image(null)
                        .inpaint(request.inpaint().withMask(null))
                        .controls(request.controls().stream().map(RequestReader::named).toList())
                        .build();
        ObjectNode json =
                Json.read(
                        RequestJson.write(bare)
                                .getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        for (int i = 0; i < request.controls().size(); i++) {
            ObjectNode control = (ObjectNode) json.path(CONTROLS).path(i);
            name(control, "picture", request.controls().get(i).picture());
        }
        name(json, "image", request.image());
        name(json, "inpaint", request.inpaint().mask());
        return json;
    }

    /** A control whose picture is left out. */
    private static Control named(Control control) {
        return new Control(
                control.network(),
                Content.bytes(new byte[0]),
                control.weight(),
                control.start(),
                control.end(),
                control.preprocess());
    }

    private static void name(ObjectNode json, String key, @Nullable Content picture) {
        if (picture instanceof Content.OfBytes bytes) {
            json.putObject(key).put("sha256", bytes.sha256());
        }
    }

    /** Keys that mean nothing here, but for those that a client may send in vain. */
    static List<String> unknown(ObjectNode fields, Set<String> known) {
        List<String> names = new ArrayList<>();
        for (Map.Entry<String, JsonNode> field : fields.properties()) {
            if (!isOption(field.getKey()) && !known.contains(field.getKey())) {
                names.add(field.getKey());
            }
        }
        return names;
    }
}
