// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.jspecify.annotations.Nullable;

import java.util.Set;

/** What the APIs work with: models and jobs. */
record Studio(Models models, Jobs jobs) {
    /** Names that clients send when their user has named none. */
    private static final Set<String> OTHERS_DEFAULTS =
            Set.of(
                    "dall-e-2",
                    "dall-e-3",
                    "gpt-image-1",
                    "gpt-image-1-mini",
                    "gpt-image-1.5",
                    "gpt-image-2");

    /**
     * The model that a request names, which is opened if nobody has asked for it before: that may wait
     * for the picture that is drawn.
     *
     * @param name null: the first
     * @throws Refusal if it is not here, or cannot be opened
     */
    Model model(@Nullable String name) {
        if (name == null || OTHERS_DEFAULTS.contains(name)) {
            return models.first();
        }
        Model known = models.state(name).model();
        return known != null ? known : jobs.between(() -> models.opened(name));
    }

    /**
     * The model that a request names under "model", which is taken out of it.
     *
     * @throws Refusal if that is no name, or as {@link #model} does
     */
    Model takeModel(ObjectNode body) {
        JsonNode name = body.remove("model");
        if (name == null || name.isNull()) {
            return models.first();
        }
        if (!name.isTextual()) {
            throw Refusal.invalidValue("model", "\"model\" is " + name + ", not a name");
        }
        return model(name.asText());
    }

    /** Waits until there is a studio: the server listens before its model is loaded. */
    interface Door {
        /**
         * @throws Refusal while the model is being loaded
         */
        Studio studio();
    }
}
