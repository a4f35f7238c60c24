// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;

import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;

import org.eclipse.jetty.http.MultiPart;
import org.eclipse.jetty.http.MultiPartConfig;
import org.eclipse.jetty.http.MultiPartFormData;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.util.Attributes;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;

/**
 * A form with files, as OpenAI's clients send it: files are told by their fields' names, since not
 * all clients name files or types.
 *
 * @param fields texts as JSON: a number, true and false are what they look like
 * @param pictures of the fields "image" and "image[]"
 * @param mask of the field "mask"; null: there is none
 */
record FormData(ObjectNode fields, List<byte[]> pictures, byte @Nullable [] mask) {
    private static final int MAX_PARTS = 100;
    private static final int MAX_TEXT_BYTES = 1 << 20;

    /** Options that are texts, whatever they look like. */
    private static final Set<String> TEXTS =
            RequestOptions.ALL.stream()
                    .filter(option -> Set.of("TEXT", "NAME", "WxH").contains(option.type().label()))
                    .map(RequestOption::key)
                    .collect(Collectors.toSet());

    /**
     * Reads a request's body.
     *
     * @param limit bytes of all of it
     * @throws Refusal if it is no such form, or too large
     */
    static FormData read(Exchange exchange, int limit) {
        String type = exchange.header("Content-Type");
        if (type == null || !type.startsWith("multipart/form-data")) {
            throw Refusal.invalid(
                    415,
                    "unsupported_media_type",
                    null,
                    "send a form with Content-Type: multipart/form-data");
        }
        // All of it first: a parser that stops in the middle would end the connection.
        ByteBuffer body = ByteBuffer.wrap(exchange.body(limit));
        MultiPartConfig config =
                new MultiPartConfig.Builder()
                        .maxParts(MAX_PARTS)
                        .maxSize(limit)
                        .maxPartSize(limit)
                        .maxMemoryPartSize(limit)
                        .build();
        try (MultiPartFormData.Parts parts =
                MultiPartFormData.getParts(
                        Content.Source.from(body), new Attributes.Mapped(), type, config)) {
            ObjectNode fields = Json.object();
            List<byte[]> pictures = new ArrayList<>();
            byte[] mask = null;
            for (MultiPart.Part part : parts) {
                String name = part.getName();
                switch (name) {
                    case null -> throw new IllegalArgumentException("a part has no name");
                    case "image", "image[]" -> pictures.add(bytes(part));
                    case "mask" -> mask = bytes(part);
                    default -> fields.set(name, value(part));
                }
            }
            return new FormData(fields, pictures, mask);
        } catch (IOException | IllegalStateException | IllegalArgumentException e) {
            throw noForm(e);
        } catch (CompletionException e) { // what the parser throws comes wrapped
            throw noForm(e.getCause() == null ? e : e.getCause());
        }
    }

    private static Refusal noForm(Throwable e) {
        return Refusal.invalid(
                400, "invalid_form", null, "no multipart/form-data: " + e.getMessage());
    }

    private static byte[] bytes(MultiPart.Part part) throws IOException {
        try (InputStream in = Content.Source.asInputStream(part.getContentSource())) {
            return in.readAllBytes();
        }
    }

    private static JsonNode value(MultiPart.Part part) throws IOException {
        if (part.getLength() > MAX_TEXT_BYTES) {
            throw Exchange.tooLarge(MAX_TEXT_BYTES);
        }
        String text = new String(bytes(part), StandardCharsets.UTF_8);
        if (TEXTS.contains(part.getName())) {
            return TextNode.valueOf(text);
        }
        try {
            JsonNode json = Json.MAPPER.readTree(text);
            return json.isMissingNode() ? TextNode.valueOf(text) : json;
        } catch (JsonProcessingException e) {
            return TextNode.valueOf(text);
        }
    }
}
