// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.schedule.NoiseLevels;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes manifests so that {@link Manifest#parse} reads them as they were. */
final class ManifestWriter {
    private static final String FILE = "file";
    private static final String PRECISION = "precision";
    private static final String WIDTH = "width";

    private ManifestWriter() {}

    /** The bytes of a manifest.json. */
    static byte[] write(Manifest manifest) {
        return JsonText.of(manifest(manifest));
    }

    /** A JSON object under way, which leaves out what there is not. */
    private static final class Fields {
        private final Map<String, Object> map = new LinkedHashMap<>();

        Fields put(String key, @Nullable Object value) {
            if (value != null) {
                map.put(key, value);
            }
            return this;
        }

        /** Puts a value unless it is the one that stands for a key left out. */
        Fields putUnless(Object otherwise, String key, Object value) {
            return put(key, value.equals(otherwise) ? null : value);
        }
    }

    private static Map<String, Object> manifest(Manifest manifest) {
        return new Fields()
                .put("format_version", manifest.formatVersion())
                .put("name", manifest.name())
                .put("licence", manifest.licence())
                .put("made_by", manifest.madeBy())
                .put("source", source(manifest.source()))
                .put("latent", latent(manifest.latent()))
                .put(
                        "text_encoders",
                        manifest.textEncoders().stream().map(ManifestWriter::textEncoder).toList())
                .put("denoiser", denoiser(manifest.denoiser()))
                .put("vae", vae(manifest.vae(), false))
                .putUnless(
                        List.of(),
                        "upscalers",
                        manifest.upscalers().stream().map(ManifestWriter::upscaler).toList())
                .put("scheduler", scheduler(manifest.scheduler()))
                .put("conditioning", conditioning(manifest.conditioning()))
                .put(
                        "defaults",
                        new Fields()
                                .put("steps", manifest.defaults().steps())
                                .put("guidance_scale", manifest.defaults().guidanceScale())
                                .putUnless(
                                        GenerationRequest.USUAL_STRENGTH,
                                        "strength",
                                        manifest.defaults().strength())
                                .putUnless(
                                        GenerationRequest.USUAL_METHOD,
                                        "method",
                                        manifest.defaults().method())
                                .map)
                .put("evaluation", evaluation(manifest.evaluation()))
                .put("flops", manifest.flops() == null ? null : manifest.flops().json())
                .put("files", files(manifest.files()))
                .map;
    }

    private static @Nullable Map<String, Object> source(@Nullable Provenance source) {
        return source == null
                ? null
                : new Fields()
                        .put("files", source.files())
                        .put("published", source.published())
                        .putUnless(
                                List.of(),
                                "loras",
                                source.loras().stream().map(ManifestWriter::lora).toList())
                        .map;
    }

    private static Map<String, Object> lora(Provenance.MergedLora lora) {
        return new Fields()
                .put(FILE, lora.file())
                .put("sha256", lora.sha256())
                .put("weight", lora.weight())
                .map;
    }

    private static Map<String, Object> latent(Manifest.Latent latent) {
        return new Fields()
                .put("channels", latent.channels())
                .put("native_size", List.of(latent.nativeHeight(), latent.nativeWidth()))
                .put("vae_factor", latent.vaeFactor())
                .put("scaling", latent.scaling())
                .put("shift", latent.shift())
                .put("unet_multiple", latent.unetMultiple())
                .putUnless(Manifest.Latent.UNLIMITED, "max_size", latent.maxSize())
                .map;
    }

    private static Map<String, Object> textEncoder(Manifest.TextEncoder encoder) {
        return new Fields()
                .put(FILE, encoder.file())
                .put("tokenizer", encoder.tokenizer())
                .put("length", encoder.length())
                .put("hidden", encoder.hidden())
                .put("pooled", encoder.pooled())
                .put("join", encoder.join().name().toLowerCase(Locale.ROOT))
                .map;
    }

    private static Map<String, Object> denoiser(Manifest.Denoiser denoiser) {
        return new Fields()
                .put(FILE, denoiser.file())
                .put("dilated_file", denoiser.dilatedFile())
                .putUnless(List.of(), "dilation_groups", denoiser.dilationGroups())
                .put("prediction", denoiser.prediction())
                .put(PRECISION, denoiser.precision())
                .put("inputs", denoiser.inputs().stream().map(ManifestWriter::input).toList())
                .put("masks", denoiser.masks().stream().map(ManifestWriter::mask).toList())
                .put("attention", denoiser.fusedAttention() ? "fused" : "plain")
                .put(WIDTH, denoiser.width())
                .put("heads", denoiser.heads())
                .map;
    }

    private static Object input(Manifest.Input input) {
        return input.equals(Manifest.Input.usual(input.role()))
                ? input.name()
                : new Fields()
                        .put("name", input.name())
                        .put("role", input.role().id())
                        .putUnless(0, WIDTH, input.width())
                        .put("aesthetic_scores", scores(input.scores()))
                        .map;
    }

    private static @Nullable List<Double> scores(Manifest.@Nullable AestheticScores scores) {
        return scores == null ? null : List.of(scores.prompt(), scores.negative());
    }

    private static Map<String, Object> mask(Manifest.Mask mask) {
        return new Fields()
                .put("output", mask.output())
                .put("block", mask.block())
                .put("scale", mask.scale())
                .put("default", mask.usual())
                .map;
    }

    /**
     * @param asFallback as one that takes over from another, whose width and attention it has
     */
    private static Map<String, Object> vae(Manifest.Vae vae, boolean asFallback) {
        Manifest.Vae fallback = vae.fallback();
        Fields fields =
                new Fields()
                        .put("decoder", vae.decoder())
                        .put("encoder", vae.encoder())
                        .put(PRECISION, vae.precision())
                        .put("tiled_decoder", tiled(vae.tiledDecoder()))
                        .put("tiled_encoder", tiled(vae.tiledEncoder()))
                        .put("fallback", fallback == null ? null : vae(fallback, true));
        if (!asFallback) {
            fields.put(WIDTH, vae.width()).put("attention", vae.keepsScores() ? "plain" : "fused");
        }
        return fields.map;
    }

    private static @Nullable Map<String, Object> tiled(Manifest.@Nullable TiledNetwork tiled) {
        return tiled == null
                ? null
                : new Fields()
                        .put("front", tiled.front())
                        .put("tail", tiled.tail())
                        .put("scale", tiled.scale())
                        .put("halo", tiled.halo())
                        .put("channels", tiled.channels())
                        .map;
    }

    private static Map<String, Object> upscaler(Manifest.Upscaler upscaler) {
        return new Fields()
                .put(FILE, upscaler.file())
                .put("scale", upscaler.scale())
                .put("overlap", upscaler.overlap())
                .putUnless(Double.NaN, "tile_error", upscaler.tileError())
                .putUnless(0, WIDTH, upscaler.width())
                .map;
    }

    private static Map<String, Object> scheduler(Manifest.Scheduler scheduler) {
        Fields fields = new Fields().put("type", scheduler.solver().id());
        return switch (scheduler.levels()) {
            case NoiseLevels.Flow flow ->
                    fields.put("train_steps", flow.trainSteps()).put("shift", flow.shift()).map;
            case NoiseLevels.Betas betas ->
                    fields.put("beta_schedule", betas.betaSchedule())
                            .put("beta_start", betas.betaStart())
                            .put("beta_end", betas.betaEnd())
                            .put("train_steps", betas.trainSteps())
                            .put("spacing", scheduler.spacing().id())
                            .put("steps_offset", betas.stepsOffset())
                            .putUnless(false, Manifest.ZERO_SNR, betas.zeroTerminalSnr())
                            .map;
        };
    }

    private static Map<String, Object> conditioning(Manifest.Conditioning conditioning) {
        return new Fields()
                .put("time_ids", conditioning.timeIds())
                .put("pooled", conditioning.pooled())
                .put("empty_negative_is_zero", conditioning.emptyNegativeIsZero())
                .putUnless(0, "hidden_width", conditioning.hiddenWidth())
                .putUnless(0, "zero_tokens", conditioning.zeroTokens())
                .map;
    }

    private static @Nullable Map<String, Object> evaluation(
            Manifest.@Nullable Evaluation evaluation) {
        if (evaluation == null) {
            return null;
        }
        Manifest.Objects objects = evaluation.objects();
        Manifest.Truth truth = evaluation.truth();
        return new Fields()
                .put("prompts", evaluation.prompts())
                .put("features", evaluation.features())
                .put(
                        "objects",
                        objects == null
                                ? null
                                : new Fields()
                                        .put("models", objects.models())
                                        .put("namer", objects.namer())
                                        .map)
                .put("truth", truth == null ? null : truth(truth))
                .map;
    }

    private static Map<String, Object> truth(Manifest.Truth truth) {
        return new Fields()
                .put("statistics", truth.statistics())
                .put("sizes", truth.sizes().stream().map(ManifestWriter::truthSize).toList())
                .map;
    }

    private static Map<String, Object> truthSize(Manifest.TruthSize size) {
        return new Fields()
                .put("size", List.of(size.width(), size.height()))
                .put("pictures", size.pictures())
                .put("crops", size.crops())
                .map;
    }

    private static Map<String, Object> files(Map<String, Manifest.FileEntry> files) {
        Map<String, Object> entries = new LinkedHashMap<>();
        files.forEach(
                (name, entry) ->
                        entries.put(
                                name,
                                new Fields()
                                        .put("bytes", entry.bytes())
                                        .put("sha256", entry.sha256())
                                        .map));
        return entries;
    }
}
