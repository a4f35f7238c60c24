// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.IntPredicate;

/**
 * Cases of every operation at sizes around the vector widths (4, 8, 16 floats), with every
 * combination of optional tensors, and the float64 oracle of each, written from SPEC.md and not
 * from the kernels.
 */
final class Cases {
    static final long SEED = Long.getLong("asg.test.seed", 20261123L);

    private static final int[] COUNTS = {1, 3, 7, 8, 15, 16, 17, 31, 33, 257, 4099};
    private static final int[][] PLANES = {{1, 1}, {1, 3}, {7, 1}, {3, 5}, {8, 31}, {17, 16}};

    private final Random random = new Random(SEED);
    private final List<KernelCase> cases = new ArrayList<>();

    private Cases() {}

    static List<KernelCase> all() {
        Cases c = new Cases();
        c.normals();
        c.interactions();
        c.modelInputs();
        c.gathers();
        c.steps();
        c.combines();
        c.findings();
        c.masks();
        c.manyMaps();
        c.grids();
        c.windows();
        c.scales();
        c.tiles();
        c.pictures();
        c.searches();
        c.blends();
        c.moments();
        c.blurs();
        c.resamples();
        c.resamplesIntoPatches();
        return c.cases;
    }

    private KernelCase add(String operation, String label) {
        KernelCase c = new KernelCase(operation, label);
        cases.add(c);
        return c;
    }

    private float[] gaussians(int count) {
        return KernelCase.array(count, i -> (float) random.nextGaussian());
    }

    private float[] positives(int count) {
        return KernelCase.array(count, i -> 0.05f + random.nextFloat());
    }

    /** Recognisable garbage: an element that is not written shows. */
    private static float[] garbage(int count) {
        return KernelCase.array(count, i -> -777.25f - i);
    }

    /** A plausible row of DDIM or Euler; consistent where fields are derived from each other. */
    private float[] step(boolean noise) {
        float[] row = new float[StepRow.FLOATS];
        float alpha = 0.1f + 0.9f * random.nextFloat();
        float sigma = 0.1f + 5 * random.nextFloat();
        row[StepRow.TIMESTEP] = 481;
        row[StepRow.ALPHA] = alpha;
        row[StepRow.SIGMA] = sigma;
        row[StepRow.IN_SCALE] = 0.7f;
        row[StepRow.PRED_M] = 0.5f + random.nextFloat();
        row[StepRow.PRED_X] = random.nextBoolean() ? 0 : 0.3f * random.nextFloat();
        row[StepRow.STEP_X] = 1 + 0.1f * random.nextFloat();
        row[StepRow.STEP_E] = -random.nextFloat();
        row[StepRow.STEP_N] = noise ? 0.2f + random.nextFloat() : 0;
        row[StepRow.INV_ALPHA] = 1 / alpha;
        row[StepRow.KAPPA] = alpha / sigma;
        return row;
    }

    private static Bound of(float v) {
        return Bound.of(v);
    }

    private static Bound guided(float[] uncond, float[] cond, int i, float g) {
        return uncond == null
                ? of(cond[i])
                : of(uncond[i]).plus(of(g).times(of(cond[i]).minus(of(uncond[i]))));
    }

    private static Bound noiseOf(float[] s, Bound m, float x) {
        return of(s[StepRow.PRED_M]).times(m).plus(of(s[StepRow.PRED_X]).times(of(x)));
    }

    private static Bound cleanOf(float[] s, Bound e, float x) {
        return of(x).minus(of(s[StepRow.SIGMA]).times(e)).times(of(s[StepRow.INV_ALPHA]));
    }

    /** What a later step takes of this one. */
    private static Bound keptOf(float[] s, Bound e, float x) {
        return s[StepRow.KEEP_E] != 0 ? e : cleanOf(s, e, x);
    }

    private static Bound next(float[] s, Bound e, float x, Past past, float[] noise, int i) {
        Bound next = of(s[StepRow.STEP_X]).times(of(x)).plus(of(s[StepRow.STEP_E]).times(e));
        for (int j = 0; j < StepRow.MAX_PAST; j++) {
            float[] before = past.predictions[j];
            if (before != null) {
                next = next.plus(of(s[StepRow.STEP_PAST + j]).times(of(before[i])));
            }
        }
        return noise == null ? next : next.plus(of(s[StepRow.STEP_N]).times(of(noise[i])));
    }

    /** Which past predictions a row weighs, bit j for that of j + 1 steps before; 0: no memory. */
    private static final int[] PASTS = {0, 1, 3, 4, 7};

    /** Past predictions, and whether this step leaves its own. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Past(boolean leaves, float[]... predictions) {
        /** Beside the tensors of a case; those that no row weighs are there, and not read. */
        void addTo(KernelCase c, int count) {
            if (leaves) {
                c.buffer("clean", garbage(count));
            }
            for (int j = 0; j < predictions.length; j++) {
                if (predictions[j] != null) {
                    c.buffer("past" + (j + 1), predictions[j]);
                } else if (leaves) {
                    c.buffer("past" + (j + 1), KernelCase.array(count, i -> Float.NaN));
                }
            }
        }
    }

    /** Gives a row its weights; the first step of a solver with memory leaves its prediction only. */
    private Past past(float[] s, int which, boolean leaves, int count) {
        float[][] predictions = new float[StepRow.MAX_PAST][];
        for (int j = 0; j < predictions.length; j++) {
            if ((which >> j & 1) == 1) {
                s[StepRow.STEP_PAST + j] = (float) random.nextGaussian();
                predictions[j] = gaussians(count);
            }
        }
        // Every other kind of row keeps its estimate.
        s[StepRow.KEEP_E] = leaves && which % 2 == 1 ? 1 : 0;
        return new Past(leaves, predictions);
    }

    private void normals() {
        long[][] counters = {
            {0, 0, 0}, {7, 5, 3}, {-1, (1L << 32) - 2, 49}, {1L << 63, 1L << 40, 0}
        };
        for (int count : COUNTS) {
            long[] at = counters[count % counters.length];
            float scale = count % 2 == 0 ? 1 : 14.6146f;
            add("normal", "count " + count + " seed " + at[0])
                    .buffer("out", garbage(count))
                    .call(
                            (k, b) ->
                                    k.normal(
                                            b.get("out"),
                                            count,
                                            at[0],
                                            at[1],
                                            (int) at[2],
                                            Kernels.STEP_NOISE,
                                            scale))
                    .expect("out", i -> normal(at, i, scale));
            int planes = 3;
            int pitch = count + 5;
            float[] before = garbage((planes - 1) * pitch + count);
            add("normal", "count " + count + " in " + planes + " planes, seed " + at[0])
                    .partly()
                    .buffer("out", before)
                    .call(
                            (k, b) ->
                                    k.normal(
                                            b.get("out"),
                                            planes,
                                            pitch,
                                            count,
                                            at[0],
                                            at[1],
                                            (int) at[2],
                                            Kernels.STEP_NOISE,
                                            scale))
                    .expect("out", i -> i % pitch < count ? normal(at, i, scale) : of(before[i]));
        }
    }

    private static Bound normal(long[] at, int i, float scale) {
        long words = Philox.words(at[0], at[1] + i, (int) at[2], Kernels.STEP_NOISE, false);
        double z = InverseNormal.of(words >>> 12);
        // One rounding to float32, allowed to fall to either neighbour.
        return new Bound(z, Math.ulp((float) z)).times(of(scale));
    }

    private void interactions() {
        int[][] shapes = {
            {1, 0, 1, 17, -1, 3}, {2, 0, 2, 33, 4, -1}, {2, 1, 1, 1, 0, 1}, {4, 0, 4, 257, 5, 6},
            {4, 1, 2, 31, -1, 0}, {5, 2, 3, 16, 9, 8}, {6, 0, 6, 15, 3, 4}, {9, 4, 5, 40, 1, 2},
            {256, 0, 256, 7, 11, 12}, {256, 255, 1, 3, -1, 49}
        };
        for (int[] s : shapes) {
            int patches = s[0];
            int first = s[1];
            int slots = s[2];
            int plane = s[3];
            float[] in = gaussians(patches * plane);
            byte[] from = new byte[256];
            byte[] to = new byte[256];
            KernelCase.Expected gathered =
                    i -> {
                        int q = i % plane;
                        int slot = first + i / plane;
                        Philox.permutation(from, patches, SEED, q, s[4]);
                        Philox.permutation(to, patches, SEED, q, s[5]);
                        int source = 0;
                        while (from[source] != to[slot]) {
                            source++;
                        }
                        return of(in[source * plane + q]);
                    };
            String label = patches + " patches, slots " + first + "+" + slots + ", plane " + plane;
            for (int copies = 0; copies <= 3; copies++) {
                int n = Math.max(1, copies);
                KernelCase c = add("interact", label + ", copies " + copies);
                c.buffer("out", garbage(slots * plane)).buffer("in", in);
                if (copies > 0) {
                    c.buffer("sample", garbage(copies * slots * plane));
                    c.expect("sample", i -> gathered.at(i % (slots * plane)).times(of(0.137f)));
                }
                c.call(
                                (k, b) ->
                                        k.interact(
                                                b.get("out"),
                                                b.get("sample"),
                                                first,
                                                slots,
                                                b.get("in"),
                                                patches,
                                                plane,
                                                SEED,
                                                s[4],
                                                s[5],
                                                0.137f,
                                                n))
                        .expect("out", gathered);
            }
        }
    }

    private void modelInputs() {
        for (int count : COUNTS) {
            for (int copies = 1; copies <= 3; copies++) {
                int n = copies;
                float[] in = gaussians(count);
                add("modelInput", "count " + count + " copies " + copies)
                        .buffer("out", garbage(copies * count))
                        .buffer("in", in)
                        .call((k, b) -> k.modelInput(b.get("out"), b.get("in"), count, 0.137f, n))
                        .expect("out", i -> of(in[i % count]).times(of(0.137f)));
            }
        }
    }

    /** Windows over a canvas: extents, and starts that hang over every border or lie outside. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Layout(int channels, int canvasH, int canvasW, int h, int w, int... starts) {
        int views() {
            return starts.length / 2;
        }

        boolean covers(int view, int y, int x) {
            long top = starts[2 * view];
            long left = starts[2 * view + 1];
            return y >= top && y < top + h && x >= left && x < left + w;
        }

        int window(int view, int c, int y, int x) {
            return ((view * channels + c) * h + y - starts[2 * view]) * w
                    + x
                    - starts[2 * view + 1];
        }

        String label() {
            return channels
                    + "x"
                    + canvasH
                    + "x"
                    + canvasW
                    + " windows "
                    + h
                    + "x"
                    + w
                    + " at "
                    + Arrays.toString(starts);
        }
    }

    private static final List<Layout> LAYOUTS =
            List.of(
                    new Layout(1, 1, 1, 1, 1, 0, 0),
                    new Layout(4, 8, 8, 8, 8, 0, 0),
                    new Layout(2, 5, 3, 8, 16, -1, -4), // canvas smaller than the window
                    new Layout(3, 17, 33, 8, 16, -3, -2, -3, 15, -3, 20, 5, -2, 5, 9, 9, 20, 12, 4),
                    new Layout(
                            1, 9, 31, 16, 40, -2, -3, -4, -5, -6, -7, -1, -1, 0, -9), // all overlap
                    new Layout(
                            4, 16, 24, 8, 8, 0, 0, 0, 4, 0, 8, 0, 12, 0, 16, 4, 0, 4, 4, 4, 8, 4,
                            12, 4, 16, 8, 0, 8, 4, 8, 8, 8, 12, 8, 16),
                    new Layout(2, 3, 1100, 3, 600, 0, 0, 0, 500), // beyond one block of a row
                    new Layout(
                            1,
                            7,
                            7,
                            3,
                            3,
                            -3,
                            0,
                            0,
                            -3,
                            7,
                            0,
                            0,
                            7,
                            2,
                            2, // four outside
                            Integer.MIN_VALUE,
                            Integer.MAX_VALUE,
                            Integer.MAX_VALUE,
                            0));

    private void gathers() {
        for (Layout l : LAYOUTS) {
            for (int copies = 1; copies <= 2; copies++) {
                int n = copies;
                float[] canvas = gaussians(l.channels * l.canvasH * l.canvasW);
                int size = l.views() * l.channels * l.h * l.w;
                add("gatherWindows", l.label() + " copies " + copies)
                        .buffer("out", garbage(copies * size))
                        .buffer("canvas", canvas)
                        .buffer("starts", l.starts)
                        .call(
                                (k, b) ->
                                        k.gatherWindows(
                                                b.get("out"),
                                                b.get("canvas"),
                                                l.channels,
                                                l.canvasH,
                                                l.canvasW,
                                                b.get("starts"),
                                                l.views(),
                                                l.h,
                                                l.w,
                                                0.31f,
                                                n))
                        .expect(
                                "out",
                                i -> {
                                    int x = i % l.w;
                                    int y = i / l.w % l.h;
                                    int c = i / (l.w * l.h) % l.channels;
                                    int view = i / (l.w * l.h * l.channels) % l.views();
                                    long cy = (long) l.starts[2 * view] + y;
                                    long cx = (long) l.starts[2 * view + 1] + x;
                                    boolean inside =
                                            cy >= 0 && cy < l.canvasH && cx >= 0 && cx < l.canvasW;
                                    return inside
                                            ? of(canvas[
                                                            Math.toIntExact(
                                                                    ((long) c * l.canvasH + cy)
                                                                                    * l.canvasW
                                                                            + cx)])
                                                    .times(of(0.31f))
                                            : of(0);
                                });
            }
        }
    }

    private void steps() {
        int[][] shapes = {{1, 1, 1}, {1, 4, 7}, {2, 3, 17}, {5, 4, 33}, {2, 1, 1027}, {1, 3, 16}};
        int pasts = 0;
        for (int[] shape : shapes) {
            for (boolean cfg : new boolean[] {false, true}) {
                for (int space = Kernels.GUIDE_NONE; space <= Kernels.GUIDE_LATENT; space++) {
                    for (Masks mask : Masks.values()) {
                        for (boolean noise : new boolean[] {false, true}) {
                            for (boolean inPlace : new boolean[] {false, true}) {
                                Step step = new Step(shape, cfg, space, mask, noise, inPlace);
                                for (Key key : Key.values()) {
                                    if (space == Kernels.GUIDE_NONE) {
                                        if (!key.published) {
                                            step(step, key, false, 0, false);
                                            step(step, key, false, pasts++, true);
                                        }
                                        continue;
                                    }
                                    step(step, key, false, 0, false);
                                    step(step, key, false, pasts++, true);
                                    if (!key.own) {
                                        step(step, key, true, 0, false);
                                        step(step, key, true, pasts++, false);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private enum Masks {
        NONE,
        KEY,
        PER_VIEW
    }

    /** Where view 0 is the key patch: whether its guide is an output, and the others' input. */
    private enum Key {
        ABSENT(false, false, false),
        SILENT(true, false, false),
        PUBLISHES(true, true, false),
        GUIDES_AT_ONCE(true, true, true);

        final boolean keyed;
        final boolean published;
        final boolean own;

        Key(boolean keyed, boolean published, boolean own) {
            this.keyed = keyed;
            this.published = published;
            this.own = own;
        }
    }

    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Step(
            int[] shape, boolean cfg, int space, Masks masks, boolean noise, boolean inPlace) {
        String label() {
            return Arrays.toString(shape)
                    + " cfg "
                    + cfg
                    + " space "
                    + space
                    + " mask "
                    + masks
                    + " noise "
                    + noise
                    + (inPlace ? " in place" : "");
        }
    }

    /**
     * @param pasts which of {@link #PASTS}, counted on and on
     * @param leaves whether the step leaves its prediction
     */
    private void step(Step how, Key key, boolean guidePerView, int pasts, boolean leaves) {
        int views = how.shape[0];
        int channels = how.shape[1];
        int area = how.shape[2];
        int plane = channels * area;
        int count = views * plane;
        int space = how.space;
        float[] x = gaussians(count);
        float[] uncond = how.cfg ? gaussians(count) : null;
        float[] cond = gaussians(count);
        boolean guides = space != Kernels.GUIDE_NONE && views > (key.keyed ? 1 : 0);
        float[] guide = guides && !key.own ? gaussians(guidePerView ? count : plane) : null;
        if (guide != null && guidePerView && key.keyed) {
            Arrays.fill(guide, 0, plane, Float.NaN); // nobody reads the key patch's row
        }
        boolean perView = how.masks == Masks.PER_VIEW;
        float[] mask = how.masks == Masks.NONE ? null : positives(perView ? views * area : area);
        float[] noise = how.noise ? gaussians(count) : null;
        float[] s = step(how.noise);
        int which = PASTS[pasts % PASTS.length];
        Past past = past(s, which, leaves, count);
        float weight = 0.83f;
        KernelCase c =
                add(
                        "guidedStep",
                        how.label()
                                + " key "
                                + key
                                + " own guides "
                                + guidePerView
                                + " past "
                                + which
                                + (leaves ? " leaves clean" : ""));
        past.addTo(c, count);
        if (!how.inPlace) {
            c.buffer("out", garbage(count));
        }
        c.buffer("x", x).buffer("cond", cond).buffer("row", s);
        if (how.inPlace) {
            c.alias("out", "x");
        }
        if (uncond != null) {
            c.buffer("uncond", uncond);
        }
        if (key.published) {
            c.buffer("guideOut", garbage(plane));
        }
        if (guide != null) {
            c.buffer("guide", guide);
        } else if (key.own) {
            c.alias("guide", "guideOut");
        }
        if (mask != null) {
            c.buffer("mask", mask);
        }
        if (noise != null) {
            c.buffer("noise", noise);
        }
        GuidedStep call = new GuidedStep();
        c.call(
                (k, b) -> {
                    call.begin(b.get("row"), views, channels, area)
                            .latents(b.get("out"), b.get("x"))
                            .output(b.get("uncond"), b.get("cond"), 5.25f)
                            .noise(b.get("noise"))
                            .guidance(space, weight)
                            .guide(b.get("guide"), guidePerView)
                            .mask(b.get("mask"), perView)
                            .history(b.history());
                    if (key.keyed) {
                        call.key(b.get("guideOut"));
                    }
                    k.guidedStep(call);
                });
        KernelCase.Expected estimate = i -> noiseOf(s, guided(uncond, cond, i, 5.25f), x[i]);
        KernelCase.Expected published =
                i ->
                        space == Kernels.GUIDE_NOISE
                                ? estimate.at(i)
                                : cleanOf(s, estimate.at(i), x[i]);
        if (key.published) {
            c.expect("guideOut", published);
        }
        KernelCase.Expected guided =
                i -> {
                    Bound e = estimate.at(i);
                    if (space != Kernels.GUIDE_NONE && (!key.keyed || i >= plane)) {
                        int cell = i % area;
                        Bound wm = of(weight);
                        if (mask != null) {
                            int view = i / plane;
                            wm = wm.times(of(mask[perView ? view * area + cell : cell]));
                        }
                        Bound g =
                                guide == null
                                        ? published.at(i % plane)
                                        : of(guide[guidePerView ? i : i % plane]);
                        if (space == Kernels.GUIDE_NOISE) {
                            e = e.plus(wm.times(g.minus(e)));
                        } else {
                            Bound apart = g.minus(cleanOf(s, e, x[i]));
                            e = e.minus(wm.times(of(s[StepRow.KAPPA]).times(apart)));
                        }
                    }
                    return e;
                };
        c.expect("out", i -> next(s, guided.at(i), x[i], past, noise, i));
        if (leaves) {
            c.expect("clean", i -> keptOf(s, guided.at(i), x[i]));
        }
    }

    private void combines() {
        for (int count : COUNTS) {
            float[] uncond = gaussians(count);
            float[] cond = gaussians(count);
            add("combine", "count " + count)
                    .buffer("out", garbage(count))
                    .buffer("uncond", uncond)
                    .buffer("cond", cond)
                    .call((k, b) -> combine(k, b, count))
                    .expect("out", i -> guided(uncond, cond, i, 4.5f));
            add("combine", "count " + count + " without uncond")
                    .buffer("out", garbage(count))
                    .buffer("cond", cond)
                    .call((k, b) -> combine(k, b, count))
                    .expect("out", i -> of(cond[i]));
        }
    }

    private static void combine(Kernels k, KernelCase.Buffers b, int count) {
        k.combine(b.get("out"), b.get("found"), b.get("uncond"), b.get("cond"), count, 4.5f);
    }

    /** What a network returned, and which element a search of it finds; -1: none. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Searched(String label, float[] uncond, float[] cond, int first) {}

    private List<Searched> searched(int count) {
        List<Searched> all = new ArrayList<>();
        float[] good = gaussians(count);
        all.add(new Searched("finite", good, gaussians(count), -1));
        float[] large = KernelCase.array(count, i -> -3e38f);
        // Their difference overflows, they do not.
        all.add(new Searched("large", large, KernelCase.array(count, i -> 3e38f), -1));
        float[] bads = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
        for (int at : new int[] {0, count / 2, count - 1}) {
            float bad = bads[at % bads.length];
            float[] spoilt = gaussians(count);
            spoilt[at] = bad;
            spoilt[count - 1] = bad;
            String label = bad + " at " + at;
            all.add(new Searched(label + " of uncond", spoilt, good, at));
            all.add(new Searched(label + " of cond", good, spoilt, at));
            all.add(new Searched(label + " of both", spoilt, spoilt, at));
        }
        return all;
    }

    /** An int64, seen as the float64 of the same bits. */
    private static double[] index(long i) {
        return new double[] {Double.longBitsToDouble(i)};
    }

    private void findings() {
        for (int count : COUNTS) {
            for (Searched s : searched(count)) {
                for (long before : new long[] {Kernels.NONE_FOUND, count / 2}) {
                    long after = s.first < 0 ? before : Math.min(s.first, before);
                    add("combine", s.label + " count " + count + " found " + before)
                            .buffer("out", garbage(count))
                            .buffer("found", index(before))
                            .buffer("uncond", s.uncond)
                            .buffer("cond", s.cond)
                            .call((k, b) -> combine(k, b, count))
                            .expect("found", i -> new Bound(index(after)[0], 0));
                }
            }
            float[] bad = gaussians(count);
            bad[count - 1] = Float.NaN;
            add("combine", "count " + count + " found without uncond")
                    .buffer("out", garbage(count))
                    .buffer("found", index(Kernels.NONE_FOUND))
                    .buffer("cond", bad)
                    .call((k, b) -> combine(k, b, count))
                    .expect("found", i -> new Bound(index(count - 1)[0], 0));
        }
        int[][] shapes = {{1, 1, 1}, {2, 3, 17}, {3, 4, 64}, {1, 1, 1031}};
        for (int[] shape : shapes) {
            for (Searched s : searched(shape[0] * shape[1] * shape[2])) {
                for (Key key : Key.values()) {
                    int space = key.published ? Kernels.GUIDE_LATENT : Kernels.GUIDE_NONE;
                    foundInStep(shape, s, key, space, false);
                    foundInStep(shape, s, key, space, true);
                }
                foundInStep(shape, s, Key.ABSENT, Kernels.GUIDE_NOISE, false);
            }
        }
    }

    /** What is not finite but the network's output is not told: here a latent. */
    private void foundInStep(int[] shape, Searched s, Key key, int space, boolean leaves) {
        int plane = shape[1] * shape[2];
        int count = shape[0] * plane;
        float[] x = gaussians(count);
        x[0] = Float.POSITIVE_INFINITY;
        String label =
                Arrays.toString(shape) + " key " + key + " space " + space + " leaves " + leaves;
        KernelCase c =
                add("guidedStep", "search of " + s.label + " " + label)
                        .buffer("out", garbage(count))
                        .buffer("found", index(Kernels.NONE_FOUND))
                        .buffer("x", x)
                        .buffer("uncond", s.uncond)
                        .buffer("cond", s.cond)
                        .buffer("row", step(false));
        if (leaves) {
            c.buffer("clean", garbage(count));
        }
        if (key.published) {
            c.buffer("guideOut", garbage(plane));
        }
        if (key.own) {
            c.alias("guide", "guideOut");
        } else if (space != Kernels.GUIDE_NONE && shape[0] > (key.keyed ? 1 : 0)) {
            c.buffer("guide", gaussians(plane));
        }
        GuidedStep call = new GuidedStep();
        c.call(
                (k, b) -> {
                    call.begin(b.get("row"), shape[0], shape[1], shape[2])
                            .latents(b.get("out"), b.get("x"))
                            .output(b.get("uncond"), b.get("cond"), 5.25f)
                            .found(b.get("found"))
                            .guidance(space, 0.8f)
                            .guide(b.get("guide"), false)
                            .history(b.history());
                    if (key.keyed) {
                        call.key(b.get("guideOut"));
                    }
                    k.guidedStep(call);
                });
        long after = s.first < 0 ? Kernels.NONE_FOUND : s.first;
        c.expect("found", i -> new Bound(index(after)[0], 0));
    }

    private static double bilinear(float[] map, int plane, int mh, int mw, double sy, double sx) {
        double v = 0;
        for (int y = 0; y < mh; y++) {
            for (int x = 0; x < mw; x++) {
                double cy = Math.clamp(sy, 0, mh - 1);
                double cx = Math.clamp(sx, 0, mw - 1);
                double hat = Math.max(0, 1 - Math.abs(cy - y)) * Math.max(0, 1 - Math.abs(cx - x));
                v += hat * map[plane + y * mw + x];
            }
        }
        return v;
    }

    private void masks() {
        int[][] sizes = {{1, 2}, {3, 5}, {16, 8}, {17, 33}, {2, 1100}, {600, 1}};
        int[][][] maps = {
            {{1, 2}}, {{8, 8}}, {{5, 17}, {2, 3}}, {{31, 16}, {1, 1}, {4, 4}}, {{2, 2}, {17, 33}}
        };
        for (int[] size : sizes) {
            for (int[][] map : maps) {
                for (int norm = Kernels.NORM_MINMAX; norm <= Kernels.NORM_MEAN_THRESHOLD; norm++) {
                    mask(1 + (size[0] + map.length) % 3, size[0], size[1], map, norm);
                }
            }
        }
        for (int norm = Kernels.NORM_MINMAX; norm <= Kernels.NORM_MEAN_THRESHOLD; norm++) {
            for (float flat : new float[] {0, 1e-9f, 3}) {
                if (norm == Kernels.NORM_MAX && flat == 3) {
                    continue; // a constant map divided by its maximum: 1 up to one rounding
                }
                float[][] map = {KernelCase.array(6, i -> flat)};
                maskCase(
                                "flat " + flat + " norm " + norm,
                                1,
                                3,
                                11,
                                new int[][] {{2, 3}},
                                map,
                                norm)
                        .expect("mask", i -> of(1));
            }
        }
    }

    /** More maps than a CUDA kernel takes at once. */
    private void manyMaps() {
        for (int n : new int[] {8, 9, 16, 17, Kernels.MAX_MAPS}) {
            int[][] sizes = new int[n][];
            Arrays.setAll(sizes, i -> new int[] {1 + i % 3, 2 + i % 5});
            mask(2, 3, 7, sizes, Kernels.NORM_MINMAX);
        }
    }

    private KernelCase maskCase(
            String label, int views, int h, int w, int[][] sizes, float[][] maps, int norm) {
        int[] heights = new int[maps.length];
        int[] widths = new int[maps.length];
        KernelCase c = add("mask", label).buffer("mask", garbage(views * h * w));
        for (int m = 0; m < maps.length; m++) {
            heights[m] = sizes[m][0];
            widths[m] = sizes[m][1];
            c.buffer("map " + m, maps[m]);
        }
        MemorySegment[] segments = new MemorySegment[maps.length];
        String[] names = new String[maps.length];
        Arrays.setAll(names, m -> "map " + m);
        return c.call(
                (k, b) -> {
                    for (int m = 0; m < segments.length; m++) {
                        segments[m] = b.get(names[m]);
                    }
                    k.mask(b.get("mask"), views, h, w, segments, heights, widths, norm);
                });
    }

    private void mask(int views, int h, int w, int[][] sizes, int norm) {
        int area = h * w;
        float[][] maps = new float[sizes.length][];
        Arrays.setAll(maps, m -> positives(views * sizes[m][0] * sizes[m][1]));
        String label = views + "x" + h + "x" + w + " from " + Arrays.deepToString(sizes);
        Bound[] sums = new Bound[views * area];
        Arrays.setAll(sums, i -> summed(maps, sizes, i / area, i / w % h, i % w, h, w));
        maskCase(label + " norm " + norm, views, h, w, sizes, maps, norm)
                .expect("mask", i -> normalised(sums, i, area, norm));
    }

    /** Mean of the maps at a cell. */
    private static Bound summed(
            float[][] maps, int[][] sizes, int view, int y, int x, int h, int w) {
        // The position's float32 error moves a sample along a slope of at most max - min = 1 per
        // cell: half an ulp of the ratio and of each of three operations on at most 33 cells.
        double positionError = 4 * 33 * 0x1p-24;
        Bound sum = of(0);
        for (int m = 0; m < maps.length; m++) {
            int mh = sizes[m][0];
            int mw = sizes[m][1];
            double v =
                    bilinear(
                            maps[m],
                            view * mh * mw,
                            mh,
                            mw,
                            (y + 0.5) * mh / h - 0.5,
                            (x + 0.5) * mw / w - 0.5);
            Bound resized = new Bound(v, 2 * positionError + 8 * 0x1p-24);
            sum = m == 0 ? resized : sum.plus(resized);
        }
        return sum.times(of(1).over(of(maps.length)));
    }

    private static Bound normalised(Bound[] sums, int i, int area, int norm) {
        int from = i / area * area;
        Bound v = sums[i];
        Bound low = v;
        Bound high = v;
        double mean = 0;
        double worst = 0;
        for (int j = from; j < from + area; j++) {
            Bound other = sums[j];
            low = other.value() < low.value() ? other : low;
            high = other.value() > high.value() ? other : high;
            mean += other.value() / area;
            worst = Math.max(worst, other.error());
        }
        if (norm == Kernels.NORM_MAX) {
            return v.times(of(1).over(high));
        }
        if (high.value() - low.value() <= 2 * worst) {
            // Flat but for rounding: what rounding left of it decides.
            return new Bound(0.5, 0.5);
        }
        if (norm == Kernels.NORM_MINMAX) {
            return v.minus(low).times(of(1).over(high.minus(low)));
        }
        boolean undecided = Math.abs(v.value() - mean) <= 2 * worst;
        return undecided ? new Bound(0.5, 0.5) : of(v.value() >= mean ? 1 : 0);
    }

    private void grids() {
        int[][] grids = {{1, 1}, {1, 2}, {3, 1}, {2, 2}, {2, 3}, {4, 4}, {2, 5}};
        for (int[] g : grids) {
            for (int[] p : PLANES) {
                grid(1 + p[1] % 4, g[0], g[1], p[0], p[1]);
            }
        }
    }

    private void grid(int channels, int gh, int gw, int h, int w) {
        int count = channels * gh * gw * h * w;
        float[] patches = gaussians(count);
        float[] canvas = gaussians(count);
        String label = channels + " channels, " + gh + "x" + gw + " patches of " + h + "x" + w;
        add("relocate", label)
                .buffer("canvas", garbage(count))
                .buffer("patches", patches)
                .call(
                        (k, b) ->
                                k.relocate(
                                        b.get("canvas"), b.get("patches"), channels, gh, gw, h, w))
                .expect(
                        "canvas",
                        i -> {
                            int x = i % (gw * w);
                            int y = i / (gw * w) % (gh * h);
                            int c = i / (gw * w * gh * h);
                            int patch = y % gh * gw + x % gw;
                            return of(patches[((patch * channels + c) * h + y / gh) * w + x / gw]);
                        });
        add("cut", label)
                .buffer("patches", garbage(count))
                .buffer("canvas", canvas)
                .call((k, b) -> k.cut(b.get("patches"), b.get("canvas"), channels, gh, gw, h, w))
                .expect(
                        "patches",
                        i -> {
                            int x = i % w;
                            int y = i / w % h;
                            int c = i / (w * h) % channels;
                            int patch = i / (w * h * channels);
                            return of(
                                    canvas[
                                            (c * gh * h + y * gh + patch / gw) * gw * w
                                                    + x * gw
                                                    + patch % gw]);
                        });
    }

    private void windows() {
        for (Layout l : LAYOUTS) {
            for (boolean withNoise : new boolean[] {false, true}) {
                for (boolean inPlace : new boolean[] {false, true}) {
                    window(l, withNoise, inPlace, 0, l.canvasH, 0, false);
                    for (int past : PASTS) {
                        window(l, withNoise, inPlace, 0, l.canvasH, past, true);
                    }
                }
                window(l, withNoise, false, l.canvasH / 3, (l.canvasH + 1) / 2, 0, false);
                window(l, withNoise, false, l.canvasH / 3, (l.canvasH + 1) / 2, 3, true);
            }
            window(l, true, true, l.canvasH - 1, 1, 0, false);
            window(l, true, true, l.canvasH - 1, 1, 1, false);
        }
    }

    private void window(
            Layout l,
            boolean withNoise,
            boolean inPlace,
            int firstRow,
            int rows,
            int which,
            boolean leaves) {
        int count = l.channels * l.canvasH * l.canvasW;
        float[] x = gaussians(count);
        float[] windows = gaussians(l.views() * l.channels * l.h * l.w);
        float[] wy = positives(l.h);
        float[] wx = positives(l.w);
        float[] noise = withNoise ? gaussians(count) : null;
        float[] s = step(withNoise);
        Past past = past(s, which, leaves, count);
        KernelCase c =
                add(
                        "windowStep",
                        l.label()
                                + " rows "
                                + firstRow
                                + " + "
                                + rows
                                + " noise "
                                + withNoise
                                + (inPlace ? " in place" : "")
                                + " past "
                                + which
                                + (leaves ? " leaves clean" : ""));
        past.addTo(c, count);
        if (rows < l.canvasH) {
            c.partly();
        }
        float[] before = inPlace ? x : garbage(count);
        if (!inPlace) {
            c.buffer("out", before);
        }
        c.buffer("x", x)
                .buffer("windows", windows)
                .buffer("starts", l.starts)
                .buffer("weightY", wy)
                .buffer("weightX", wx)
                .buffer("row", s);
        if (inPlace) {
            c.alias("out", "x");
        }
        if (noise != null) {
            c.buffer("noise", noise);
        }
        WindowStep call = new WindowStep();
        c.call(
                (k, b) ->
                        k.windowStep(
                                call.begin(b.get("row"), l.channels, l.canvasH, l.canvasW)
                                        .rows(firstRow, rows)
                                        .canvas(b.get("out"), b.get("x"))
                                        .windows(
                                                b.get("windows"),
                                                b.get("starts"),
                                                l.views(),
                                                l.h,
                                                l.w)
                                        .weights(b.get("weightY"), b.get("weightX"))
                                        .noise(b.get("noise"))
                                        .history(b.history())));
        KernelCase.Expected estimate =
                i -> {
                    int cx = i % l.canvasW;
                    int cy = i / l.canvasW % l.canvasH;
                    int channel = i / (l.canvasW * l.canvasH);
                    List<Bound> values = new ArrayList<>();
                    List<Bound> weights = new ArrayList<>();
                    for (int view = 0; view < l.views(); view++) {
                        if (l.covers(view, cy, cx)) {
                            values.add(of(windows[l.window(view, channel, cy, cx)]));
                            weights.add(
                                    of(wy[cy - l.starts[2 * view]])
                                            .times(of(wx[cx - l.starts[2 * view + 1]])));
                        }
                    }
                    if (values.isEmpty()) {
                        return of(Float.NaN);
                    }
                    Bound m = values.getFirst();
                    if (values.size() > 1) {
                        Bound sum = weights.getFirst().times(m);
                        Bound total = weights.getFirst();
                        for (int v = 1; v < values.size(); v++) {
                            sum = sum.plus(weights.get(v).times(values.get(v)));
                            total = total.plus(weights.get(v));
                        }
                        m = sum.over(total);
                    }
                    return noiseOf(s, m, x[i]);
                };
        IntPredicate stepped =
                i -> {
                    int cy = i / l.canvasW % l.canvasH;
                    return cy >= firstRow && cy < firstRow + rows;
                };
        c.expect(
                "out",
                i ->
                        stepped.test(i)
                                ? next(s, estimate.at(i), x[i], past, noise, i)
                                : of(before[i]));
        if (leaves) {
            float[] untouched = garbage(count);
            c.expect(
                    "clean",
                    i -> stepped.test(i) ? keptOf(s, estimate.at(i), x[i]) : of(untouched[i]));
        }
    }

    private void scales() {
        for (int count : COUNTS) {
            for (boolean inPlace : new boolean[] {false, true}) {
                float[] in = gaussians(count);
                KernelCase c = add("scaleShift", "count " + count + (inPlace ? " in place" : ""));
                if (!inPlace) {
                    c.buffer("out", garbage(count));
                }
                c.buffer("in", in);
                if (inPlace) {
                    c.alias("out", "in");
                }
                c.call((k, b) -> k.scaleShift(b.get("out"), b.get("in"), count, 5.489f, 0.0609f))
                        .expect("out", i -> of(in[i]).times(of(5.489f)).plus(of(0.0609f)));
            }
        }
    }

    private void tiles() {
        int[][] tiles = {
            {1, 1, 0, 0, 1, 1},
            {9, 33, 0, 0, 9, 33},
            {9, 33, 2, 5, 7, 28},
            {20, 17, 3, 16, 16, 1},
            {5, 40, 4, 1, 1, 31}
        };
        for (int[] t : tiles) {
            int channels = 1 + t[1] % 3;
            int height = t[0];
            int width = t[1];
            int th = t[4];
            int tw = t[5];
            float[] sum = gaussians(channels * height * width);
            float[] weightSum = positives(height * width);
            float[] tile = gaussians(channels * th * tw);
            float[] wy = positives(th);
            float[] wx = positives(tw);
            add("addTile", Arrays.toString(t))
                    .buffer("sum", sum)
                    .buffer("weightSum", weightSum)
                    .buffer("tile", tile)
                    .buffer("weightY", wy)
                    .buffer("weightX", wx)
                    .call(
                            (k, b) ->
                                    k.addTile(
                                            b.get("sum"),
                                            b.get("weightSum"),
                                            channels,
                                            height,
                                            width,
                                            b.get("tile"),
                                            t[2],
                                            t[3],
                                            th,
                                            tw,
                                            b.get("weightY"),
                                            b.get("weightX")))
                    .expect(
                            "sum",
                            i -> {
                                int y = i / width % height - t[2];
                                int x = i % width - t[3];
                                int c = i / (width * height);
                                return y < 0 || y >= th || x < 0 || x >= tw
                                        ? of(sum[i])
                                        : of(sum[i])
                                                .plus(
                                                        of(wy[y])
                                                                .times(of(wx[x]))
                                                                .times(
                                                                        of(
                                                                                tile[
                                                                                        (c * th + y)
                                                                                                        * tw
                                                                                                + x])));
                            })
                    .expect(
                            "weightSum",
                            i -> {
                                int y = i / width - t[2];
                                int x = i % width - t[3];
                                return y < 0 || y >= th || x < 0 || x >= tw
                                        ? of(weightSum[i])
                                        : of(weightSum[i]).plus(of(wy[y]).times(of(wx[x])));
                            });
        }
        for (int area : COUNTS) {
            float[] sum = gaussians(3 * area);
            float[] weights = positives(area);
            add("divideTiles", "area " + area)
                    .buffer("sum", sum)
                    .buffer("weightSum", weights)
                    .call((k, b) -> k.divideTiles(b.get("sum"), b.get("weightSum"), 3, area))
                    .expect("sum", i -> of(sum[i]).over(of(weights[i % area])));
        }
    }

    private void pictures() {
        int[][] crops = {{1, 1, 0, 0, 1, 1}, {8, 33, 0, 0, 8, 33}, {9, 70, 2, 3, 6, 65}};
        for (int[] p : crops) {
            float[] image =
                    KernelCase.array(3 * p[0] * p[1], i -> 2.4f * random.nextFloat() - 1.2f);
            add("rgb8", Arrays.toString(p))
                    .buffer("out", new byte[p[4] * p[5] * 3])
                    .buffer("image", image)
                    .call(
                            (k, b) ->
                                    k.rgb8(
                                            b.get("out"),
                                            b.get("image"),
                                            p[0],
                                            p[1],
                                            p[2],
                                            p[3],
                                            p[4],
                                            p[5]));
        }
    }

    private void searches() {
        for (int count : COUNTS) {
            float[] data = gaussians(count);
            add("firstNonFinite", "count " + count)
                    .buffer("data", data)
                    .call(
                            (k, b) -> {
                                if (k.firstNonFinite(b.get("data"), count) != -1) {
                                    throw new AssertionError("found a non-finite value");
                                }
                            });
        }
    }

    private void blends() {
        for (int count : COUNTS) {
            for (String inPlace : new String[] {"", "x", "y"}) {
                float[] x = gaussians(count);
                float[] y = gaussians(count);
                KernelCase c = add("blend", "count " + count + " into " + inPlace);
                if (inPlace.isEmpty()) {
                    c.buffer("out", garbage(count));
                }
                c.buffer("x", x).buffer("y", y);
                if (!inPlace.isEmpty()) {
                    c.alias("out", inPlace);
                }
                c.call((k, b) -> k.blend(b.get("out"), b.get("x"), b.get("y"), count, 0.73f, -1.9f))
                        .expect(
                                "out",
                                i -> of(0.73f).times(of(x[i])).plus(of(-1.9f).times(of(y[i]))));
            }
        }
    }

    private void moments() {
        for (int count : COUNTS) {
            float[] in = KernelCase.array(count, i -> (float) (3 + random.nextGaussian()));
            double sum = 0;
            for (float v : in) {
                sum += v;
            }
            double mean = sum / count;
            double squares = 0;
            for (float v : in) {
                squares += (v - mean) * (v - mean);
            }
            double deviation = count == 1 ? 0 : Math.sqrt(squares / (count - 1));
            // Two orders of at most 4,099 float64 additions of values up to 10, and their squares.
            double error = 2 * 4_099 * 0x1p-53 * 100;
            add("moments", "count " + count)
                    .buffer("out", new double[] {-777, -777})
                    .buffer("in", in)
                    .call((k, b) -> k.moments(b.get("out"), b.get("in"), count))
                    .expect("out", i -> new Bound(i == 0 ? mean : deviation, error));
        }
        double[][] pairs = {{0.3, 2.5, -1.75, 0.6}, {3, 0, 0.1, 5}, {-1, 1e-3, 2, 40}};
        for (int count : COUNTS) {
            for (boolean inPlace : new boolean[] {false, true}) {
                double[] p = pairs[count % pairs.length];
                double quotient = p[1] == 0 ? 1 : p[3] / p[1];
                float[] in = gaussians(count);
                KernelCase c = add("matchMoments", "count " + count + (inPlace ? " in place" : ""));
                if (!inPlace) {
                    c.buffer("out", garbage(count));
                }
                c.buffer("in", in)
                        .buffer("from", new double[] {p[0], p[1]})
                        .buffer("to", new double[] {p[2], p[3]});
                if (inPlace) {
                    c.alias("out", "in");
                }
                c.call(
                                (k, b) ->
                                        k.matchMoments(
                                                b.get("out"),
                                                b.get("in"),
                                                count,
                                                b.get("from"),
                                                b.get("to")))
                        .expect(
                                "out",
                                i ->
                                        of(in[i])
                                                .times(Bound.rounded(quotient))
                                                .plus(Bound.rounded(p[2] - p[0] * quotient)));
            }
        }
    }

    private void blurs() {
        int[][] planes = {{1, 1}, {1, 3}, {7, 1}, {3, 5}, {8, 31}, {17, 16}, {2, 67}};
        for (int[] p : planes) {
            for (int taps : new int[] {1, 3, 5, 7, 15}) {
                blur(1 + (p[1] + taps) % 3, p[0], p[1], taps);
            }
        }
    }

    private void blur(int channels, int h, int w, int taps) {
        int count = channels * h * w;
        float[] in = gaussians(count);
        float[] weights = positives(taps);
        add("blur", channels + "x" + h + "x" + w + " taps " + taps)
                .buffer("out", garbage(count))
                .buffer("work", garbage(count))
                .buffer("in", in)
                .buffer("weights", weights)
                .call(
                        (k, b) ->
                                k.blur(
                                        b.get("out"),
                                        b.get("work"),
                                        b.get("in"),
                                        channels,
                                        h,
                                        w,
                                        b.get("weights"),
                                        taps))
                .expect(
                        "out",
                        i -> {
                            int plane = i / (h * w) * h * w;
                            int y = i / w % h;
                            int x = i % w;
                            Bound[] rows = new Bound[taps];
                            for (int ty = 0; ty < taps; ty++) {
                                int sy = y + ty - (taps - 1) / 2;
                                float[] row = new float[taps];
                                for (int tx = 0; tx < taps; tx++) {
                                    int sx = x + tx - (taps - 1) / 2;
                                    boolean inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
                                    row[tx] = inside ? in[plane + sy * w + sx] : 0;
                                }
                                rows[ty] = weighted(weights, 0, taps, t -> of(row[t]));
                            }
                            return weighted(weights, 0, taps, t -> rows[t]);
                        });
    }

    /** Sum of {@code weights[from + t] * value(t)} in the order of t. */
    private static Bound weighted(float[] weights, int from, int taps, KernelCase.Expected values) {
        Bound sum = of(weights[from]).times(values.at(0));
        for (int t = 1; t < taps; t++) {
            sum = sum.plus(of(weights[from + t]).times(values.at(t)));
        }
        return sum;
    }

    /** A table of {@code count} cells over an axis of {@code extent}. */
    private record Taps(int[] index, float[] weights, int taps, int extent) {
        Bound sum(int cell, KernelCase.Expected values) {
            return weighted(
                    weights,
                    cell * taps,
                    taps,
                    t -> values.at(Math.clamp(index[cell * taps + t], 0, extent - 1)));
        }
    }

    private Taps taps(int count, int taps, int extent) {
        return new Taps(indices(count * taps, extent), gaussians(count * taps), taps, extent);
    }

    private static Bound resampled(float[] in, int plane, Taps ys, int y, Taps xs, int x) {
        int first = plane * ys.extent * xs.extent;
        return ys.sum(y, cy -> xs.sum(x, cx -> of(in[first + cy * xs.extent + cx])));
    }

    private void resamples() {
        int[][] shapes = { // planes, in, out, taps
            {1, 1, 1, 1, 1, 1, 1},
            {2, 3, 5, 7, 4, 4, 4},
            {1, 8, 31, 3, 17, 5, 2},
            {4, 5, 3, 10, 33, 4, 4}
        };
        for (int[] s : shapes) {
            int planes = s[0];
            int ih = s[1];
            int iw = s[2];
            int oh = s[3];
            int ow = s[4];
            float[] in = gaussians(planes * ih * iw);
            Taps ys = taps(oh, s[5], ih);
            Taps xs = taps(ow, s[6], iw);
            add("resample", Arrays.toString(s))
                    .buffer("out", garbage(planes * oh * ow))
                    .buffer("work", garbage(planes * ih * ow))
                    .buffer("in", in)
                    .buffer("indexY", ys.index)
                    .buffer("weightY", ys.weights)
                    .buffer("indexX", xs.index)
                    .buffer("weightX", xs.weights)
                    .call(
                            (k, b) ->
                                    k.resample(
                                            b.get("out"),
                                            b.get("work"),
                                            b.get("in"),
                                            planes,
                                            ih,
                                            iw,
                                            oh,
                                            ow,
                                            b.get("indexY"),
                                            b.get("weightY"),
                                            ys.taps,
                                            b.get("indexX"),
                                            b.get("weightX"),
                                            xs.taps))
                    .expect("out", i -> resampled(in, i / (oh * ow), ys, i / ow % oh, xs, i % ow));
        }
    }

    private void resamplesIntoPatches() {
        int[][] shapes = { // channels, in, grid, patch, taps
            {1, 1, 1, 1, 1, 1, 1, 1, 1},
            {2, 3, 5, 2, 3, 3, 5, 4, 4},
            {3, 8, 7, 3, 1, 5, 9, 5, 2},
            {4, 16, 17, 2, 2, 16, 17, 4, 4}
        };
        for (int[] s : shapes) {
            int channels = s[0];
            int ih = s[1];
            int iw = s[2];
            int gh = s[3];
            int gw = s[4];
            int h = s[5];
            int w = s[6];
            int count = channels * gh * h * gw * w;
            float[] in = gaussians(channels * ih * iw);
            Taps ys = taps(gh * h, s[7], ih);
            Taps xs = taps(gw * w, s[8], iw);
            add("resampleCut", Arrays.toString(s))
                    .buffer("patches", garbage(count))
                    .scratch("canvas", garbage(count))
                    .scratch("work", garbage(channels * ih * gw * w))
                    .buffer("in", in)
                    .buffer("indexY", ys.index)
                    .buffer("weightY", ys.weights)
                    .buffer("indexX", xs.index)
                    .buffer("weightX", xs.weights)
                    .call(
                            (k, b) ->
                                    k.resampleCut(
                                            b.get("patches"),
                                            b.get("canvas"),
                                            b.get("work"),
                                            b.get("in"),
                                            channels,
                                            ih,
                                            iw,
                                            gh,
                                            gw,
                                            h,
                                            w,
                                            b.get("indexY"),
                                            b.get("weightY"),
                                            ys.taps,
                                            b.get("indexX"),
                                            b.get("weightX"),
                                            xs.taps))
                    .expect(
                            "patches",
                            i -> {
                                int patch = i / (channels * h * w);
                                int y = i / w % h * gh + patch / gw;
                                int x = i % w * gw + patch % gw;
                                return resampled(in, i / (h * w) % channels, ys, y, xs, x);
                            });
        }
    }

    /** Of cells inside and around an axis, and two that no arithmetic may overflow on. */
    private int[] indices(int count, int extent) {
        int[] indices = new int[count];
        for (int i = 0; i < count; i++) {
            indices[i] =
                    switch (random.nextInt(8)) {
                        case 0 -> Integer.MIN_VALUE;
                        case 1 -> Integer.MAX_VALUE;
                        default -> random.nextInt(extent + 4) - 2;
                    };
        }
        return indices;
    }
}
