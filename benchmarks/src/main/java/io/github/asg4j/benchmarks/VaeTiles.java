// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.OpenVinoLibraries;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Provider;
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
 * of the CPU; processor time as a ratio to the first one's, loading what tiles load for each picture
 * included, peak memory above what the process held before, the largest difference from the first in levels
 * of 255 and the PSNR of the 8-bit pixels.
 *
 * <p>{@code VaeTiles BUNDLE|demo PIXELS ROUNDS TILE[:bf16]...}; a tile of 0 is the whole.
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
                float value = (float) (random.nextGaussian() / latent.scaling());
                latents.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            }
            long pixels = (long) cells * cells * latent.vaeFactor() * latent.vaeFactor();
            MemorySegment first = memory.floats(3 * pixels, "first");
            MemorySegment image = memory.floats(3 * pixels, "image");
            double firstSeconds = Double.NaN;
            for (int round = 0; round < rounds; round++) {
                for (int i = 3; i < args.length; i++) {
                    String[] way = args[i].split(":");
                    int tile = Integer.parseInt(way[0]);
                    boolean bf16 = way.length > 1;
                    MemorySegment to = i == 3 ? first : image;
                    long before = ProcessMemory.resetPeak();
                    double seconds =
                            decode(
                                    bundle,
                                    bf16,
                                    tile / latent.vaeFactor(),
                                    latents,
                                    to,
                                    cells,
                                    clock);
                    long peak = ProcessMemory.bytes("VmHWM") - before;
                    firstSeconds = i == 3 ? seconds : firstSeconds;
                    System.out.printf(
                            "%s%s: %.2f s of processor, %.2f of the first; peak %,d MB, %.1f bytes"
                                    + " a pixel and channel; differs by %.4f of 255, %.1f dB%n",
                            tile == 0 ? "whole" : "tiles of " + tile,
                            bf16 ? " in bf16" : "",
                            seconds,
                            seconds / firstSeconds,
                            peak / 1_000_000,
                            (double) peak / pixels / bundle.manifest().vae().width(),
                            127.5 * largestDifference(first, to),
                            psnr(first, to));
                }
            }
        }
    }

    private static double decode(
            Bundle bundle,
            boolean bf16,
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
        Place place = bf16 ? new Place(1, provider(), false) : Place.cpu(1);
        try (VaeDecoder decoder =
                new VaeDecoder(latent, vae, LoadedModel.graphs(bundle, place), true)) {
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

    private static Provider provider() {
        return OpenVinoProvider.open(new OpenVinoLibraries().find(), 1, 1, CompiledCache.NONE)
                .keepingNone(1, 1);
    }

    private static double psnr(MemorySegment a, MemorySegment b) {
        double squares = 0;
        long count = a.byteSize() / 4;
        for (long i = 0; i < count; i++) {
            double difference =
                    Bf16Network.level(a.getAtIndex(ValueLayout.JAVA_FLOAT, i))
                            - Bf16Network.level(b.getAtIndex(ValueLayout.JAVA_FLOAT, i));
            squares += difference * difference;
        }
        return 10 * Math.log10(255.0 * 255 * count / squares);
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
