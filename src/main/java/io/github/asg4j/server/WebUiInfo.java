// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.PictureReport;
import io.github.asg4j.Seed;
import io.github.asg4j.Variation;
import io.github.asg4j.image.PngParameters;

import org.jspecify.annotations.Nullable;

import java.awt.Dimension;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Iterator;
import java.util.List;

import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;

/** What AUTOMATIC1111's API tells of pictures, and reads from them. */
final class WebUiInfo {
    private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("yyyyMMddHHmmss").withZone(ZoneOffset.UTC);

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
    static ObjectNode of(Job first, List<Job> done) {
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
            subseeds.addPOJO(subseed(job.request().variation()));
            if (result != null) {
                texts.add(PngParameters.text(result.image().report()));
            }
        }
        PictureReport report = report(done);
        Double strength = first.request().variation().strength();
        info.putPOJO("subseed", subseed(first.request().variation()));
        info.put("subseed_strength", strength == null ? 0 : strength)
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
                .put("sd_model_name", first.model().name())
                .put("sd_model_hash", first.model().shortHash())
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

    /** -1: there is none. */
    private static Object subseed(Variation variation) {
        Long seed = variation.seed();
        return seed == null ? -1 : Seed.number(seed);
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
