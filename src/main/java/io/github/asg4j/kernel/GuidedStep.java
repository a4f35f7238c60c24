// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static io.github.asg4j.ffi.Sizes.requireExtent;
import static io.github.asg4j.ffi.Sizes.requireFloats;
import static io.github.asg4j.ffi.Sizes.requireRange;
import static io.github.asg4j.ffi.Sizes.times;

import java.lang.foreign.MemorySegment;

/**
 * The arguments of {@link Kernels#guidedStep}. An instance is kept and filled anew for every call,
 * {@link #begin} first, so that a loop allocates nothing; it holds its segments until then. One
 * thread. Tensors are float32; what is not set is NULL.
 */
public final class GuidedStep {
    private static final String NAME = "guidedStep";

    int views;
    int channels;
    long area;
    MemorySegment row = MemorySegment.NULL;
    MemorySegment out = MemorySegment.NULL;
    MemorySegment x = MemorySegment.NULL;
    MemorySegment uncond = MemorySegment.NULL;
    MemorySegment cond = MemorySegment.NULL;
    float guidanceScale;
    MemorySegment found = MemorySegment.NULL;
    MemorySegment noise = MemorySegment.NULL;
    int space;
    float weight;
    boolean keyed;
    MemorySegment guideOut = MemorySegment.NULL;
    MemorySegment guide = MemorySegment.NULL;
    boolean guidePerView;
    MemorySegment mask = MemorySegment.NULL;
    boolean maskPerView;
    StepHistory history = StepHistory.NONE;

    /**
     * Begins a call for latents [views, channels, area]: forgets all that was set before.
     *
     * @param row one {@link StepRow} in host memory
     */
    public GuidedStep begin(MemorySegment row, int views, int channels, long area) {
        this.row = row;
        this.views = views;
        this.channels = channels;
        this.area = area;
        MemorySegment none = MemorySegment.NULL;
        found(none).noise(none).guidance(Kernels.GUIDE_NONE, 0).mask(none, false);
        latents(none, none).output(none, none, 1).guide(none, false);
        keyed = false;
        guideOut = none;
        history = StepHistory.NONE;
        return this;
    }

    /**
     * The latents.
     *
     * @param out [views, channels, area] next latents; may be {@code x} itself
     * @param x [views, channels, area]
     */
    public GuidedStep latents(MemorySegment out, MemorySegment x) {
        this.out = out;
        this.x = x;
        return this;
    }

    /**
     * What the network returned.
     *
     * @param uncond [views, channels, area] of the unconditional rows, or NULL without classifier-free
     *     guidance
     * @param cond [views, channels, area] of the conditional rows
     * @param scale of classifier-free guidance
     */
    public GuidedStep output(MemorySegment uncond, MemorySegment cond, float scale) {
        this.uncond = uncond;
        this.cond = cond;
        this.guidanceScale = scale;
        return this;
    }

    /**
     * Where a search of the network's output leaves its result.
     *
     * @param found int64 [1], lowered to the first element of which {@code uncond} or {@code cond} is
     *     a NaN or an infinity, if there is one; {@link Kernels#NONE_FOUND} before, or what another
     *     call has left; NULL: nobody asks
     */
    public GuidedStep found(MemorySegment found) {
        this.found = found;
        return this;
    }

    /**
     * Step noise.
     *
     * @param noise [views, channels, area], or NULL when the row has none
     */
    public GuidedStep noise(MemorySegment noise) {
        this.noise = noise;
        return this;
    }

    /**
     * How the views are guided by the key patch.
     *
     * @param space {@link Kernels#GUIDE_NONE}, which guides no view, {@link Kernels#GUIDE_NOISE} or
     *     {@link Kernels#GUIDE_LATENT}
     * @param weight w_k
     */
    public GuidedStep guidance(int space, float weight) {
        this.space = space;
        this.weight = weight;
        return this;
    }

    /**
     * View 0 is the key patch, which is not guided.
     *
     * @param guideOut [channels, area], receives its guide: its noise estimate, or its predicted clean
     *     latents; NULL: nobody needs it
     */
    public GuidedStep key(MemorySegment guideOut) {
        this.keyed = true;
        this.guideOut = guideOut;
        return this;
    }

    /**
     * The guide of the views.
     *
     * @param guide [channels, area], which may be the key patch's {@code guideOut}, then it is the
     *     guide of this pass; or [views, channels, area] if {@code perView}, where the key patch's row
     *     is not read; NULL where no view is guided
     */
    public GuidedStep guide(MemorySegment guide, boolean perView) {
        this.guide = guide;
        this.guidePerView = perView;
        return this;
    }

    /**
     * The mask of the guidance.
     *
     * @param mask [area], or [views, area] if {@code perView}, or NULL for M = 1
     */
    public GuidedStep mask(MemorySegment mask, boolean perView) {
        this.mask = mask;
        this.maskPerView = perView;
        return this;
    }

    /**
     * Past predictions.
     *
     * @param history tensors [views, channels, area]
     */
    public GuidedStep history(StepHistory history) {
        this.history = history;
        return this;
    }

    /** Whether any view is guided. */
    boolean guides() {
        return space != Kernels.GUIDE_NONE && views > (keyed ? 1 : 0);
    }

    /** Whether the guide is that of this pass. */
    boolean guidesAtOnce() {
        return guides() && guide.address() == guideOut.address();
    }

    boolean noisy() {
        return StepRow.get(row, StepRow.STEP_N) != 0;
    }

    /** Values of a view. */
    long plane() {
        return times(channels, area);
    }

    /** Values of all views. */
    long count() {
        return times(views, plane());
    }

    /** Throws what {@link Kernels} documents if the call is wrong; reads no tensor but the row. */
    void check() {
        requireExtent(views, NAME, "views");
        requireExtent(channels, NAME, "channels");
        requireExtent(area, NAME, "area");
        requireRange(space, Kernels.GUIDE_NONE, Kernels.GUIDE_LATENT, NAME, "space");
        boolean publishes = !KernelChecks.isNull(guideOut);
        if (publishes && space == Kernels.GUIDE_NONE) {
            throw new IllegalArgumentException(
                    NAME + ": guideOut is given, but space is 0; pass NULL");
        }
        if (guidePerView && publishes && guide.address() == guideOut.address()) {
            throw new IllegalArgumentException(
                    NAME
                            + ": guide is guideOut, which is one guide, but perView is true; pass a"
                            + " guide of every view, or false");
        }
        requireFloats(row, StepRow.FLOATS, NAME, "row");
        requireFloats(out, count(), NAME, "out");
        KernelChecks.optionalFloats(guideOut, plane(), NAME, "guideOut");
        KernelChecks.optionalIndex(found, NAME);
        requireFloats(x, count(), NAME, "x");
        KernelChecks.optionalFloats(uncond, count(), NAME, "uncond");
        requireFloats(cond, count(), NAME, "cond");
        if (guides()) {
            requireFloats(guide, guidePerView ? count() : plane(), NAME, "guide");
        }
        KernelChecks.optionalFloats(mask, maskPerView ? times(views, area) : area, NAME, "mask");
        KernelChecks.optionalFloats(noise, count(), NAME, "noise");
        KernelChecks.noisePresent(noise, row, NAME);
        history.check(row, count(), NAME);
    }
}
