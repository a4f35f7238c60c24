// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.ort.Place;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.run.picture.DecodeRun;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.InterruptibleRuns;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.SplittableRandom;

/**
 * What exact tiles cost: decodes of random latents whole and in tiles of each size, in turn, on one thread
 * of the CPU; processor time as a ratio to the whole decode's, peak memory above what the process held
 * before, and the largest difference in levels of 255.
 *
 * <p>{@code VaeTiles BUNDLE|demo PIXELS ROUNDS TILE...}; a tile of 0 is the whole.
 */
public final class VaeTiles {
    private VaeTiles() {}

    public static void main(String[] args) throws Throwable {
        MethodHandle clock = GuidedStep.clock();
        Path model = args[0].equals("demo") ? null : Path.of(args[0]);
        int rounds = Integer.parseInt(args[2]);
        try (Bundle bundle = Bundle.open(model, ModelParts.NONE, false);
                Memory memory = new Memory("tiles")) {
            Manifest.Latent latent = bundle.manifest().latent();
            int cells = Integer.parseInt(args[1]) / latent.vaeFactor();
            MemorySegment latents =
                    memory.floats((long) latent.channels() * cells * cells, "latents");
            SplittableRandom random = new SplittableRandom(1);
            for (long i = 0; i < latents.byteSize() / 4; i++) {
                latents.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            long pixels = (long) cells * cells * latent.vaeFactor() * latent.vaeFactor();
            MemorySegment whole = memory.floats(3 * pixels, "whole");
            MemorySegment image = memory.floats(3 * pixels, "image");
            double wholeSeconds = Double.NaN;
            for (int round = 0; round < rounds; round++) {
                for (int i = 3; i < args.length; i++) {
                    int tile = Integer.parseInt(args[i]);
                    MemorySegment to = tile == 0 ? whole : image;
                    long before = ProcessMemory.resetPeak();
                    double seconds =
                            decode(bundle, tile / latent.vaeFactor(), latents, to, cells, clock);
                    long peak = ProcessMemory.bytes("VmHWM") - before;
                    wholeSeconds = tile == 0 ? seconds : wholeSeconds;
                    System.out.printf(
                            "%s: %.2f s of processor, %.2f of the whole; peak %,d MB, %.1f bytes a"
                                    + " pixel and channel; differs by %.4f of 255%n",
                            tile == 0 ? "whole" : "tiles of " + tile,
                            seconds,
                            seconds / wholeSeconds,
                            peak / 1_000_000,
                            (double) peak / pixels / bundle.manifest().vae().width(),
                            127.5 * largestDifference(whole, to));
                }
            }
        }
    }

    private static double decode(
            Bundle bundle,
            int tile,
            MemorySegment latents,
            MemorySegment image,
            int cells,
            MethodHandle clock)
            throws Throwable {
        Manifest.Vae vae = bundle.manifest().vae();
        Manifest.Latent latent = bundle.manifest().latent();
        Decoding.Tiling tiling =
                tile == 0
                        ? new Decoding.Tiling(Long.MAX_VALUE, 2, 1)
                        : new Decoding.Tiling(0, tile, 1);
        try (VaeDecoder decoder =
                new VaeDecoder(latent, vae, LoadedModel.graphs(bundle, Place.cpu(1)), true)) {
            // The first decode loads the networks.
            double seconds = 0;
            for (int run = 0; run < 2; run++) {
                Decoding decoding = new Decoding(vae, latent, cells, cells, tiling, 1, false);
                double begin = GuidedStep.cpuMillis(clock);
                try (DecodeRun decode =
                        DecodeRun.of(
                                new DecodeRun.Job(
                                        decoding,
                                        worker -> decoder,
                                        WorkUnits.NOBODY,
                                        1,
                                        1,
                                        latents,
                                        image,
                                        new JavaKernels()))) {
                    decode.carryOut(new InterruptibleRuns());
                }
                seconds = (GuidedStep.cpuMillis(clock) - begin) / 1e3;
            }
            return seconds;
        }
    }

    private static double largestDifference(MemorySegment a, MemorySegment b) {
        double largest = 0;
        for (long i = 0; i < a.byteSize() / 4; i++) {
            double x = a.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            largest = Math.max(largest, Math.abs(x - b.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        }
        return largest;
    }
}
