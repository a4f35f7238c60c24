// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What a single file holds, told from the names and shapes of its tensors and from its metadata.
 *
 * @param family its architecture
 * @param parts the networks whose weights it holds
 * @param prediction what its denoiser predicts: "epsilon", "v" or "flow"; null: the file does not say
 *     it, and both are published for this architecture
 * @param zeroTerminalSnr whether it was trained with a noise schedule that ends in pure noise
 * @param inputChannels channels of the denoiser's input: 4 or 16 for latents alone, 9 for inpainting,
 *     8 for editing by instruction, 5 with a depth map
 * @param guidanceWidth values of the guidance scale's embedding that the denoiser takes as an input
 *     (LCM); 0: it takes none
 * @param jointBlocks transformer blocks of an SD3 model; 0 for a UNet
 */
public record Recognition(
        Family family,
        Set<Part> parts,
        @Nullable String prediction,
        boolean zeroTerminalSnr,
        int inputChannels,
        int guidanceWidth,
        int jointBlocks) {

    private static final String DENOISER = "model.diffusion_model.";
    private static final String FIRST = "input_blocks.0.0.weight";
    private static final int SD3_MEDIUM_BLOCKS = 24;
    private static final int SD35_LARGE_BLOCKS = 38;

    /** Tensors that only files of other kinds have, and what such a file is. */
    private static final Map<String, String> OTHERS =
            new TreeMap<>(
                    Map.ofEntries(
                            Map.entry("lora_unet_", "a LoRA: give it with --lora"),
                            Map.entry("lora_te", "a LoRA: give it with --lora"),
                            Map.entry("lora_A.", "a LoRA: give it with --lora"),
                            Map.entry(".lora_", "a LoRA: give it with --lora"),
                            Map.entry("_lora.", "a LoRA: give it with --lora"),
                            Map.entry(".lora.", "a LoRA: give it with --lora"),
                            Map.entry("hada_w1_a", "a LoHa: give it with --lora"),
                            Map.entry("lokr_w", "a LoKr: give it with --lora"),
                            Map.entry("emb_params", "a textual-inversion embedding"),
                            Map.entry("control_model.", "a ControlNet"),
                            Map.entry("controlnet_", "a ControlNet"),
                            Map.entry("double_blocks.", "a FLUX model, which is not supported"),
                            Map.entry(
                                    "double_layers.", "an AuraFlow model, which is not supported"),
                            Map.entry(
                                    "text_projection.0.", "a PixArt model, which is not supported"),
                            Map.entry(
                                    "down_blocks.0.0.channelwise.",
                                    "a Stable Cascade model, which is not supported"),
                            Map.entry("conv_body.", "an upscaler"),
                            Map.entry("RDB1.", "an upscaler")));

    /** Tensors that mark models whose noise levels are not those of Stable Diffusion. */
    private static final List<String> OTHER_NOISE =
            List.of("edm_mean", "edm_vpred.sigma_max", "edm_vpred.sigma_min");

    public Recognition {
        parts = Set.copyOf(parts);
    }

    /**
     * Recognises a single file.
     *
     * @param file its name, for messages
     * @param shapes extents of its tensors by name
     * @param metadata of its header
     * @throws BadBundleException if it holds no denoiser of a known architecture, saying what it holds
     */
    public static Recognition of(
            String file, Map<String, List<Long>> shapes, Map<String, String> metadata) {
        String prefix = prefix(shapes);
        if (prefix == null) {
            throw new BadBundleException(file + " " + other(shapes));
        }
        refuseOtherNoise(file, shapes);
        int blocks = jointBlocks(prefix, shapes);
        String second = prefix + "joint_blocks.0.x_block.attn2.qkv.weight";
        Family family =
                blocks > 0
                        ? transformer(file, blocks, shapes.containsKey(second))
                        : unet(file, shapes);
        EnumSet<Part> parts = EnumSet.of(family.denoiser());
        if (has(shapes, "first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight")) {
            parts.add(Part.VAE);
        }
        for (Part text : family.textEncoders()) {
            String token =
                    text == Part.TEXT_ENCODER_3
                            ? "encoder.final_layer_norm.weight"
                            : "embeddings.token_embedding.weight";
            List<Source> places = WeightNames.of(family.singleFile(), text, token, blocks);
            if (places.stream().anyMatch(place -> shapes.containsKey(place.tensor()))) {
                parts.add(text);
            }
        }
        return new Recognition(
                family,
                parts,
                prediction(family, shapes, metadata),
                shapes.containsKey("ztsnr"),
                inputChannels(prefix, shapes, blocks),
                guidanceWidth(shapes, prefix + "time_embed.cond_proj.weight"),
                blocks);
    }

    /**
     * Recognises the denoiser of a diffusers folder, whose scheduler says what it predicts.
     *
     * @param folder its name, for messages
     * @param denoiser its tensors
     */
    static Recognition ofFolder(String folder, Map<String, Tensor> denoiser) {
        Map<String, List<Long>> shapes = new TreeMap<>();
        denoiser.forEach((name, tensor) -> shapes.put(name, tensor.shape()));
        if (shapes.containsKey("transformer_blocks.0.attn.to_q.weight")) {
            return ofTransformer(folder, shapes);
        }
        List<Long> first = shapes.getOrDefault("conv_in.weight", List.of());
        Family family = unet(folder, shapes);
        EnumSet<Part> parts = EnumSet.of(Part.UNET, Part.VAE);
        parts.addAll(family.textEncoders());
        return new Recognition(
                family,
                parts,
                null,
                false,
                first.size() == 4 ? Math.toIntExact(first.get(1)) : 0,
                guidanceWidth(shapes, "time_embedding.cond_proj.weight"),
                0);
    }

    private static Recognition ofTransformer(String folder, Map<String, List<Long>> shapes) {
        int blocks = count(shapes, "transformer_blocks.", ".attn.to_q.weight");
        String second = "transformer_blocks.0.attn2.to_q.weight";
        Family family = transformer(folder, blocks, shapes.containsKey(second));
        EnumSet<Part> parts = EnumSet.of(Part.TRANSFORMER, Part.VAE);
        parts.addAll(family.textEncoders());
        List<Long> first = shapes.getOrDefault("pos_embed.proj.weight", List.of());
        int channels = first.size() == 4 ? Math.toIntExact(first.get(1)) : 0;
        return new Recognition(family, parts, null, false, channels, 0, blocks);
    }

    /** What it is, for people. */
    public String title() {
        return family.title()
                + (inpaintChannels() > 0 ? " inpainting" : "")
                + (guidanceWidth > 0 ? " LCM" : "");
    }

    /** Channels that the denoiser takes beside the latents: a mask and a masked picture's, or none. */
    public int inpaintChannels() {
        return inputChannels - family.latentChannels();
    }

    /** Whether the denoiser takes what that of its family's plain model does not. */
    public boolean takesMore() {
        return inpaintChannels() > 0 || guidanceWidth > 0;
    }

    /** The same with what the denoiser predicts. */
    Recognition predicting(String predicted) {
        return new Recognition(
                family,
                parts,
                predicted,
                zeroTerminalSnr,
                inputChannels,
                guidanceWidth,
                jointBlocks);
    }

    /** What the denoiser's tensors begin with; null: there is none. */
    private static @Nullable String prefix(Map<String, List<Long>> shapes) {
        for (String prefix : List.of(DENOISER, "")) {
            if (shapes.containsKey(prefix + FIRST)
                    || shapes.containsKey(prefix + "joint_blocks.0.x_block.attn.qkv.weight")) {
                return prefix;
            }
        }
        return null;
    }

    private static int jointBlocks(String prefix, Map<String, List<Long>> shapes) {
        return count(shapes, prefix + "joint_blocks.", ".x_block.attn.qkv.weight");
    }

    /** Blocks that have a weight, numbered from 0. */
    private static int count(Map<String, List<Long>> shapes, String start, String end) {
        int blocks = 0;
        while (shapes.containsKey(start + blocks + end)) {
            blocks++;
        }
        return blocks;
    }

    private static Family unet(String file, Map<String, List<Long>> shapes) {
        long width = 0;
        for (Map.Entry<String, List<Long>> tensor : shapes.entrySet()) {
            if (tensor.getKey().endsWith("attn2.to_k.weight") && tensor.getValue().size() == 2) {
                width = tensor.getValue().get(1);
                break;
            }
        }
        return switch ((int) width) {
            case 768 -> Family.SD1;
            case 1024 -> Family.SD2;
            case 2048 -> Family.SDXL;
            case 1280 -> Family.SDXL_REFINER;
            default ->
                    throw new BadBundleException(
                            file
                                    + " holds a UNet whose cross-attention takes text of width "
                                    + width
                                    + "; known are 768 (SD 1.x), 1024 (SD 2.x), 2048 (SDXL) and"
                                    + " 1280 (SDXL refiner)");
        };
    }

    /**
     * @param second whether its first block attends a second time, over the image alone
     */
    private static Family transformer(String file, int blocks, boolean second) {
        if (blocks == SD35_LARGE_BLOCKS) {
            return Family.SD35_LARGE;
        }
        if (blocks == SD3_MEDIUM_BLOCKS) {
            return second ? Family.SD35_MEDIUM : Family.SD3_MEDIUM;
        }
        throw new BadBundleException(
                file
                        + " holds an SD3 transformer of "
                        + blocks
                        + " blocks; known are 24 (SD3 and SD3.5 medium) and 38 (SD3.5 large)");
    }

    /** Refuses what would be drawn with noise levels that the network was not trained on. */
    private static void refuseOtherNoise(String file, Map<String, List<Long>> shapes) {
        for (String marker : OTHER_NOISE) {
            if (shapes.containsKey(marker)) {
                throw new BadBundleException(
                        file
                                + " was trained on noise levels of its own (EDM; its tensor "
                                + marker
                                + " says so), which is not supported");
            }
        }
    }

    /** Columns of the matrix that an embedding of the guidance scale goes through; 0: there is none. */
    private static int guidanceWidth(Map<String, List<Long>> shapes, String projection) {
        List<Long> shape = shapes.getOrDefault(projection, List.of());
        return shape.isEmpty() ? 0 : Math.toIntExact(shape.getLast());
    }

    private static int inputChannels(String prefix, Map<String, List<Long>> shapes, int blocks) {
        String first = prefix + (blocks > 0 ? "x_embedder.proj.weight" : FIRST);
        List<Long> shape = shapes.getOrDefault(first, List.of());
        return shape.size() == 4 ? Math.toIntExact(shape.get(1)) : 0;
    }

    private static @Nullable String prediction(
            Family family, Map<String, List<Long>> shapes, Map<String, String> metadata) {
        if (family.denoiser() == Part.TRANSFORMER) {
            return "flow";
        }
        if (shapes.containsKey("v_pred")) {
            return "v";
        }
        String said =
                metadata.getOrDefault("modelspec.prediction_type", "").toLowerCase(Locale.ROOT);
        if (said.startsWith("v")) {
            return "v";
        }
        if (said.startsWith("eps")) {
            return "epsilon";
        }
        return family == Family.SD2 ? null : "epsilon";
    }

    /** What a file is, for a message that says what it is not. */
    static String kind(Map<String, List<Long>> shapes) {
        return prefix(shapes) == null ? other(shapes) : "is a model without an autoencoder";
    }

    /** What a file without a denoiser is. */
    private static String other(Map<String, List<Long>> shapes) {
        for (String name : shapes.keySet()) {
            for (Map.Entry<String, String> kind : OTHERS.entrySet()) {
                if (name.contains(kind.getKey())) {
                    return "is " + kind.getValue() + ", not a model that draws";
                }
            }
        }
        if (has(
                shapes,
                "down_blocks.0.resnets.0.conv1.weight",
                "transformer_blocks.0.attn.to_q.weight")) {
            return "holds a denoiser alone, in the names of diffusers: give the folder of the whole"
                    + " checkpoint";
        }
        if (shapes.keySet().stream().anyMatch(name -> name.startsWith("unet."))) {
            return "names its denoiser's tensors unet.…, as tools that merge models do: not"
                    + " supported; save it as a single file in the publisher's layout, or as a"
                    + " diffusers folder";
        }
        if (has(shapes, "decoder.conv_in.weight", "first_stage_model.decoder.conv_in.weight")) {
            return "holds an autoencoder alone: give it with --vae, beside a model";
        }
        if (has(
                shapes,
                "text_model.embeddings.token_embedding.weight",
                "encoder.block.0.layer.0.SelfAttention.q.weight")) {
            return "holds a text encoder alone: give it with --text-encoder, beside a model";
        }
        return "holds no denoiser that is known; its first tensors are "
                + shapes.keySet().stream().limit(3).toList();
    }

    private static boolean has(Map<String, List<Long>> shapes, String... names) {
        for (String name : names) {
            if (shapes.containsKey(name)) {
                return true;
            }
        }
        return false;
    }
}
