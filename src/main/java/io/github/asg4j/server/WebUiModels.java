// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Models in AUTOMATIC1111's API, where they are chosen by an option. Each client has a choice of its own:
 * there, one user would change the model under the others.
 */
final class WebUiModels {
    /** Clients whose choice is remembered. */
    private static final int MAX_CHOICES = 1000;

    private final Studio.Door door;

    /** Names of models by the clients that have chosen them; guarded by itself. */
    private final Map<String, String> choices =
            new LinkedHashMap<>() {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
                    return size() > MAX_CHOICES;
                }
            };

    WebUiModels(Studio.Door door) {
        this.door = door;
    }

    private Models models() {
        return door.studio().models();
    }

    /** As "demo [6026faba74]"; without a hash while nobody has asked for the model. */
    private static String title(Models.State state) {
        Model model = state.model();
        return model == null ? state.name() : model.name() + " [" + model.shortHash() + "]";
    }

    /** The option of the model, and the one that some clients look for. */
    void options(Exchange exchange) throws IOException {
        Models.State chosen = models().state(chosen(exchange));
        Model model = chosen.model();
        exchange.answer(
                Json.object()
                        .put("sd_model_checkpoint", title(chosen))
                        .put("sd_checkpoint_hash", model == null ? null : model.hash())
                        .put("samples_format", "png"));
    }

    /** Sets the client's model; other options have no effect. */
    void setOptions(Exchange exchange) throws IOException {
        ObjectNode body = exchange.json(1 << 20);
        String name = named(exchange, body.path("sd_model_checkpoint"));
        synchronized (choices) {
            choices.put(exchange.client().name(), name);
        }
        exchange.answer(Json.MAPPER.nullNode());
    }

    /** Lists all models. */
    void list(Exchange exchange) throws IOException {
        ArrayNode answer = Json.MAPPER.createArrayNode();
        for (Models.State state : models().states()) {
            Model model = state.model();
            answer.addObject()
                    .put("title", title(state))
                    .put("model_name", state.name())
                    .put("hash", model == null ? null : model.shortHash())
                    .put("sha256", model == null ? null : model.hash())
                    .put("filename", state.name())
                    .putNull("config");
        }
        exchange.answer(answer);
    }

    /** The model that a client has chosen; the first, if it has chosen none. */
    String chosen(Exchange exchange) {
        String first = models().first().name();
        synchronized (choices) {
            return choices.getOrDefault(exchange.client().name(), first);
        }
    }

    /**
     * The model that is named by its name or its title.
     *
     * @param named missing, null or empty: the one that was chosen
     * @throws Refusal if there is none of that name
     */
    String named(Exchange exchange, JsonNode named) {
        String name = named.asText("");
        if (name.isEmpty() || name.equals("null")) {
            return chosen(exchange);
        }
        List<Models.State> states = models().states();
        for (Models.State state : states) {
            if (name.equals(state.name()) || name.equals(title(state))) {
                return state.name();
            }
        }
        throw Refusal.invalid(
                404,
                "model_not_found",
                "sd_model_checkpoint",
                "there is no model \""
                        + name
                        + "\" here: use \""
                        + states.stream()
                                .map(WebUiModels::title)
                                .collect(Collectors.joining("\", \""))
                        + "\"");
    }
}
