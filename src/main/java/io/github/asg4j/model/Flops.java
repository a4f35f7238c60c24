// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Floating-point operations of a bundle's networks, counted in their graphs
 * (onnx-export/asg4j_export/flops.py): a multiplication and an addition are two; convolutions, matrix
 * products and both products of attention count, what runs over a tensor element by element does not. All
 * are functions of the latent cells that a network is run over, of one row whose prompt has one chunk.
 *
 * @param denoiser of one row, without its attention maps
 * @param shallow of one row of its outermost layers alone, which take the features of an earlier one; null:
 *     it cannot be cut
 * @param decoder of the VAE, whole
 * @param encoder of the VAE, whole; null: there is none
 * @param tiledDecoder the decoder in two parts; null: there are none
 * @param tiledEncoder the encoder in two parts; null: there are none
 */
public record Flops(
        Count denoiser,
        @Nullable Count shallow,
        Count decoder,
        @Nullable Count encoder,
        @Nullable Tiled tiledDecoder,
        @Nullable Tiled tiledEncoder) {
    /** The most that a coefficient can be: far beyond any network's, and far below what overflows. */
    private static final double MOST = 1e18;

    private static final String DENOISER = "denoiser";
    private static final String SHALLOW = "shallow";
    private static final String DECODER = "decoder";
    private static final String ENCODER = "encoder";
    private static final String TILED_DECODER = "tiled_decoder";
    private static final String TILED_ENCODER = "tiled_encoder";

    /** Operations over n latent cells: {@code constant + linear * n + quadratic * n * n}. */
    public record Count(double constant, double linear, double quadratic) {
        /** Returns the operations over so many cells. */
        public double of(double cells) {
            return constant + cells * (linear + cells * quadratic);
        }

        private Count plus(double constantly, double linearly) {
            return new Count(constant + constantly, linear + linearly, quadratic);
        }

        private static Count parse(Json json) {
            List<Json> items = json.items(3, 3);
            return new Count(
                    items.get(0).number(0, MOST),
                    items.get(1).number(0, MOST),
                    items.get(2).number(0, MOST));
        }

        private List<Double> json() {
            return List.of(constant, linear, quadratic);
        }
    }

    /**
     * A network of the VAE in two parts.
     *
     * @param whole of the part that runs over all cells at once
     * @param tile of the part that runs in tiles, over the cells of one tile: in all its passes from norm to
     *     norm, what leads to the first of them twice ({@link PassCut})
     * @param anew the same where each pass begins anew
     */
    public record Tiled(Count whole, Count tile, Count anew) {
        private static Tiled parse(Json json) {
            json.onlyKeys("whole", "tile", "anew");
            return new Tiled(
                    Count.parse(json.get("whole")),
                    Count.parse(json.get("tile")),
                    Count.parse(json.get("anew")));
        }

        private Map<String, Object> json() {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("whole", whole.json());
            map.put("tile", tile.json());
            map.put("anew", anew.json());
            return map;
        }
    }

    /**
     * Reads a manifest's {@code flops}.
     *
     * @param json null: the bundle does not say them
     * @return null: it does not, or says only what an earlier version counted
     * @throws io.github.asg4j.BadBundleException unless they are those of the manifest's networks
     */
    static @Nullable Flops parse(@Nullable Json json, Manifest.Vae vae) {
        if (json == null) {
            return null;
        }
        json.onlyKeys(DENOISER, SHALLOW, DECODER, ENCODER, TILED_DECODER, TILED_ENCODER);
        Json shallow = json.optional(SHALLOW);
        Json encoder = of(json, ENCODER, vae.encoder() != null);
        Json tiledDecoder = of(json, TILED_DECODER, vae.tiledDecoder() != null);
        Json tiledEncoder = of(json, TILED_ENCODER, vae.tiledEncoder() != null);
        if (isOlder(tiledDecoder) || isOlder(tiledEncoder)) {
            return null;
        }
        return new Flops(
                Count.parse(json.get(DENOISER)),
                shallow == null ? null : Count.parse(shallow),
                Count.parse(json.get(DECODER)),
                encoder == null ? null : Count.parse(encoder),
                tiledDecoder == null ? null : Tiled.parse(tiledDecoder),
                tiledEncoder == null ? null : Tiled.parse(tiledEncoder));
    }

    /** Whether they were counted when all tiles began anew for each norm. */
    private static boolean isOlder(@Nullable Json tiled) {
        return tiled != null && tiled.optional("anew") == null;
    }

    /** Those of a network that the VAE may have; null: it has not. */
    private static @Nullable Json of(Json flops, String network, boolean there) {
        Json json = flops.optional(network);
        if (json != null && !there) {
            throw json.refused("the bundle's vae has no " + network + ": leave it out");
        }
        return there ? flops.get(network) : null;
    }

    /** As {@link #parse} reads them. */
    Map<String, Object> json() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put(DENOISER, denoiser.json());
        if (shallow != null) {
            map.put(SHALLOW, shallow.json());
        }
        map.put(DECODER, decoder.json());
        if (encoder != null) {
            map.put(ENCODER, encoder.json());
        }
        if (tiledDecoder != null) {
            map.put(TILED_DECODER, tiledDecoder.json());
        }
        if (tiledEncoder != null) {
            map.put(TILED_ENCODER, tiledEncoder.json());
        }
        return map;
    }

    /**
     * A template's as those of a model whose denoiser has further inputs.
     *
     * @param width channels of the denoiser's outermost level
     * @param inpaintChannels that its first convolution, 3x3, takes beside the latents
     * @param guidanceWidth values of an embedded guidance scale that a linear layer projects to that width
     */
    Flops filled(int width, int inpaintChannels, int guidanceWidth) {
        double constant = 2.0 * guidanceWidth * width;
        double linear = 2.0 * 9 * inpaintChannels * width;
        return new Flops(
                denoiser.plus(constant, linear),
                shallow == null ? null : shallow.plus(constant, linear),
                decoder,
                encoder,
                tiledDecoder,
                tiledEncoder);
    }

    /** The same with another autoencoder's. */
    Flops withVae(Flops other) {
        return new Flops(
                denoiser,
                shallow,
                other.decoder,
                other.encoder,
                other.tiledDecoder,
                other.tiledEncoder);
    }

    /** The same without the encoder. */
    Flops withoutEncoder() {
        return new Flops(denoiser, shallow, decoder, null, tiledDecoder, null);
    }
}
