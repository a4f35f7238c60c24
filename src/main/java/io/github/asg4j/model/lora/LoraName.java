// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.model.checkpoint.Part;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * A tensor's name in a LoRA file, taken apart. Trainers name the same thing in many ways: kohya's
 * ({@code lora_unet_down_blocks_0_..._to_q.lora_down.weight}), that of diffusers and PEFT ({@code
 * unet.down_blocks.0....to_q.lora_A.weight}), of older diffusers ({@code ...attn1.processor.to_q_lora.
 * down.weight}), LyCORIS's and others.
 *
 * @param network which of the model's networks it changes
 * @param module the layer, its dots written as _, in diffusers' or in the single file's names
 * @param role what the tensor is of the change
 */
record LoraName(Network network, String module, Role role) {
    /** Network of a model, of whatever family. */
    enum Network {
        DENOISER,
        TEXT_ENCODER,
        TEXT_ENCODER_2,
        TEXT_ENCODER_3;

        /**
         * The part of a model.
         *
         * @param denoiser what the model's denoiser is
         */
        Part part(Part denoiser) {
            return switch (this) {
                case DENOISER -> denoiser;
                case TEXT_ENCODER -> Part.TEXT_ENCODER;
                case TEXT_ENCODER_2 -> Part.TEXT_ENCODER_2;
                case TEXT_ENCODER_3 -> Part.TEXT_ENCODER_3;
            };
        }
    }

    /** What a tensor is of a change; with the ends of its names. */
    enum Role {
        /** Of a low-rank change, {@code [rank, in...]}. */
        DOWN(
                ".lora_down.weight",
                ".lora_A.weight",
                ".lora.down.weight",
                "_lora.down.weight",
                "_lora_down.weight",
                ".lora_linear_layer.down.weight"),
        /** Of a low-rank change, {@code [out, rank...]}. */
        UP(
                ".lora_up.weight",
                ".lora_B.weight",
                ".lora.up.weight",
                "_lora.up.weight",
                "_lora_up.weight",
                ".lora_linear_layer.up.weight"),
        /** Between the two in a convolution's Tucker form, {@code [rank, rank, height, width]}. */
        MID(".lora_mid.weight"),
        /** The change is multiplied by it and divided by the rank. */
        ALPHA(".alpha"),
        /** DoRA's length of each row or column, as LyCORIS and kohya write it. */
        DORA_SCALE(".dora_scale"),
        /** DoRA's length of each row, as PEFT writes it. */
        MAGNITUDE(".lora_magnitude_vector", ".lora_magnitude_vector.weight"),
        HADA_W1_A(".hada_w1_a"),
        HADA_W1_B(".hada_w1_b"),
        HADA_W2_A(".hada_w2_a"),
        HADA_W2_B(".hada_w2_b"),
        HADA_T1(".hada_t1"),
        HADA_T2(".hada_t2"),
        LOKR_W1(".lokr_w1"),
        LOKR_W1_A(".lokr_w1_a"),
        LOKR_W1_B(".lokr_w1_b"),
        LOKR_W2(".lokr_w2"),
        LOKR_W2_A(".lokr_w2_a"),
        LOKR_W2_B(".lokr_w2_b"),
        LOKR_T2(".lokr_t2"),
        /** The whole change of a weight. */
        FULL(".diff", ".w_norm"),
        /** The whole change of a bias. */
        FULL_BIAS(".diff_b", ".b_norm");

        /** One a line: enums hold nothing that can change. */
        private final String ends;

        Role(String... ends) {
            this.ends = String.join("\n", ends);
        }
    }

    /** PEFT writes the adapter's name into that of a tensor, mostly "default". */
    private static final Pattern ADAPTER =
            Pattern.compile("\\.(lora_[AB])\\.[^.]+\\.weight$|\\.(lora_magnitude_vector)\\..+$");

    /** Wrappers that say nothing. */
    private static final Pattern WRAPPER = Pattern.compile("^(base_model\\.model\\.|module\\.)+");

    private static final Map<String, Network> PREFIXES =
            Map.ofEntries(
                    Map.entry("lora_unet_", Network.DENOISER),
                    Map.entry("lora_transformer_", Network.DENOISER),
                    Map.entry("lora_te_", Network.TEXT_ENCODER),
                    Map.entry("lora_te1_", Network.TEXT_ENCODER),
                    Map.entry("lora_te2_", Network.TEXT_ENCODER_2),
                    Map.entry("lora_te3_", Network.TEXT_ENCODER_3),
                    Map.entry("lycoris_", Network.DENOISER),
                    Map.entry("model.diffusion_model.", Network.DENOISER),
                    Map.entry("diffusion_model.", Network.DENOISER),
                    Map.entry("unet.", Network.DENOISER),
                    Map.entry("transformer.", Network.DENOISER),
                    Map.entry("text_encoder.", Network.TEXT_ENCODER),
                    Map.entry("text_encoder_2.", Network.TEXT_ENCODER_2),
                    Map.entry("text_encoder_3.", Network.TEXT_ENCODER_3),
                    Map.entry("text_encoders.clip_l.transformer.", Network.TEXT_ENCODER),
                    Map.entry("text_encoders.clip_g.transformer.", Network.TEXT_ENCODER_2),
                    Map.entry("text_encoders.t5xxl.transformer.", Network.TEXT_ENCODER_3));

    /** Ends and starts of names that belong to forms that are not read, and what they are. */
    private static final List<Map.Entry<Pattern, String>> OTHER_FORMS =
            List.of(
                    form(
                            "^(model\\.diffusion_model|first_stage_model|cond_stage_model|conditioner)"
                                + "\\.",
                            "a weight of a whole model: give the file with --model"),
                    form(
                            "^(unet|text_encoder):\\d+:(up|down)$",
                            "the first form of LoRA files,"
                                    + " which numbers the layers: convert it with the tools of"
                                    + " cloneofsimo/lora, or use a file of another trainer"),
                    form(
                            "^<.*>$|^bundle_emb\\.|^emb_params$|^clip_[lg]$",
                            "a textual-inversion"
                                    + " embedding, which is not supported in a LoRA file"),
                    form("\\.oft_(blocks|diag)$|\\.oft_R\\.", "OFT, which is not supported"),
                    form("\\.on_input$|\\.ia3_l", "IA3, which is not supported"),
                    form("\\.[ab][12]\\.weight$", "GLoRA, which is not supported"),
                    form(
                            "\\.lora_B\\.(.+\\.)?bias$",
                            "a bias of a LoRA (lora_bias), which is not" + " supported"));

    private static Map.Entry<Pattern, String> form(String names, String what) {
        return Map.entry(Pattern.compile(names), what);
    }

    /**
     * Takes a name apart.
     *
     * @return null: it is none of a LoRA's
     */
    static @Nullable LoraName parse(String key) {
        String name =
                ADAPTER.matcher(key)
                        .replaceFirst(
                                m ->
                                        "."
                                                + (m.group(1) == null
                                                        ? m.group(2)
                                                        : m.group(1) + ".weight"));
        Role role = null;
        String path = name;
        for (Role r : Role.values()) {
            Optional<String> end = r.ends.lines().filter(name::endsWith).findFirst();
            if (end.isPresent()) {
                role = r;
                path = name.substring(0, name.length() - end.get().length());
                break;
            }
        }
        if (role == null) {
            return null;
        }
        path = WRAPPER.matcher(path).replaceFirst("");
        Network network = null;
        for (Map.Entry<String, Network> prefix : PREFIXES.entrySet()) {
            if (path.startsWith(prefix.getKey())) {
                network = prefix.getValue();
                path = path.substring(prefix.getKey().length());
                break;
            }
        }
        String module =
                path.replace(".processor.", ".").replace('.', '_').replaceFirst("^unet_", "");
        if (module.startsWith("text_model_")) {
            module = module.substring("text_model_".length());
            network =
                    network == null || network == Network.DENOISER ? Network.TEXT_ENCODER : network;
        }
        return new LoraName(network == null ? Network.DENOISER : network, module, role);
    }

    /** What a tensor is that {@link #parse} makes nothing of. */
    static String otherForm(String key) {
        return OTHER_FORMS.stream()
                .filter(form -> form.getKey().matcher(key).find())
                .map(Map.Entry::getValue)
                .findFirst()
                .orElse("no tensor of a LoRA, LoCon, LoHa, LoKr or DoRA");
    }
}
