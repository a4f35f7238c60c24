// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.springai;

import io.github.asg4j.GenerationRequest;

import org.jspecify.annotations.Nullable;
import org.springframework.ai.image.ImageOptions;

import java.util.function.UnaryOperator;

/**
 * Options of a prompt with everything that a request of the engine can have:
 *
 * <pre>{@code
 * new ImagePrompt("a red ball", new AsgImageOptions(1, request -> request.method("relay").seed(7)))
 * }</pre>
 *
 * @param count pictures, at least 1
 * @param settings what the requests get, after the settings of the model
 */
public record AsgImageOptions(int count, UnaryOperator<GenerationRequest.Builder> settings)
        implements ImageOptions {
    @Override
    public Integer getN() {
        return count;
    }

    @Override
    public @Nullable String getModel() {
        return null;
    }

    @Override
    public @Nullable Integer getWidth() {
        return null;
    }

    @Override
    public @Nullable Integer getHeight() {
        return null;
    }

    @Override
    public @Nullable String getResponseFormat() {
        return null;
    }

    @Override
    public @Nullable String getStyle() {
        return null;
    }
}
