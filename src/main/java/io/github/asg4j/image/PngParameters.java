// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.Content;
import io.github.asg4j.Control;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.OptionNames;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PictureSetting;
import io.github.asg4j.PlanReport;
import io.github.asg4j.PromptOptions;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestJson;
import io.github.asg4j.Seed;
import io.github.asg4j.Size;
import io.github.asg4j.schedule.Sampler;
import io.github.asg4j.schedule.Solver;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The settings of a picture as the text that AUTOMATIC1111's web UI introduced and other tools read:
 * prompt, negative prompt, and one line of {@code Name: value} pairs. Holds what determines the
 * picture and nothing that differs from run to run, so that same pixels give the same file.
 */
public final class PngParameters {
    private static final String NEGATIVE = "Negative prompt: ";

    /** A pair of the last line of settings, as {@code Steps: 20} or {@code Note: "a, b"}. */
    private static final Pattern PAIR =
            Pattern.compile(
                    "\\s*([\\w /-]+):\\s*(\"[^\\\\\"]*+(?:\\\\.[^\\\\\"]*+)*+\"|[^,]*)(?:,|$)");

    private static final int HASH_CHARACTERS = 10;
    private static final int TI_HASH_CHARACTERS = 12;

    private PngParameters() {}

    /** The text for a picture. */
    public static String text(PictureReport report) {
        GenerationRequest request = report.request();
        StringBuilder text = new StringBuilder(written(request, request.prompt()));
        if (!request.negativePrompt().isBlank()) {
            text.append("\nNegative prompt: ").append(written(request, request.negativePrompt()));
        }
        String pairs =
                pairs(report).entrySet().stream()
                        .map(pair -> pair.getKey() + ": " + quoted(pair.getValue()))
                        .collect(Collectors.joining(", "));
        return text.append('\n').append(pairs).toString();
    }

    /** A plain prompt was drawn as it is; other tools would take its brackets for weights. */
    private static String written(GenerationRequest request, String prompt) {
        return isWebUis(request) ? prompt : prompt.replaceAll("[()\\[\\]\\\\]", "\\\\$0");
    }

    private static boolean isWebUis(GenerationRequest request) {
        return request.prompts().syntax() == PromptOptions.Syntax.A1111;
    }

    private static Map<String, String> pairs(PictureReport report) {
        GenerationRequest request = report.request();
        PlanReport plan = report.plan();
        Map<String, String> pairs = new LinkedHashMap<>();
        put(pairs, "Steps", plan.steps());
        put(pairs, "Sampler", samplerName(report.sampling()));
        put(pairs, "CFG scale", report.sampling().guidanceScale());
        put(pairs, "Seed", Seed.number(request.seed()));
        Long towards = request.variation().seed();
        if (towards != null && request.variation().changes()) {
            put(pairs, "Variation seed", Seed.number(towards));
            put(pairs, "Variation seed strength", request.variation().strength());
        }
        put(pairs, "Size", text(plan.size()));
        put(pairs, "Model hash", report.bundleSha256().substring(0, HASH_CHARACTERS));
        put(pairs, "Model", report.model());
        EngineInfo.VaeFile vae = report.vae();
        if (vae != null) {
            put(pairs, "VAE file", vae.file().getFileName());
            put(pairs, "VAE hash", vae.sha256().substring(0, HASH_CHARACTERS));
        }
        put(pairs, "Loras", loras(report.loras(), PictureReport.AppliedLora::weight));
        put(
                pairs,
                "Lora hashes",
                loras(report.loras(), lora -> lora.sha256().substring(0, HASH_CHARACTERS)));
        if (!report.embeddings().isEmpty()) {
            put(
                    pairs,
                    "TI hashes",
                    report.embeddings().stream()
                            .map(PngParameters::hash)
                            .collect(Collectors.joining(", ")));
        }
        for (int i = 0; i < report.controls().size(); i++) {
            put(pairs, "ControlNet " + i, control(report.controls().get(i)));
        }
        if (request.prompts().clipSkip().isPresent()) {
            put(pairs, "Clip skip", request.prompts().clipSkip().getAsInt());
        }
        if (isWebUis(request)) {
            put(pairs, "Prompt syntax", OptionNames.of(request.prompts().syntax()));
        }
        put(pairs, "Method", request.method());
        ReportJson.settings(report)
                .forEach((setting, value) -> put(pairs, setting.words(), listed(setting, value)));
        put(pairs, "View batch", plan.viewBatch());
        put(pairs, "VAE", report.decoded());
        put(pairs, "Threads per worker", report.devices().threadsPerWorker());
        if (plan.compiledShapes() > 0) {
            put(pairs, "Precision", plan.precision());
            put(pairs, "Provider", plan.provider());
        }
        if (plan.weights().equals("mapped")) {
            put(pairs, "Weights", plan.weights());
        }
        if (report.sampling().eta() != 0) {
            put(pairs, "Eta", report.sampling().eta());
        }
        put(pairs, "Guidance interval", request.guidanceInterval());
        if (request.cacheInterval() > 1) {
            put(pairs, "Cache interval", request.cacheInterval());
        }
        if (saysSpacing(request)) {
            put(pairs, "Spacing", report.sampling().spacing());
        }
        put(pairs, "Latents", name(request.latents()));
        put(pairs, "Image", name(request.image()));
        if (request.image() != null && request.imageFit() != ImageFit.EXACT) {
            put(pairs, "Image fit", OptionNames.of(request.imageFit()));
        }
        InpaintOptions inpaint = request.inpaint();
        if (!inpaint.borders().equals(InpaintOptions.Borders.NONE)) {
            put(pairs, "Outpaint", inpaint.borders().toString().replace(',', ' '));
        }
        if (inpaint.keeps()) {
            put(pairs, "Inpaint", name(inpaint.mask()));
            put(pairs, "Mask blur", inpaint.blur());
            if (inpaint.inverted()) {
                put(pairs, "Inpaint inverted", true);
            }
            if (inpaint.area() == InpaintOptions.Area.MASKED) {
                put(pairs, "Inpaint area", "Only masked"); // as the web UI has it
                put(pairs, "Masked area padding", inpaint.padding());
            }
        }
        if (report.sampling().strength().isPresent()) {
            put(pairs, "Denoising strength", report.sampling().strength().getAsDouble());
        }
        put(pairs, "Version", report.version());
        put(pairs, "Request", RequestJson.portable(decided(request, plan)));
        return pairs;
    }

    /** A view batch that was chosen by memory is said as it was: it may change the last bits. */
    private static GenerationRequest decided(GenerationRequest request, PlanReport plan) {
        return request.viewBatch().orElse(1) == GenerationRequest.BY_MEMORY
                ? request.toBuilder().viewBatch(plan.viewBatch()).build()
                : request;
    }

    /** As the web UI's extension has it. */
    private static String control(PictureReport.AppliedControl applied) {
        Control control = applied.control();
        Map<String, String> pairs = new LinkedHashMap<>();
        put(pairs, "Module", OptionNames.of(control.preprocess().kind()));
        put(
                pairs,
                "Model",
                control.network()
                        + " ["
                        + applied.networkSha256().substring(0, HASH_CHARACTERS)
                        + "]");
        put(pairs, "Weight", control.weight());
        if (control.preprocess().kind() == Control.Kind.CANNY) {
            put(pairs, "Threshold A", control.preprocess().low());
            put(pairs, "Threshold B", control.preprocess().high());
        }
        put(pairs, "Guidance Start", control.start());
        put(pairs, "Guidance End", control.end());
        put(pairs, "Picture", applied.pictureSha256().substring(0, HASH_CHARACTERS));
        return pairs.entrySet().stream()
                .map(pair -> pair.getKey() + ": " + pair.getValue())
                .collect(Collectors.joining(", "));
    }

    /** "style: 0.8, face: 1": names of LoRA files without their ending, and what is said of each. */
    private static @Nullable String loras(
            List<PictureReport.AppliedLora> loras,
            Function<PictureReport.AppliedLora, Object> said) {
        if (loras.isEmpty()) {
            return null;
        }
        return loras.stream()
                .map(lora -> loraName(lora.file()) + ": " + said.apply(lora))
                .collect(Collectors.joining(", "));
    }

    /** As the web UI has it: a name that would break the list loses what breaks it. */
    private static String hash(PictureReport.AppliedEmbedding embedding) {
        String name = embedding.name().replaceAll("[:,]", "");
        return name + ": " + embedding.sha256().substring(0, TI_HASH_CHARACTERS);
    }

    private static String loraName(Path file) {
        return String.valueOf(file.getFileName()).replaceFirst("\\.safetensors$", "");
    }

    /** Whether the request says it, apart from the sampler's name or in it. */
    private static boolean saysSpacing(GenerationRequest request) {
        String scheduler = request.scheduler();
        boolean named = scheduler != null && Sampler.named(scheduler).spacing() != null;
        return named || request.spacing() != null;
    }

    private static @Nullable String name(@Nullable Content content) {
        return content == null ? null : content.name();
    }

    /**
     * A value without commas, at which simple readers of the pairs split: a grid is "4x2", as the size
     * is, the members of lists are separated by spaces.
     */
    private static Object listed(PictureSetting setting, Object value) {
        return switch (value) {
            case Size size -> text(size);
            // with commas: quoted as one text
            case List<?> list when setting == PictureSetting.REGIONS ->
                    list.stream().map(String::valueOf).collect(Collectors.joining("; "));
            case List<?> list ->
                    list.stream().map(String::valueOf).collect(Collectors.joining(" "));
            case String factors when FACTORS.contains(setting) -> factors.replace(',', ' ');
            default -> value;
        };
    }

    /** Settings that are lists of factors, written as on the command line. */
    private static final Set<PictureSetting> FACTORS =
            EnumSet.of(PictureSetting.DILATION, PictureSetting.DAMPED_DILATION);

    private static String text(Size size) {
        return size.width() + "x" + size.height();
    }

    private static void put(Map<String, String> pairs, String name, @Nullable Object value) {
        if (value == null) {
            return;
        }
        String text = value.toString();
        if (value instanceof Double number && number == Math.rint(number)) {
            text = Long.toString(number.longValue());
        }
        pairs.put(name, text);
    }

    /**
     * Returns the web UI's name, as in "DPM++ 2M Karras". The solver of a flow has the name of the same
     * solver for other networks.
     */
    private static String samplerName(PictureReport.Sampling sampling) {
        Solver solver = Sampler.named(sampling.scheduler()).solver();
        String label = solver == Solver.FLOW_EULER ? Solver.EULER.label() : solver.label();
        return label + Sampler.spacingNamed(sampling.spacing()).suffix();
    }

    /** Values that would break the line of pairs are quoted as JSON strings. */
    private static String quoted(String value) {
        if (value.indexOf(',') < 0 && value.indexOf(':') < 0 && value.indexOf('\n') < 0) {
            return value;
        }
        StringBuilder json = new StringBuilder("\"");
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c < ' ') {
                json.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
            } else {
                json.append(c == '"' || c == '\\' ? "\\" : "").append(c);
            }
        }
        return json.append('"').toString();
    }

    /** The settings that a text holds, under the names that they have there, the prompts too. */
    public static Map<String, String> settings(String text) {
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
        if (value.length() < 2 || !value.startsWith("\"")) {
            return value;
        }
        StringBuilder text = new StringBuilder();
        for (int i = 1; i < value.length() - 1; i++) {
            char c = value.charAt(i);
            if (c != '\\') {
                text.append(c);
                continue;
            }
            char escaped = value.charAt(++i);
            if (escaped == 'u' && value.substring(i + 1).matches("(?s)[0-9a-fA-F]{4}.*")) {
                text.append((char) Integer.parseInt(value.substring(i + 1, i + 5), 16));
                i += 4;
            } else {
                text.append(escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped);
            }
        }
        return text.toString();
    }
}
