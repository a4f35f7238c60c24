// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.PictureReport;
import io.github.asg4j.Seed;
import io.github.asg4j.image.PngParameters;

import org.jspecify.annotations.Nullable;

import java.awt.Dimension;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;

/** What AUTOMATIC1111's API tells of pictures, and reads from them. */
final class WebUiInfo {
    private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("yyyyMMddHHmmss").withZone(ZoneOffset.UTC);
    private static final String NEGATIVE = "Negative prompt: ";

    /** A pair of the last line of settings, as {@code Steps: 20} or {@code Note: "a, b"}. */
    private static final Pattern PAIR =
            Pattern.compile("\\s*([\\w /-]+):\\s*(\"(?:\\\\.|[^\\\\\"])*\"|[^,]*)(?:,|$)");

    private WebUiInfo() {}

    static String timestamp(Job job) {
        return STAMP.format(job.created());
    }

    /**
     * The answer's "info".
     *
     * @param first of those that were asked for
     * @param done those of which there is a picture
     */
    static ObjectNode of(Studio studio, Job first, List<Job> done) {
        ObjectNode info = Json.object();
        Work work = first.drawing().work();
        info.put("prompt", first.request().prompt());
        info.put("negative_prompt", first.request().negativePrompt());
        info.putPOJO("seed", Seed.number(first.request().seed()));
        ArrayNode prompts = info.putArray("all_prompts");
        ArrayNode negatives = info.putArray("all_negative_prompts");
        ArrayNode seeds = info.putArray("all_seeds");
        ArrayNode subseeds = info.putArray("all_subseeds");
        ArrayNode texts = info.putArray("infotexts");
        for (Job job : done) {
            Job.Result result = job.result();
            prompts.add(job.request().prompt());
            negatives.add(job.request().negativePrompt());
            seeds.addPOJO(Seed.number(job.request().seed()));
            subseeds.add(-1);
            if (result != null) {
                texts.add(PngParameters.text(result.image().report()));
            }
        }
        PictureReport report = report(done);
        info.put("subseed", -1)
                .put("subseed_strength", 0)
                .put("width", work.width())
                .put("height", work.height())
                .put("sampler_name", report == null ? null : report.sampling().scheduler())
                .put(
                        "cfg_scale",
                        report == null ? null : (Double) report.sampling().guidanceScale())
                .put("steps", report == null ? null : (Integer) report.plan().steps());
        return info.put("batch_size", 1)
                .put("restore_faces", false)
                .putNull("face_restoration_model")
                .put("sd_model_name", studio.model())
                .put(
                        "sd_model_hash",
                        studio.modelHash().substring(0, Math.min(10, studio.modelHash().length())))
                .putNull("sd_vae_name")
                .putNull("sd_vae_hash")
                .put("seed_resize_from_w", -1)
                .put("seed_resize_from_h", -1)
                .putNull("denoising_strength")
                .<ObjectNode>set("extra_generation_params", Json.object())
                .put("index_of_first_image", 0)
                .<ObjectNode>set("styles", Json.MAPPER.createArrayNode())
                .put("job_timestamp", timestamp(first))
                .put("clip_skip", first.request().prompts().clipSkip().orElse(1))
                .put("is_using_inpainting_conditioning", false);
    }

    private static @Nullable PictureReport report(List<Job> done) {
        for (Job job : done) {
            Job.Result result = job.result();
            if (result != null) {
                return result.image().report();
            }
        }
        return null;
    }

    /** The settings that a text holds, under the names that they have there, the prompts too. */
    static Map<String, String> settings(String text) {
        Map<String, String> settings = new LinkedHashMap<>();
        if (text.isEmpty()) {
            return settings;
        }
        int lastLine = text.lastIndexOf('\n') + 1;
        boolean hasPairs = text.startsWith("Steps: ", lastLine);
        String prompts = hasPairs ? text.substring(0, Math.max(0, lastLine - 1)) : text;
        int negative = prompts.startsWith(NEGATIVE) ? 0 : prompts.indexOf("\n" + NEGATIVE) + 1;
        boolean hasNegative = prompts.startsWith(NEGATIVE, negative);
        settings.put(
                "Prompt", hasNegative ? prompts.substring(0, Math.max(0, negative - 1)) : prompts);
        settings.put(
                "Negative prompt",
                hasNegative ? prompts.substring(negative + NEGATIVE.length()) : "");
        if (hasPairs) {
            Matcher pair = PAIR.matcher(text.substring(lastLine));
            while (pair.find() && !pair.group().isEmpty()) {
                settings.put(pair.group(1).strip(), unquoted(pair.group(2).strip()));
            }
        }
        return settings;
    }

    private static String unquoted(String value) {
        if (!value.startsWith("\"")) {
            return value;
        }
        try {
            return Json.MAPPER.readTree(value).asText();
        } catch (IOException e) {
            return value;
        }
    }

    /**
     * Pixels of a picture, by its header.
     *
     * @throws Refusal if it has none that is known
     */
    static Dimension size(byte[] picture) {
        try (ImageInputStream in =
                ImageIO.createImageInputStream(new ByteArrayInputStream(picture))) {
            Iterator<ImageReader> readers = ImageIO.getImageReaders(in);
            if (readers.hasNext()) {
                ImageReader reader = readers.next();
                try {
                    reader.setInput(in, true, true);
                    return new Dimension(reader.getWidth(0), reader.getHeight(0));
                } finally {
                    reader.dispose();
                }
            }
        } catch (IOException | RuntimeException e) {
            throw noPicture(e);
        }
        throw noPicture(null);
    }

    private static Refusal noPicture(@Nullable Exception e) {
        return Refusal.invalidValue(
                "image",
                "\"image\" is no picture that can be read here"
                        + (e == null ? "" : " (" + e.getMessage() + ")"));
    }
}
