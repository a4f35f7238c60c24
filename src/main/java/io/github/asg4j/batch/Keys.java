// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Control;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.RequestOption;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/**
 * Names of pictures by what determines their bytes: the SHA-256 of the request as JSON, of the files
 * that it reads, and of {@link #determining what} the engine is.
 */
final class Keys {
    /** Files whose SHA-256 is remembered. */
    private static final int REMEMBERED = 64;

    /** Key of a request's controls. */
    private static final String CONTROLS = "controls";

    private final EngineInfo engine;

    private final Map<Seen, String> hashes =
            new LinkedHashMap<>(REMEMBERED, 0.75f, true) {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<Seen, String> eldest) {
                    return size() > REMEMBERED;
                }
            };

    /** A file as it was when it was read. */
    private record Seen(Path file, long bytes, FileTime modified) {}

    /**
     * A picture's name.
     *
     * @param key 64 hexadecimal digits
     * @param request as {@link io.github.asg4j.RequestJson} has it, but for bytes, of which the SHA-256 is there
     * @param inputs SHA-256 of the files that it reads, by the names that it gives them
     */
    record Keyed(String key, Map<String, Object> request, Map<String, String> inputs) {
        /** As records have it. */
        Map<String, Object> about() {
            Map<String, Object> about = new LinkedHashMap<>();
            about.put("key", key);
            about.put("request", request);
            if (!inputs.isEmpty()) {
                about.put("inputs", inputs);
            }
            return about;
        }
    }

    Keys(EngineInfo engine) {
        this.engine = engine;
    }

    /** What of an engine determines the bytes of its pictures. */
    static Map<String, Object> determining(EngineInfo engine) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("bundle_sha256", engine.bundleSha256());
        EngineInfo.VaeFile vae = engine.vae();
        if (vae != null) {
            map.put("vae_sha256", vae.sha256());
        }
        map.put("threads_per_worker", engine.threadsPerWorker());
        if (!engine.precision().equals("fp32")) {
            map.put("precision", engine.precision());
            map.put("provider", engine.provider());
        }
        if (engine.weights().equals("mapped")) {
            map.put("weights", engine.weights());
        }
        map.put("version", Engine.version());
        return map;
    }

    /**
     * Names a picture.
     *
     * @throws BadRequestException if a file that the request reads cannot be read
     */
    Keyed of(GenerationRequest request) {
        Map<String, Object> json = new LinkedHashMap<>();
        for (RequestOption<?> option : Given.OPTIONS) {
            Object value = option.json(request);
            if (value != null) {
                json.put(option.key(), value);
            }
        }
        Map<String, String> inputs = new TreeMap<>();
        add(json, "image", request.image(), inputs);
        add(json, "inpaint", request.inpaint().mask(), inputs);
        add(json, "latents", request.latents(), inputs);
        addControls(json, request, inputs);
        for (Lora lora : request.loras()) {
            inputs.put(lora.file().toString(), sha256(lora.file()));
        }
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("request", json);
        all.put("inputs", inputs);
        all.putAll(determining(engine));
        String key = Sha256.of(JsonLines.text(all).getBytes(StandardCharsets.US_ASCII));
        return new Keyed(key, json, inputs);
    }

    /** Pictures and networks of controls, by what they hold. */
    private void addControls(
            Map<String, Object> json, GenerationRequest request, Map<String, String> inputs) {
        List<Map<String, Object>> written = new ArrayList<>();
        for (int i = 0; i < request.controls().size(); i++) {
            Control control = request.controls().get(i);
            Map<String, Object> own = new LinkedHashMap<>();
            ((Map<?, ?>) ((List<?>) Objects.requireNonNull(json.get(CONTROLS))).get(i))
                    .forEach((key, value) -> own.put(String.valueOf(key), value));
            add(own, "picture", control.picture(), inputs);
            engine.controls().stream()
                    .filter(network -> network.name().equals(control.network()))
                    .forEach(network -> own.put("network_sha256", network.sha256()));
            written.add(own);
        }
        if (!written.isEmpty()) {
            json.put(CONTROLS, written);
        }
    }

    private void add(
            Map<String, Object> json,
            String key,
            @Nullable Content content,
            Map<String, String> inputs) {
        switch (content) {
            case null -> {}
            case Content.OfFile file -> inputs.put(file.toString(), sha256(file.path()));
            case Content.OfBytes bytes -> json.put(key, Map.of("sha256", bytes.sha256()));
        }
    }

    private String sha256(Path file) {
        try {
            Seen seen = new Seen(file, Files.size(file), Files.getLastModifiedTime(file));
            String known = hashes.get(seen);
            if (known == null) {
                known = Sha256.of(file);
                hashes.put(seen, known);
            }
            return known;
        } catch (IOException e) {
            throw new BadRequestException(
                    "the file '"
                            + file
                            + "' cannot be read ("
                            + e
                            + "): its name is relative to the folder in which asg was started",
                    e);
        }
    }
}
