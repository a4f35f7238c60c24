// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The config.json files of a diffusers folder's networks. The shapes of their weights are compared with
 * the template's; what shapes do not tell has to be what the template was made with. An option that is
 * not known here has to be off.
 */
final class NetworkConfig {
    /** Options that every UNet has at these values, which are their defaults too. */
    private static final Map<String, Object> UNET =
            Map.ofEntries(
                    Map.entry("act_fn", "silu"),
                    Map.entry("norm_eps", 1e-5),
                    Map.entry("norm_num_groups", 32.0),
                    Map.entry("flip_sin_to_cos", true),
                    Map.entry("freq_shift", 0.0),
                    Map.entry("downsample_padding", 1.0),
                    Map.entry("mid_block_scale_factor", 1.0),
                    Map.entry("resnet_time_scale_shift", "default"),
                    Map.entry("resnet_out_scale_factor", 1.0),
                    Map.entry("time_embedding_type", "positional"),
                    Map.entry("attention_type", "default"),
                    Map.entry("conv_in_kernel", 3.0),
                    Map.entry("conv_out_kernel", 3.0),
                    Map.entry("dropout", 0.0),
                    Map.entry("mid_block_type", "UNetMidBlock2DCrossAttn"));

    private static final Map<String, Object> VAE =
            Map.of("act_fn", "silu", "norm_num_groups", 32.0, "mid_block_add_attention", true);

    private static final Map<String, Object> TEXT = Map.of("layer_norm_eps", 1e-5);

    private static final Map<String, Object> TRANSFORMER =
            Map.of("patch_size", 2.0, "attention_head_dim", 64.0);

    private static final Map<String, Object> T5 =
            Map.of(
                    "d_kv", 64.0,
                    "num_heads", 64.0,
                    "feed_forward_proj", "gated-gelu",
                    "dense_act_fn", "gelu_new",
                    "is_gated_act", true,
                    "relative_attention_num_buckets", 32.0,
                    "relative_attention_max_distance", 128.0,
                    "layer_norm_epsilon", 1e-6);

    /** Options that show in the shapes of weights, or change nothing that is drawn. */
    private static final Set<String> FREE =
            Set.of(
                    // of all networks
                    "_class_name",
                    "_diffusers_version",
                    "_name_or_path",
                    "sample_size",
                    "block_out_channels",
                    "down_block_types",
                    "up_block_types",
                    "layers_per_block",
                    "in_channels",
                    "out_channels",
                    // of UNets
                    "cross_attention_dim",
                    "transformer_layers_per_block",
                    "use_linear_projection",
                    "upcast_attention",
                    "num_attention_heads",
                    "projection_class_embeddings_input_dim",
                    "addition_embed_type_num_heads", // of the type "text" alone
                    "time_cond_proj_dim",
                    // of autoencoders
                    "latent_channels",
                    "force_upcast",
                    "scaling_factor",
                    "shift_factor",
                    "use_quant_conv",
                    "use_post_quant_conv",
                    // of transformers
                    "num_layers",
                    "joint_attention_dim",
                    "caption_projection_dim",
                    "pooled_projection_dim",
                    "pos_embed_max_size",
                    "dual_attention_layers",
                    // of text encoders
                    "d_model",
                    "d_ff",
                    "num_decoder_layers",
                    "is_encoder_decoder",
                    "use_cache",
                    "tie_word_embeddings",
                    "output_past",
                    "classifier_dropout",
                    "dropout_rate",
                    "decoder_start_token_id",
                    "architectures",
                    "model_type",
                    "torch_dtype",
                    "dtype",
                    "transformers_version",
                    "hidden_size",
                    "intermediate_size",
                    "vocab_size",
                    "max_position_embeddings",
                    "projection_dim",
                    "dropout",
                    "attention_dropout",
                    "initializer_factor",
                    "initializer_range",
                    "pad_token_id",
                    "bos_token_id",
                    "eos_token_id",
                    "gradient_checkpointing");

    /** Options that differ between families: the value, and the class's default. */
    private record Special(Object value, @Nullable Object usual) {}

    private NetworkConfig() {}

    private static Map<String, Special> special(Family family, Part part) {
        boolean big = part == Part.TEXT_ENCODER_2;
        return switch (part) {
            case UNET ->
                    family == Family.SDXL || family == Family.SDXL_REFINER
                            ? Map.of(
                                    "attention_head_dim",
                                            new Special(
                                                    family == Family.SDXL
                                                            ? List.of(5.0, 10.0, 20.0)
                                                            : List.of(6.0, 12.0, 24.0, 24.0),
                                                    8.0),
                                    "addition_embed_type", new Special("text_time", null),
                                    "addition_time_embed_dim", new Special(256.0, null))
                            : Map.of(
                                    "attention_head_dim",
                                    new Special(
                                            family == Family.SD2
                                                    ? List.of(5.0, 10.0, 20.0, 20.0)
                                                    : 8.0,
                                            8.0));
            case TRANSFORMER -> {
                boolean normalised = family != Family.SD3_MEDIUM;
                double heads = family == Family.SD35_LARGE ? 38 : 24;
                Special head = new Special(heads, 18.0);
                // SD3's has no qk_norm: an option that is not known has to be off.
                yield normalised
                        ? Map.of(
                                "num_attention_heads",
                                head,
                                "qk_norm",
                                new Special("rms_norm", null))
                        : Map.of("num_attention_heads", head);
            }
            case TEXT_ENCODER, TEXT_ENCODER_2 -> {
                boolean openClip = big || family == Family.SD2;
                yield Map.of(
                        "hidden_act", new Special(openClip ? "gelu" : "quick_gelu", "quick_gelu"),
                        "num_attention_heads",
                                new Special(big ? 20.0 : openClip ? 16.0 : 12.0, 8.0),
                        "num_hidden_layers",
                                new Special(big ? 32.0 : openClip ? 23.0 : 12.0, 12.0));
            }
            default -> Map.of();
        };
    }

    /**
     * Compares a configuration with that of the template.
     *
     * @throws BadBundleException naming the first option that asks for another network
     */
    static void require(FolderJson config, Family family, Part part) {
        Map<String, Special> special = special(family, part);
        special.forEach(
                (option, wanted) -> {
                    if (!wanted.value().equals(config.get(option, wanted.usual()))) {
                        throw config.refused(
                                option,
                                FolderJson.shown(wanted.value()) + " for " + family.title());
                    }
                });
        Map<Part, Map<String, Object>> common = new EnumMap<>(Part.class);
        common.put(Part.UNET, UNET);
        common.put(Part.VAE, VAE);
        common.put(Part.TRANSFORMER, TRANSFORMER);
        common.put(Part.TEXT_ENCODER_3, T5);
        Map<String, Object> usual = common.getOrDefault(part, TEXT);
        config.values()
                .forEach(
                        (option, value) -> {
                            Object wanted = usual.get(option);
                            boolean off =
                                    value == null
                                            || Boolean.FALSE.equals(value)
                                            || value instanceof Map;
                            if (wanted != null && !wanted.equals(value)) {
                                throw config.refused(option, FolderJson.shown(wanted));
                            }
                            if (wanted == null
                                    && !off
                                    && !FREE.contains(option)
                                    && !special.containsKey(option)) {
                                throw config.refused(
                                        option, "null or false: the option is not known");
                            }
                        });
    }
}
