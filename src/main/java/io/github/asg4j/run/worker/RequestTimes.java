// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import java.util.function.Supplier;

/** Where the time of a request goes, ns. For the thread that the request is drawn by. */
public final class RequestTimes {
    private long start = System.nanoTime();
    private long load;
    private long text;
    private long vae;
    private long upscale;

    /** Ends the loading of networks, which is no part of the total. */
    public void loaded() {
        long now = System.nanoTime();
        load = now - start;
        start = now;
    }

    /** Time that {@link System#nanoTime} gave when the request, its networks loaded, began. */
    public long start() {
        return start;
    }

    /** Counts as the text encoders' time. */
    public <T> T text(Supplier<T> work) {
        long clock = System.nanoTime();
        T result = work.get();
        text += System.nanoTime() - clock;
        return result;
    }

    /** Counts as the VAE's time. */
    public <T> T vae(Supplier<T> work) {
        long clock = System.nanoTime();
        T result = work.get();
        vae += System.nanoTime() - clock;
        return result;
    }

    /** Counts as the upscalers' time. */
    public <T> T upscale(Supplier<T> work) {
        long clock = System.nanoTime();
        T result = work.get();
        upscale += System.nanoTime() - clock;
        return result;
    }

    public long loadNanos() {
        return load;
    }

    /** Time since the networks were loaded. */
    public long totalNanos() {
        return System.nanoTime() - start;
    }

    public long textNanos() {
        return text;
    }

    public long vaeNanos() {
        return vae;
    }

    public long upscaleNanos() {
        return upscale;
    }
}
