// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.langchain4j;

import dev.langchain4j.data.image.Image;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.model.image.ImageModel;
import dev.langchain4j.model.output.Response;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.ReportJson;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * An image model that draws with an engine of this process. Thread-safe. The engine stays the caller's:
 * close it when no more pictures are drawn.
 *
 * <pre>{@code
 * ImageModel model = new AsgImageModel(() -> engine, request -> request.method("relay").size(1024, 1024));
 * Image image = model.generate("a red ball on grass").content();
 * }</pre>
 *
 * <p>Pictures are PNG files in base64. A picture has a random seed unless the settings name one; of
 * several pictures each has the next one. The metadata of a response has, under "asg4j", the report of
 * each picture, with its seed. A thread that is interrupted while it waits cancels its picture.
 *
 * <p>What goes wrong is said as other models of LangChain4j say it: {@link InvalidRequestException} where
 * the request is wrong, {@link RateLimitException} where the engine's queue is full, {@link
 * InternalServerException} where a device or the model fails.
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
     * @param settings what every request gets
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
    public Response<Image> generate(String prompt) {
        return first(draw(prompt, 1, UnaryOperator.identity()));
    }

    @Override
    public Response<List<Image>> generate(String prompt, int n) {
        if (n < 1) {
            throw new InvalidRequestException(n + " pictures: ask for 1 or more");
        }
        return draw(prompt, n, UnaryOperator.identity());
    }

    /** A picture that is drawn from {@code image}, which holds its data in base64. */
    @Override
    public Response<Image> edit(Image image, String prompt) {
        Content picture = content("image", image);
        return first(draw(prompt, 1, request -> request.image(picture)));
    }

    /** The same, where the mask is white; what is black there stays as it is. */
    @Override
    public Response<Image> edit(Image image, Image mask, String prompt) {
        Content picture = content("image", image);
        Content white = content("mask", mask);
        return first(
                draw(
                        prompt,
                        1,
                        request ->
                                request.image(picture)
                                        .inpaint(request.build().inpaint().withMask(white))));
    }

    private static Content content(String name, Image image) {
        if (image.base64Data() == null) {
            throw new InvalidRequestException(
                    "the " + name + " has no base64 data: addresses are not fetched here");
        }
        try {
            return Content.bytes(Base64.getDecoder().decode(image.base64Data()));
        } catch (IllegalArgumentException e) {
            throw new InvalidRequestException("the " + name + " is no base64", e);
        }
    }

    private Response<List<Image>> draw(
            String prompt, int n, UnaryOperator<GenerationRequest.Builder> own) {
        List<Image> images = new ArrayList<>();
        List<Map<String, Object>> reports = new ArrayList<>();
        try {
            long seed = ThreadLocalRandom.current().nextLong(SEEDS);
            GenerationRequest first =
                    own.apply(settings.apply(GenerationRequest.builder(prompt).seed(seed))).build();
            for (int i = 0; i < n; i++) {
                GeneratedImage drawn = engine.get().draw(first.following(i));
                images.add(
                        Image.builder()
                                .base64Data(Base64.getEncoder().encodeToString(drawn.png()))
                                .mimeType("image/png")
                                .build());
                reports.add(ReportJson.map(drawn.report()));
            }
        } catch (BadRequestException | OutOfMemoryException e) {
            throw new InvalidRequestException(e.getMessage(), e);
        } catch (RejectedExecutionException e) {
            throw new RateLimitException(e.getMessage(), e);
        } catch (CancelledException e) {
            throw new LangChain4jException(e.getMessage(), e);
        } catch (io.github.asg4j.AsgException e) {
            throw new InternalServerException(e.getMessage(), e);
        }
        return Response.from(images, null, null, Map.of("asg4j", List.copyOf(reports)));
    }

    private static Response<Image> first(Response<List<Image>> all) {
        return Response.from(all.content().getFirst(), null, null, all.metadata());
    }
}
