// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Instant;

/** A picture that a client asked for. Thread-safe. */
final class Job {
    /** Proxies close what is silent for a minute or less. */
    private static final long PING_MILLIS = 5_000;

    private final String id;
    private final Client client;
    private final PictureEncoding output;
    private final int previews;
    private final Drawing drawing;
    private final Instant created = Instant.now();
    private volatile @Nullable Instant ended;
    private volatile boolean cancelled;
    private volatile @Nullable Result result;

    /**
     * The finished picture.
     *
     * @param file in the format asked for
     * @param fileMillis what it took to write it
     */
    record Result(byte[] file, double fileMillis, GeneratedImage image) {}

    /**
     * @param previews at most so many pictures of what is there so far
     */
    Job(String id, Client client, PictureEncoding output, int previews, Drawing drawing) {
        this.id = id;
        this.client = client;
        this.output = output;
        this.previews = previews;
        this.drawing = drawing;
    }

    String id() {
        return id;
    }

    Client client() {
        return client;
    }

    PictureEncoding output() {
        return output;
    }

    int previews() {
        return previews;
    }

    GenerationRequest request() {
        return drawing.request();
    }

    Model model() {
        return drawing.model();
    }

    Drawing drawing() {
        return drawing;
    }

    Instant created() {
        return created;
    }

    /** Null before the end. */
    @Nullable Instant ended() {
        return ended;
    }

    /** Null until it is completed. */
    @Nullable Result result() {
        return result;
    }

    Progress progress() {
        return own(drawing.progress());
    }

    /** Waits as {@link Drawing#await} does. */
    Progress await(long version, long millis) throws InterruptedException {
        return own(drawing.await(version, millis));
    }

    /** Waits like {@link #await}, and sends a sign of life where nothing happens for a while. */
    Progress next(EventStream events, Progress last) throws InterruptedException, IOException {
        Progress newer = await(last.version(), PING_MILLIS);
        if (newer.version() == last.version()) {
            events.ping();
        }
        return newer;
    }

    /** Waits until it is completed, failed or cancelled. */
    Progress awaitEnd() throws InterruptedException {
        Progress progress = progress();
        while (!progress.status().isEnd()) {
            progress = await(progress.version(), PING_MILLIS);
        }
        return progress;
    }

    /**
     * Waits for the picture.
     *
     * @throws Refusal if there will be none
     */
    Result join() throws InterruptedException {
        Progress progress = awaitEnd();
        Result done = result;
        if (done == null) {
            throw failure(progress);
        }
        return done;
    }

    /** Why there is no picture. */
    static Refusal failure(Progress ended) {
        Refusal failure = ended.failure();
        return failure != null
                ? failure
                : Refusal.invalid(409, "cancelled", null, "the picture was cancelled");
    }

    /** Others may still wait for what this job's client has given up. */
    private Progress own(Progress shared) {
        return cancelled ? shared.ended(Progress.Status.CANCELLED, shared.seconds(), null) : shared;
    }

    boolean isCancelled() {
        return cancelled;
    }

    /** The client wants it no more. */
    synchronized void cancel() {
        if (result == null) {
            cancelled = true;
            ended = Instant.now();
        }
    }

    /** Before the drawing says that it has ended. */
    synchronized void complete(Result picture) {
        if (!cancelled) {
            result = picture;
            ended = Instant.now();
        }
    }

    void fail() {
        ended = Instant.now();
    }
}
