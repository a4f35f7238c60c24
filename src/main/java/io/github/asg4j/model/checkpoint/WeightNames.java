// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Names of weights in the layouts of checkpoints. A weight is asked for by its name in diffusers (or
 * transformers); the answer lists the places where a checkpoint of the layout may have it.
 */
public final class WeightNames {
    private static final String DENOISER = "model.diffusion_model.";
    private static final String TEXT_PROJECTION = "text_projection";

    /** CLIP ViT-L's projection where a file leaves it out: the pooled state is not projected then. */
    private static final Source UNIT = Source.changed("", Source.Change.IDENTITY);

    private static final Pattern UNET_BLOCK =
            Pattern.compile(
                    "(down_blocks|up_blocks|mid_block)\\.(?:(\\d+)\\.)?"
                            + "(resnets|attentions|downsamplers|upsamplers)\\.(\\d+)\\.(.*)");
    private static final Pattern OPEN_CLIP_LAYER =
            Pattern.compile("encoder\\.layers\\.(\\d+)\\.(.*)");
    private static final Pattern PROJECTION =
            Pattern.compile("self_attn\\.([qkv])_proj\\.(weight|bias)");
    private static final Pattern JOINT_BLOCK =
            Pattern.compile("transformer_blocks\\.(\\d+)\\.(.*)");
    private static final Pattern JOINT_PROJECTION =
            Pattern.compile("(attn2?)\\.(to|add)_([qkv])(?:_proj)?\\.(weight|bias)");
    private static final Pattern VAE_UP = Pattern.compile("decoder\\.up_blocks\\.(\\d+)\\.(.*)");
    private static final Pattern VAE_MIDDLE =
            Pattern.compile("(encoder|decoder)\\.mid_block\\.resnets\\.(\\d+)\\.(.*)");

    /** Resolution levels of an autoencoder, whose up blocks single files count from the picture. */
    private static final int VAE_LEVELS = 4;

    private static final Map<String, String> UNET_ENDS =
            Map.of(
                    "time_embedding.linear_1.", "time_embed.0.",
                    "time_embedding.linear_2.", "time_embed.2.",
                    "time_embedding.cond_proj.", "time_embed.cond_proj.",
                    "add_embedding.linear_1.", "label_emb.0.0.",
                    "add_embedding.linear_2.", "label_emb.0.2.",
                    "conv_in.", "input_blocks.0.0.",
                    "conv_norm_out.", "out.0.",
                    "conv_out.", "out.2.");

    private static final Map<String, String> UNET_RESNET =
            Map.of(
                    "norm1.", "in_layers.0.",
                    "conv1.", "in_layers.2.",
                    "time_emb_proj.", "emb_layers.1.",
                    "norm2.", "out_layers.0.",
                    "conv2.", "out_layers.3.",
                    "conv_shortcut.", "skip_connection.");

    private static final Map<String, String> JOINT_ENDS =
            Map.of(
                    "pos_embed.proj.", "x_embedder.proj.",
                    "pos_embed.pos_embed", "pos_embed",
                    "time_text_embed.timestep_embedder.linear_1.", "t_embedder.mlp.0.",
                    "time_text_embed.timestep_embedder.linear_2.", "t_embedder.mlp.2.",
                    "time_text_embed.text_embedder.linear_1.", "y_embedder.mlp.0.",
                    "time_text_embed.text_embedder.linear_2.", "y_embedder.mlp.2.",
                    "context_embedder.", "context_embedder.",
                    "norm_out.linear.", "final_layer.adaLN_modulation.1.",
                    "proj_out.", "final_layer.linear.");

    private static final Map<String, String> JOINT_LAYER =
            Map.ofEntries(
                    Map.entry("attn.to_out.0.", "x_block.attn.proj."),
                    Map.entry("attn2.to_out.0.", "x_block.attn2.proj."),
                    Map.entry("attn.to_add_out.", "context_block.attn.proj."),
                    Map.entry("attn.norm_q.", "x_block.attn.ln_q."),
                    Map.entry("attn.norm_k.", "x_block.attn.ln_k."),
                    Map.entry("attn2.norm_q.", "x_block.attn2.ln_q."),
                    Map.entry("attn2.norm_k.", "x_block.attn2.ln_k."),
                    Map.entry("attn.norm_added_q.", "context_block.attn.ln_q."),
                    Map.entry("attn.norm_added_k.", "context_block.attn.ln_k."),
                    Map.entry("norm1.linear.", "x_block.adaLN_modulation.1."),
                    Map.entry("norm1_context.linear.", "context_block.adaLN_modulation.1."),
                    Map.entry("ff.net.0.proj.", "x_block.mlp.fc1."),
                    Map.entry("ff.net.2.", "x_block.mlp.fc2."),
                    Map.entry("ff_context.net.0.proj.", "context_block.mlp.fc1."),
                    Map.entry("ff_context.net.2.", "context_block.mlp.fc2."));

    private static final Map<String, String> OPEN_CLIP_ENDS =
            Map.of(
                    "embeddings.position_embedding.weight", "positional_embedding",
                    "embeddings.token_embedding.weight", "token_embedding.weight",
                    "final_layer_norm.weight", "ln_final.weight",
                    "final_layer_norm.bias", "ln_final.bias");

    private WeightNames() {}

    /**
     * The places where a checkpoint may have a weight, the usual one first.
     *
     * @param jointBlocks transformer blocks of an SD3 model: the last one differs; else anything
     * @throws IllegalArgumentException if no checkpoint of the layout can have a weight of this name
     */
    public static List<Source> of(Layout layout, Part part, String weight, int jointBlocks) {
        if (layout == Layout.DIFFUSERS) {
            return diffusers(part, weight).map(Source::of).toList();
        }
        if (layout == Layout.TEXT_FILE) {
            Stream<Source> named = diffusers(part, weight).map(Source::of);
            return weight.startsWith(TEXT_PROJECTION) && part == Part.TEXT_ENCODER
                    ? Stream.concat(named, Stream.of(UNIT)).toList()
                    : named.toList();
        }
        return switch (part) {
            case UNET -> unet(weight).map(name -> Source.of(DENOISER + name)).toList();
            case TRANSFORMER -> joint(weight, jointBlocks);
            case VAE -> {
                String name = vae(weight);
                // The last one in a file of its own.
                yield Stream.of("first_stage_model.", "vae.", "")
                        .map(prefix -> Source.of(prefix + name))
                        .toList();
            }
            case TEXT_ENCODER, TEXT_ENCODER_2, TEXT_ENCODER_3 ->
                    text(layout, part, weight.replaceFirst("^text_model\\.", ""));
        };
    }

    /** Names that releases of diffusers and transformers have used for the same weight. */
    private static Stream<String> diffusers(Part part, String weight) {
        if (part == Part.VAE) {
            String old =
                    weight.replace(".to_q.", ".query.")
                            .replace(".to_k.", ".key.")
                            .replace(".to_v.", ".value.")
                            .replace(".to_out.0.", ".proj_attn.");
            return Stream.of(weight, old).distinct();
        }
        if (part.isText()) {
            String bare = weight.replaceFirst("^text_model\\.", "");
            String shared = weight.replace("encoder.embed_tokens.", "shared.");
            return Stream.of(weight, "text_model." + bare, bare, shared).distinct();
        }
        return Stream.of(weight);
    }

    private static Stream<String> unet(String weight) {
        String end = replaceStart(weight, UNET_ENDS);
        if (end != null) {
            return Stream.of(end);
        }
        Matcher block = UNET_BLOCK.matcher(weight);
        if (!block.matches()) {
            throw unknown(weight);
        }
        int layer = Integer.parseInt(block.group(4));
        String rest = block.group(5);
        boolean resnet = block.group(3).equals("resnets");
        if (resnet) {
            String renamed = replaceStart(rest, UNET_RESNET);
            if (renamed == null) {
                throw unknown(weight);
            }
            rest = renamed;
        }
        if (block.group(1).equals("mid_block")) {
            return Stream.of("middle_block." + (resnet ? 2 * layer : 1) + "." + rest);
        }
        int level = Integer.parseInt(block.group(2));
        // Single files number the layers of all levels through: three a level on either way.
        return switch (block.group(3)) {
            case "downsamplers" ->
                    Stream.of(
                            "input_blocks."
                                    + (3 * level + 3)
                                    + ".0."
                                    + rest.replaceFirst("^conv\\.", "op."));
            case "upsamplers" -> {
                String start = "output_blocks." + (3 * level + 2);
                yield Stream.of(start + ".2." + rest, start + ".1." + rest);
            }
            default -> {
                String start =
                        block.group(1).equals("down_blocks")
                                ? "input_blocks." + (3 * level + layer + 1)
                                : "output_blocks." + (3 * level + layer);
                yield Stream.of(start + (resnet ? ".0." : ".1.") + rest);
            }
        };
    }

    private static String vae(String weight) {
        String name = weight;
        Matcher up = VAE_UP.matcher(name);
        if (up.matches()) {
            int level = VAE_LEVELS - 1 - Integer.parseInt(up.group(1));
            name = "decoder.up." + level + "." + up.group(2);
        }
        Matcher middle = VAE_MIDDLE.matcher(name);
        if (middle.matches()) {
            int block = Integer.parseInt(middle.group(2)) + 1;
            name = middle.group(1) + ".mid.block_" + block + "." + middle.group(3);
        }
        return name.replace(".down_blocks.", ".down.")
                .replace(".resnets.", ".block.")
                .replace(".downsamplers.0.", ".downsample.")
                .replace(".upsamplers.0.", ".upsample.")
                .replace(".conv_shortcut.", ".nin_shortcut.")
                .replace(".conv_norm_out.", ".norm_out.")
                .replace(".mid_block.attentions.0.", ".mid.attn_1.")
                .replace(".attn_1.group_norm.", ".attn_1.norm.")
                .replace(".attn_1.to_q.", ".attn_1.q.")
                .replace(".attn_1.to_k.", ".attn_1.k.")
                .replace(".attn_1.to_v.", ".attn_1.v.")
                .replace(".attn_1.to_out.0.", ".attn_1.proj_out.");
    }

    private static List<Source> text(Layout layout, Part part, String weight) {
        String place = layout + "/" + part;
        return switch (place) {
            case "SD1/TEXT_ENCODER" -> clip("cond_stage_model.transformer.", weight);
            case "SDXL/TEXT_ENCODER" -> clip("conditioner.embedders.0.transformer.", weight);
            case "SD2/TEXT_ENCODER" -> openClip("cond_stage_model.model.", weight);
            case "SDXL/TEXT_ENCODER_2" -> openClip("conditioner.embedders.1.model.", weight);
            case "SDXL_REFINER/TEXT_ENCODER_2" ->
                    openClip("conditioner.embedders.0.model.", weight);
            case "SD3/TEXT_ENCODER" ->
                    weight.startsWith(TEXT_PROJECTION)
                            ? List.of(Source.of("text_encoders.clip_l.transformer." + weight), UNIT)
                            : clip("text_encoders.clip_l.transformer.", weight);
            case "SD3/TEXT_ENCODER_2" -> clip("text_encoders.clip_g.transformer.", weight);
            case "SD3/TEXT_ENCODER_3" -> {
                String prefix = "text_encoders.t5xxl.transformer.";
                String shared = weight.replace("encoder.embed_tokens.", "shared.");
                yield List.of(Source.of(prefix + weight), Source.of(prefix + shared));
            }
            default ->
                    throw new IllegalArgumentException(
                            "a checkpoint of layout " + layout + " has no " + part.folder());
        };
    }

    private static List<Source> clip(String prefix, String weight) {
        return weight.startsWith(TEXT_PROJECTION)
                ? List.of(Source.of(prefix + weight))
                : List.of(Source.of(prefix + "text_model." + weight), Source.of(prefix + weight));
    }

    private static List<Source> openClip(String prefix, String weight) {
        String end = OPEN_CLIP_ENDS.get(weight);
        if (end != null) {
            return List.of(Source.of(prefix + end));
        }
        if (weight.equals("text_projection.weight")) {
            return List.of(Source.changed(prefix + "text_projection", Source.Change.TRANSPOSE));
        }
        Matcher layer = OPEN_CLIP_LAYER.matcher(weight);
        if (!layer.matches()) {
            throw unknown(weight);
        }
        String block = prefix + "transformer.resblocks." + layer.group(1) + ".";
        Matcher projection = PROJECTION.matcher(layer.group(2));
        if (projection.matches()) {
            return List.of(
                    Source.share(
                            block + "attn.in_proj_" + projection.group(2),
                            "qkv".indexOf(projection.group(1)),
                            3));
        }
        String rest =
                layer.group(2)
                        .replace("layer_norm", "ln_")
                        .replace("mlp.fc1.", "mlp.c_fc.")
                        .replace("mlp.fc2.", "mlp.c_proj.")
                        .replace("self_attn.", "attn.");
        return List.of(Source.of(block + rest));
    }

    private static List<Source> joint(String weight, int blocks) {
        Source source = jointSource(weight, blocks);
        Source prefixed =
                new Source(
                        DENOISER + source.tensor(), source.part(), source.parts(), source.change());
        return List.of(prefixed, source);
    }

    private static Source jointSource(String weight, int blocks) {
        Matcher block = JOINT_BLOCK.matcher(weight);
        if (!block.matches()) {
            String end = replaceStart(weight, JOINT_ENDS);
            if (end == null) {
                throw unknown(weight);
            }
            return weight.startsWith("norm_out.")
                    ? Source.changed(end, Source.Change.SWAP_HALVES)
                    : Source.of(end);
        }
        String start = "joint_blocks." + block.group(1) + ".";
        String rest = block.group(2);
        Matcher projection = JOINT_PROJECTION.matcher(rest);
        if (projection.matches()) {
            String stream = projection.group(2).equals("to") ? "x_block." : "context_block.";
            String tensor = start + stream + projection.group(1) + ".qkv." + projection.group(4);
            return Source.share(tensor, "qkv".indexOf(projection.group(3)), 3);
        }
        String renamed = replaceStart(rest, JOINT_LAYER);
        if (renamed == null) {
            throw unknown(weight);
        }
        // The last block only scales and shifts the text, in the other order.
        boolean last = Integer.parseInt(block.group(1)) == blocks - 1;
        return last && rest.startsWith("norm1_context.")
                ? Source.changed(start + renamed, Source.Change.SWAP_HALVES)
                : Source.of(start + renamed);
    }

    private static @Nullable String replaceStart(String name, Map<String, String> starts) {
        return starts.entrySet().stream()
                .filter(start -> name.startsWith(start.getKey()))
                .findFirst()
                .map(start -> start.getValue() + name.substring(start.getKey().length()))
                .orElse(null);
    }

    private static IllegalArgumentException unknown(String weight) {
        return new IllegalArgumentException("no weight is called " + weight);
    }
}
