// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Objects;
import java.util.OptionalInt;

/**
 * How the prompts of a request are read.
 *
 * @param syntax of all prompts of the request
 * @param clipSkip layer of the text encoder whose states condition the denoiser, counted from the last
 *     one, which is 1; as in AUTOMATIC1111's web UI they go through the final layer norm. Empty: as the
 *     bundle was exported
 */
public record PromptOptions(Syntax syntax, OptionalInt clipSkip) {
    /** Of {@code clipSkip}; the text encoder's layers may be fewer. */
    public static final Range CLIP_SKIP_RANGE = new Range(1, 64);

    /** Plain text, layers as exported. */
    public static final PromptOptions DEFAULT =
            new PromptOptions(Syntax.PLAIN, OptionalInt.empty());

    /** What characters of a prompt mean. */
    public enum Syntax {
        /** Themselves. Of a prompt longer than a text encoder takes the rest is cut. */
        PLAIN,

        /**
         * What they mean in AUTOMATIC1111's web UI: weights as in {@code (red:1.3)}, {@code BREAK},
         * {@code [cat:dog:0.5]}, {@code [cat|dog]}. Long prompts are encoded in chunks.
         */
        A1111
    }

    public PromptOptions {
        Objects.requireNonNull(syntax, "syntax");
        CLIP_SKIP_RANGE.check("clip skip", clipSkip);
    }

    public PromptOptions withSyntax(Syntax value) {
        return new PromptOptions(value, clipSkip);
    }

    public PromptOptions withClipSkip(int layer) {
        return new PromptOptions(syntax, OptionalInt.of(layer));
    }
}
