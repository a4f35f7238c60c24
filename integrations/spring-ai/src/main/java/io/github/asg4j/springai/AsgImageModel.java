// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.springai;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;

import org.jspecify.annotations.Nullable;
import org.springframework.ai.image.Image;
import org.springframework.ai.image.ImageGeneration;
import org.springframework.ai.image.ImageMessage;
import org.springframework.ai.image.ImageModel;
import org.springframework.ai.image.ImageOptions;
import org.springframework.ai.image.ImagePrompt;
import org.springframework.ai.image.ImageResponse;
import org.springframework.ai.image.ImageResponseMetadata;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * An image model that draws with an engine of this process. Thread-safe. The engine stays the caller's:
 * close it when no more pictures are drawn.
 *
 * <p>Of {@link ImageOptions}, {@code n}, {@code width} and {@code height} count; {@code responseFormat}
 * may be {@code b64_json}. {@code model} and {@code style} mean nothing here, because an engine has one
 * model, so that code written for another provider runs unchanged. {@link AsgImageOptions} has all the
 * rest. Messages with a weight below 0 are what to steer away from.
 *
 * <p>Pictures are PNG files in base64, each with {@link AsgImageMetadata}. A picture has a random seed
 * unless the settings name one; of several pictures each has the next one. A thread that is interrupted
 * while it waits cancels its picture. Exceptions are those of {@link Engine#draw}.
 */
public final class AsgImageModel implements ImageModel {
    /** Seeds of 32 bits stay exact in every JSON reader. */
    private static final long SEEDS = 1L << 32;

    private final Supplier<Engine> engine;
    private final UnaryOperator<GenerationRequest.Builder> settings;

    /**
     * A model with settings of its own.
     *
     * @param engine called for each picture, so that it may open the engine when it is needed
     * @param settings what every request gets, before the options of its prompt
     */
    public AsgImageModel(
            Supplier<Engine> engine, UnaryOperator<GenerationRequest.Builder> settings) {
        this.engine = engine;
        this.settings = settings;
    }

    /** A model that draws as the engine does by default. */
    public AsgImageModel(Engine engine) {
        this(() -> engine, UnaryOperator.identity());
    }

    @Override
    public ImageResponse call(ImagePrompt prompt) {
        ImageOptions options = prompt.getOptions();
        int count = options == null || options.getN() == null ? 1 : options.getN();
        if (count < 1) {
            throw new BadRequestException(count + " pictures: ask for 1 or more");
        }
        GenerationRequest first = request(prompt, options);
        List<ImageGeneration> images = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            GeneratedImage drawn = engine.get().draw(first.following(i));
            String base64 = Base64.getEncoder().encodeToString(drawn.png());
            images.add(
                    new ImageGeneration(
                            new Image(null, base64), new AsgImageMetadata(drawn.report())));
        }
        return new ImageResponse(images, new ImageResponseMetadata(System.currentTimeMillis()));
    }

    private GenerationRequest request(ImagePrompt prompt, @Nullable ImageOptions options) {
        List<String> wanted = new ArrayList<>();
        List<String> unwanted = new ArrayList<>();
        for (ImageMessage message : prompt.getInstructions()) {
            Float weight = message.getWeight();
            if (weight != null && weight > 0 && weight != 1) {
                throw new BadRequestException(
                        "a message of weight "
                                + weight
                                + ": it has to be 1, or below 0 for what to steer away from; weigh"
                                + " words as in \"(red:1.3) ball\" with the prompt syntax a1111");
            }
            (weight != null && weight < 0 ? unwanted : wanted).add(message.getText());
        }
        long seed = ThreadLocalRandom.current().nextLong(SEEDS);
        GenerationRequest.Builder request =
                settings.apply(GenerationRequest.builder(String.join(", ", wanted)).seed(seed));
        if (!unwanted.isEmpty()) {
            request.negativePrompt(String.join(", ", unwanted));
        }
        if (options instanceof AsgImageOptions own) {
            return own.settings().apply(request).build();
        }
        if (options != null) {
            apply(options, request);
        }
        return request.build();
    }

    private static void apply(ImageOptions options, GenerationRequest.Builder request) {
        Integer width = options.getWidth();
        Integer height = options.getHeight();
        if ((width == null) != (height == null)) {
            throw new BadRequestException("give both width and height of a picture, or neither");
        }
        if (width != null && height != null) {
            request.size(width, height);
        }
        String format = options.getResponseFormat();
        if (format != null && !format.equals("b64_json")) {
            throw new BadRequestException(
                    "response format \""
                            + format
                            + "\": pictures are handed out as b64_json here, they have no address");
        }
    }
}
