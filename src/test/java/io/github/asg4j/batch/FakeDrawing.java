// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;

/** Draws small pictures that depend on prompt and seed, and remembers what it was asked. */
final class FakeDrawing implements Function<GenerationRequest, Generation> {
    static final Size SIZE = new Size(16, 8);

    final List<GenerationRequest> requests = new ArrayList<>();

    /** Run as a picture is waited for. */
    Runnable whileDrawing = () -> {};

    /** Refuses prompts that hold "unheard", when they are submitted, and "unseen", when they are drawn. */
    @Override
    public Generation apply(GenerationRequest request) {
        if (request.prompt().contains("unheard")) {
            throw new BadRequestException("unheard of");
        }
        requests.add(request);
        return new Drawn(this, request, new CompletableFuture<>());
    }

    List<String> prompts() {
        return requests.stream().map(GenerationRequest::prompt).toList();
    }

    private static GeneratedImage image(GenerationRequest request) {
        byte[] rgb = new byte[SIZE.width() * SIZE.height() * 3];
        new Random(request.seed() + request.prompt().hashCode()).nextBytes(rgb);
        return new GeneratedImage(
                SIZE.width(), SIZE.height(), ByteBuffer.wrap(rgb), Reports.picture(request, SIZE));
    }

    private record Drawn(
            FakeDrawing drawing,
            GenerationRequest request,
            CompletableFuture<GeneratedImage> future)
            implements Generation {
        @Override
        public void cancel() {
            future.completeExceptionally(new CancelledException("cancelled"));
        }

        @Override
        public GeneratedImage join() {
            drawing.whileDrawing.run();
            if (request.prompt().contains("unseen")) {
                throw new BadRequestException("unseen");
            }
            future.complete(image(request));
            try {
                return future.join();
            } catch (CompletionException e) {
                throw (AsgException) e.getCause();
            }
        }
    }
}
