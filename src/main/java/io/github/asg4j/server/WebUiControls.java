// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.EngineInfo;

import org.jspecify.annotations.Nullable;

import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The units of the web UI's ControlNet extension, {@code alwayson_scripts.controlnet.args}, as controls.
 * Settings of its own preprocessing ({@code processor_res}, {@code pixel_perfect}) have no like here: edges
 * are found at the resolution that is drawn.
 */
final class WebUiControls {
    private static final String SCRIPT = "controlnet";
    private static final String PARAM = "alwayson_scripts";

    /** Our preprocessing by the names that modules have there. */
    private static final Map<String, String> MODULES =
            Map.of(
                    "none", "none",
                    "canny", "canny",
                    "tile", "tile",
                    "tile_resample", "tile");

    private static final List<String> LISTED_MODULES = List.of("none", "canny", "tile_resample");

    /** Fields of a unit that change what it does, and that nothing answers to here. */
    private static final List<String> REFUSED =
            List.of(
                    "mask",
                    "mask_image",
                    "effective_region_mask",
                    "advanced_weighting",
                    "ipadapter_input");

    /** Our fits in the order of "just resize", "crop and resize", "resize and fill". */
    private static final List<String> FITS = List.of("stretch", "crop", "pad");

    private static final List<String> RESIZE_MODES =
            List.of("just resize", "crop and resize", "resize and fill");

    private WebUiControls() {}

    /**
     * Writes the units of a request's body as controls.
     *
     * @param picture that img2img starts from, for units without one; null: of txt2img
     * @param fields of the request, which have the image fit already where there is a start picture
     * @throws Refusal for other scripts, and for what a unit asks for and is not here
     */
    static void read(ObjectNode body, byte @Nullable [] picture, ObjectNode fields) {
        for (var script : body.path(PARAM).properties()) {
            JsonNode args = script.getValue().path("args");
            if (script.getKey().toLowerCase(Locale.ROOT).equals(SCRIPT)) {
                for (JsonNode unit : args) {
                    read(unit, picture, fields);
                }
            } else if (!args.isEmpty()) {
                throw Refusal.invalid(
                        422,
                        "script_not_found",
                        PARAM,
                        "always on script " + script.getKey() + " not found: there is controlnet");
            }
        }
    }

    private static void read(JsonNode unit, byte @Nullable [] picture, ObjectNode fields) {
        if (!unit.path("enabled").asBoolean(true)) {
            return;
        }
        for (String key : REFUSED) {
            if (unit.hasNonNull(key)) {
                throw refused("\"" + key + "\" of a unit is not supported: leave it out");
            }
        }
        String model = unit.path("model").asText("None");
        if (model.isEmpty() || model.equals("None")) {
            throw refused("a unit has no \"model\": name one of /controlnet/model_list");
        }
        requireBalance(unit.path("control_mode"));
        fit(unit.path("resize_mode"), picture != null, fields);
        String module = unit.path("module").asText("none").toLowerCase(Locale.ROOT);
        String preprocess = MODULES.get(module);
        if (preprocess == null) {
            throw refused(
                    "\"module\" is \""
                            + module
                            + "\": there are "
                            + String.join(", ", LISTED_MODULES)
                            + "; send depths, poses and other maps as pictures, with \"none\"");
        }
        ObjectNode control = fields.withArray("controls").addObject();
        control.put("network", model.replaceFirst(" \\[[0-9a-f]+]$", ""));
        String base64 = Base64.getEncoder().encodeToString(picture(unit, picture));
        control.putObject("picture").put("base64", base64);
        control.put("preprocess", preprocess);
        copy(unit, "weight", control, "weight");
        copy(unit, "guidance_start", control, "start");
        copy(unit, "guidance_end", control, "end");
        if (preprocess.equals("canny")) {
            threshold(unit.path("threshold_a"), control, "low");
            threshold(unit.path("threshold_b"), control, "high");
        }
    }

    private static byte[] picture(JsonNode unit, byte @Nullable [] picture) {
        for (String key : List.of("image", "input_image")) {
            JsonNode image = unit.path(key);
            if (image.path("mask").isTextual()) {
                throw refused("\"mask\" of a unit is not supported: leave it out");
            }
            JsonNode base64 = image.isObject() ? image.path("image") : image;
            if (base64.isTextual()) {
                return RequestReader.decode(key, base64.asText());
            }
        }
        if (picture == null) {
            throw refused("a unit has no \"image\": send the picture itself, in base64");
        }
        return picture;
    }

    /** Prompt and control count alike here. */
    private static void requireBalance(JsonNode mode) {
        String asked = mode.asText("");
        if (!List.of("", "null", "0", "balanced").contains(asked.toLowerCase(Locale.ROOT))) {
            throw refused("\"control_mode\" is \"" + asked + "\": there is \"Balanced\"");
        }
    }

    /** One fit for all pictures of a request; that of a start picture is said elsewhere. */
    private static void fit(JsonNode mode, boolean fromPicture, ObjectNode fields) {
        boolean said = !mode.isMissingNode() && !mode.isNull();
        String name = said ? mode.asText().toLowerCase(Locale.ROOT) : RESIZE_MODES.get(1);
        int index = mode.isInt() ? mode.asInt() : RESIZE_MODES.indexOf(name);
        if (index < 0 || index >= FITS.size()) {
            throw refused(
                    "\"resize_mode\" of a unit is "
                            + mode
                            + ": there are Just Resize, Crop and Resize, Resize and Fill, or 0 to"
                            + " 2");
        }
        String fit = FITS.get(index);
        if (!fields.has("image_fit")) {
            fields.put("image_fit", fit);
        } else if (said && !fromPicture && !fields.path("image_fit").asText().equals(fit)) {
            throw refused("units have different \"resize_mode\"s: give all the same");
        }
    }

    /** Negative: as there, the module's own. */
    private static void threshold(JsonNode value, ObjectNode control, String key) {
        if (value.isNumber() && value.asDouble() >= 0) {
            control.set(key, value);
        }
    }

    private static void copy(JsonNode from, String key, ObjectNode to, String as) {
        if (from.hasNonNull(key)) {
            to.set(as, from.get(key));
        }
    }

    private static Refusal refused(String message) {
        return Refusal.invalidValue(PARAM, message);
    }

    /** The networks, as models of units. */
    static ObjectNode models(Studio studio) {
        ObjectNode answer = Json.object();
        ArrayNode list = answer.putArray("model_list");
        for (EngineInfo.ControlNetwork network :
                studio.models().first().engine().describe().controls()) {
            if (network.problem().isEmpty()) {
                list.add(network.name() + " [" + network.sha256().substring(0, 8) + "]");
            }
        }
        return answer;
    }

    static ObjectNode modules() {
        ObjectNode answer = Json.object();
        LISTED_MODULES.forEach(answer.putArray("module_list")::add);
        return answer;
    }
}
