// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PreviewImage;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * One picture on its way, for all jobs that ask for the same: same model, same request, same bytes. Told about
 * progress by the engine. Thread-safe.
 */
final class Drawing implements GenerationListener {
    private final String owner;
    private final Model model;
    private final GenerationRequest request;
    private final Work work;
    private final List<Job> jobs = new ArrayList<>();
    private Progress progress = Progress.QUEUED;
    private @Nullable Generation generation;
    private boolean cancelled;
    private boolean sealed;
    private long startedNanos;

    /**
     * @param owner whose turn it takes in the queue
     */
    Drawing(String owner, Model model, GenerationRequest request, Work work) {
        this.owner = owner;
        this.model = model;
        this.request = request;
        this.work = work;
    }

    String owner() {
        return owner;
    }

    Model model() {
        return model;
    }

    GenerationRequest request() {
        return request;
    }

    Work work() {
        return work;
    }

    synchronized Progress progress() {
        return progress;
    }

    /** Adds a job; false: it is too late for that. */
    synchronized boolean add(Job job) {
        if (cancelled || sealed || progress.status().isEnd()) {
            return false;
        }
        return jobs.add(job);
    }

    /** Takes no further jobs: whoever came later would miss the picture that is being handed out. */
    synchronized void seal() {
        sealed = true;
    }

    synchronized List<Job> jobs() {
        return List.copyOf(jobs);
    }

    /** Lets all who wait look again. */
    synchronized void touch() {
        change(p -> p);
    }

    synchronized void moveTo(int position) {
        if (progress.status() == Progress.Status.QUEUED && progress.position() != position) {
            change(p -> p.at(position));
        }
    }

    synchronized void began() {
        startedNanos = System.nanoTime();
        change(Progress::began);
    }

    /** What to cancel. */
    synchronized void watch(Generation running) {
        generation = running;
        if (cancelled) {
            running.cancel();
        }
    }

    /** Ends a drawing that is at work; one that waits is taken out of the queue by its owner. */
    synchronized void cancel() {
        cancelled = true;
        if (generation != null) {
            generation.cancel();
        }
    }

    synchronized boolean isCancelled() {
        return cancelled;
    }

    /** Ends it for all its jobs. */
    synchronized void end(Progress.Status status, @Nullable Refusal why) {
        double seconds = seconds();
        change(p -> p.ended(status, seconds, why));
    }

    /** Since it had its turn; 0 before. */
    synchronized double seconds() {
        return startedNanos == 0 ? 0 : (System.nanoTime() - startedNanos) / 1e9;
    }

    private void change(UnaryOperator<Progress> how) {
        progress = how.apply(progress).numbered(progress.version() + 1);
        notifyAll();
    }

    /**
     * Waits for something newer than {@code version}, or for so long.
     *
     * @return the newest, which may be that version still
     */
    synchronized Progress await(long version, long millis) throws InterruptedException {
        long end = System.nanoTime() + millis * 1_000_000;
        long left = millis;
        while (progress.version() <= version && left > 0) {
            wait(left);
            left = (end - System.nanoTime()) / 1_000_000;
        }
        return progress;
    }

    @Override
    public synchronized void onEvent(GenerationEvent event) {
        double share = work.share(event.stage(), event.step());
        double seconds = event.elapsedNanos() / 1e9;
        change(
                p ->
                        p.reached(
                                event.stage(),
                                event.step(),
                                event.of(),
                                Math.max(p.share(), share),
                                seconds));
    }

    @Override
    public synchronized int previewEvery() {
        int most = jobs.stream().mapToInt(Job::previews).max().orElse(0);
        return most == 0 ? 0 : Math.max(1, Math.ceilDiv(work.steps(), most + 1));
    }

    @Override
    public synchronized void onPreview(PreviewImage preview) {
        change(p -> p.shown(new Picture(preview.width(), preview.height(), preview.rgb(), "")));
    }
}
