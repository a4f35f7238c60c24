// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.CancelledException;
import io.github.asg4j.Content;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PngParameters;

import org.jspecify.annotations.Nullable;

import java.awt.Dimension;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * The pictures that clients asked for: those that wait, the one that is drawn and the last that were.
 * Engines are given one after the other; which comes next is decided when its turn has come.
 * Thread-safe.
 */
final class Jobs implements AutoCloseable {
    /** Finished jobs that are kept, all clients together. */
    private static final int MAX_KEPT = 200;

    /** Bytes of finished pictures, and of those they were drawn from, that are kept. */
    private static final long MAX_KEPT_BYTES = 256L << 20;

    private static final System.Logger LOG = System.getLogger(Jobs.class.getName());

    private final Models models;
    private final int capacity;
    private final Metrics metrics;
    private final SecureRandom random = new SecureRandom();
    private final Thread drawer =
            Thread.ofPlatform().daemon().name("asg-server").unstarted(this::draw);

    // All that follows is guarded by this.
    private final FairQueue<Drawing> queue = new FairQueue<>();

    /** What is done before the next picture. */
    private final Queue<FutureTask<?>> errands = new ArrayDeque<>();

    /** Waiting or drawn, in no order. */
    private final Map<Asked, Drawing> open = new HashMap<>();

    /** What two jobs have to have in common to share a picture. */
    private record Asked(String model, GenerationRequest request) {
        static Asked of(Drawing drawing) {
            return new Asked(drawing.model().name(), drawing.request());
        }
    }

    private final Map<String, Job> jobs = new LinkedHashMap<>();
    private final Deque<Job> kept = new ArrayDeque<>();
    private long keptBytes;
    private @Nullable Drawing current;
    private boolean draining;
    private boolean closed;

    /** Seconds of the last picture: how long it may take until there is a place again. */
    private double lastSeconds = 5;

    Jobs(Models models, int capacity, Metrics metrics) {
        this.models = models;
        this.capacity = capacity;
        this.metrics = metrics;
        drawer.start();
    }

    /**
     * What a request takes, when it is within the client's limits.
     *
     * @throws Refusal if it is not
     * @throws io.github.asg4j.AsgException if it cannot be drawn
     */
    static Work plan(Client client, Model model, GenerationRequest request) {
        Limits limits = client.limits();
        if (limits.steps() > 0 && request.steps().orElse(0) > limits.steps()) {
            throw tooManySteps(request.steps().getAsInt(), limits);
        }
        long asked = (long) request.width() * request.height();
        if (limits.pixels() > 0 && asked > limits.pixels()) {
            throw tooManyPixels(request.width(), request.height(), limits);
        }
        Work work = new Work(model.engine().plan(request));
        if (limits.pixels() > 0 && work.pixels() > limits.pixels()) {
            throw tooManyPixels(work.width(), work.height(), limits);
        }
        boolean part = request.inpaint().area() == InpaintOptions.Area.MASKED;
        if (limits.pixels() > 0 && part && request.image() instanceof Content.OfBytes image) {
            Dimension whole = WebUiInfo.size(bytes(image)); // what will be sent back
            if ((long) whole.width * whole.height > limits.pixels()) {
                throw tooManyPixels(whole.width, whole.height, limits);
            }
        }
        int steps = work.plan().steps();
        if (limits.steps() > 0 && steps > limits.steps()) {
            throw tooManySteps(steps, limits);
        }
        return work;
    }

    private static byte[] bytes(Content.OfBytes picture) {
        try {
            return picture.read();
        } catch (IOException e) {
            throw new UncheckedIOException("memory cannot fail", e);
        }
    }

    private static Refusal tooManySteps(int steps, Limits limits) {
        return Refusal.invalidValue(
                "steps", steps + " steps: you may ask for up to " + limits.steps() + " here");
    }

    private static Refusal tooManyPixels(int width, int height, Limits limits) {
        return Refusal.invalidValue(
                "size",
                "size "
                        + width
                        + "x"
                        + height
                        + " has "
                        + (long) width * height
                        + " pixels: you may ask for up to "
                        + limits.pixels()
                        + " here");
    }

    /**
     * Queues pictures: all of them or none.
     *
     * @throws Refusal if there is no place for them, or the server takes no more
     * @throws io.github.asg4j.AsgException if one of them cannot be drawn
     */
    List<Job> create(
            Client client,
            Model model,
            List<GenerationRequest> asked,
            PictureEncoding output,
            int previews) {
        // Named, so that jobs say it, and share a picture with those that ask for it by name.
        List<GenerationRequest> requests = asked.stream().map(model.usualMethod()::of).toList();
        List<Work> works = requests.stream().map(each -> plan(client, model, each)).toList();
        works.forEach(work -> Output.check(output, work.width(), work.height()));
        synchronized (this) {
            requireOpen();
            checkPlaces(client, model, requests);
            List<Job> created = new ArrayList<>();
            for (int i = 0; i < requests.size(); i++) {
                Drawing drawing = new Drawing(client.name(), model, requests.get(i), works.get(i));
                created.add(create(client, drawing, output, previews));
            }
            number();
            notifyAll();
            return created;
        }
    }

    private void requireOpen() {
        if (draining) {
            throw stopping();
        }
    }

    private Refusal stopping() {
        return Refusal.later(
                503,
                "shutting_down",
                retrySeconds(),
                "the server is being stopped and takes no more requests");
    }

    private void checkPlaces(Client client, Model model, List<GenerationRequest> requests) {
        int most = client.limits().pictures();
        long own =
                jobs.values().stream()
                        .filter(job -> job.client().name().equals(client.name()))
                        .filter(job -> !job.progress().status().isEnd())
                        .count();
        if (most > 0 && own + requests.size() > most) {
            throw Refusal.later(
                    429,
                    "too_many_pictures",
                    retrySeconds(),
                    "you have "
                            + own
                            + " pictures waiting or being drawn and ask for "
                            + requests.size()
                            + " more: "
                            + most
                            + " are allowed at the same time");
        }
        long news =
                requests.stream()
                        .filter(request -> !open.containsKey(new Asked(model.name(), request)))
                        .count();
        int idle = current == null ? 1 : 0;
        if (queue.size() + news > capacity + idle) {
            throw Refusal.later(
                    429,
                    "queue_full",
                    retrySeconds(),
                    "the queue is full: "
                            + queue.size()
                            + " pictures wait already, of "
                            + capacity
                            + " at most");
        }
    }

    private int retrySeconds() {
        return (int) Math.clamp(Math.ceil(lastSeconds), 1, 60);
    }

    /**
     * @param wanted what is drawn unless the same waits or is drawn already
     */
    private Job create(Client client, Drawing wanted, PictureEncoding output, int previews) {
        byte[] bytes = new byte[16];
        random.nextBytes(bytes);
        String id = "job_" + Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
        Drawing drawing = open.get(Asked.of(wanted));
        Job job = drawing == null ? null : new Job(id, client, output, previews, drawing);
        if (drawing == null || job == null || !drawing.add(job)) {
            drawing = wanted;
            job = new Job(id, client, output, previews, drawing);
            drawing.add(job);
            open.put(Asked.of(drawing), drawing);
            queue.add(client.name(), drawing);
            metrics.waits(drawing);
        }
        jobs.put(id, job);
        return job;
    }

    /** Tells those who wait their positions. */
    private void number() {
        int position = 1;
        for (Drawing drawing : queue.inOrder()) {
            drawing.moveTo(position++);
        }
    }

    /** The job of that client; null: there is none. */
    synchronized @Nullable Job find(Client client, String id) {
        Job job = jobs.get(id);
        return job != null && job.client().name().equals(client.name()) ? job : null;
    }

    /** A client's jobs, the oldest first. */
    synchronized List<Job> list(Client client) {
        return jobs.values().stream()
                .filter(job -> job.client().name().equals(client.name()))
                .toList();
    }

    /** The drawing at work; null: none. */
    synchronized @Nullable Drawing current() {
        return current;
    }

    synchronized int waiting() {
        return queue.size();
    }

    synchronized boolean isFull() {
        return current != null && queue.size() >= capacity;
    }

    int capacity() {
        return capacity;
    }

    /** Ends the work on a job, unless others wait for the same; nothing if it has ended. */
    synchronized void cancel(Job job) {
        if (job.progress().status().isEnd()) {
            return;
        }
        job.cancel();
        if (!job.isCancelled()) {
            return; // just completed
        }
        keep(job);
        Drawing drawing = job.drawing();
        if (drawing.jobs().stream().allMatch(Job::isCancelled)) {
            drawing.cancel();
            open.remove(Asked.of(drawing), drawing);
            if (queue.remove(drawing.owner(), drawing)) {
                metrics.ended(drawing, Progress.Status.CANCELLED);
                drawing.end(Progress.Status.CANCELLED, null);
                number();
            }
            notifyAll();
        }
        drawing.touch();
    }

    /** Forgets a finished job. */
    synchronized void forget(Job job) {
        if (jobs.remove(job.id()) != null && kept.remove(job)) {
            keptBytes -= bytes(job);
        }
    }

    private void keep(Job job) {
        kept.add(job);
        keptBytes += bytes(job);
        while (kept.size() > 1 && (kept.size() > MAX_KEPT || keptBytes > MAX_KEPT_BYTES)) {
            Job oldest = kept.remove();
            keptBytes -= bytes(oldest);
            jobs.remove(oldest.id());
        }
    }

    private static long bytes(Job job) {
        Job.Result result = job.result();
        long picture = result == null ? 0 : result.file().length;
        return picture + size(job.request().image()) + size(job.request().inpaint().mask());
    }

    private static long size(@Nullable Content content) {
        return content instanceof Content.OfBytes bytes ? bytes.size() : 0;
    }

    // What the drawer does.

    private void draw() {
        try {
            for (Runnable next = next(); next != null; next = next()) {
                next.run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** What comes next, an errand or a picture; null: nothing any more. */
    private synchronized @Nullable Runnable next() throws InterruptedException {
        while (true) {
            Runnable errand = errands.poll();
            if (errand != null) {
                return errand;
            }
            Drawing drawing = queue.poll();
            if (drawing != null) {
                current = drawing;
                drawing.began();
                number();
                return () -> draw(drawing);
            }
            if (closed) {
                return null;
            }
            wait();
        }
    }

    /**
     * Lets the thread that draws do something before the next picture, and waits for it.
     *
     * @throws Refusal if the server takes no more, or as the errand does
     */
    <T> T between(Callable<T> errand) {
        FutureTask<T> task = new FutureTask<>(errand);
        synchronized (this) {
            requireOpen();
            errands.add(task);
            notifyAll();
        }
        try {
            return task.get();
        } catch (ExecutionException e) {
            throw Refusal.of(e.getCause() == null ? e : e.getCause());
        } catch (CancellationException e) {
            throw stopping();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw Refusal.of(e);
        }
    }

    private void draw(Drawing drawing) {
        metrics.began(drawing);
        GeneratedImage image;
        try {
            Model model = drawing.model();
            models.use(model, drawing.work().plan());
            Generation generation = model.engine().submit(drawing.request(), drawing);
            drawing.watch(generation);
            image = generation.join();
        } catch (Throwable e) { // whatever it is, the next one has its turn
            Throwable cause =
                    e instanceof CompletionException c && c.getCause() != null ? c.getCause() : e;
            fail(drawing, cause);
            return;
        }
        left(drawing);
        // files are written while the next one is drawn
        Thread.ofVirtual().name("asg-server-file").start(() -> complete(drawing, image));
    }

    private void complete(Drawing drawing, GeneratedImage image) {
        try {
            Picture picture =
                    new Picture(
                            image.width(),
                            image.height(),
                            image.rgb(),
                            PngParameters.text(image.report()));
            drawing.seal();
            for (Job job : drawing.jobs()) {
                if (!job.isCancelled()) { // saves writing its file
                    long begin = System.nanoTime();
                    byte[] file = picture.as(job.output());
                    double millis = (System.nanoTime() - begin) / 1e6;
                    job.complete(new Job.Result(file, millis, image));
                }
            }
        } catch (Throwable e) {
            fail(drawing, e);
            return;
        }
        metrics.stages(image.report().times());
        end(drawing, Progress.Status.COMPLETED, null);
    }

    private void fail(Drawing drawing, Throwable cause) {
        left(drawing);
        Refusal refusal = Refusal.of(cause);
        if (refusal.isBug()) {
            LOG.log(System.Logger.Level.ERROR, "a picture failed", cause);
        }
        boolean cancelled = cause instanceof CancelledException;
        end(
                drawing,
                cancelled ? Progress.Status.CANCELLED : Progress.Status.FAILED,
                cancelled ? null : refusal);
    }

    /** The engine is free again. */
    private synchronized void left(Drawing drawing) {
        if (current == drawing) {
            current = null;
        }
    }

    private synchronized void end(Drawing drawing, Progress.Status status, @Nullable Refusal why) {
        open.remove(Asked.of(drawing), drawing);
        for (Job job : drawing.jobs()) {
            if (!job.isCancelled()) {
                if (status != Progress.Status.COMPLETED) {
                    job.fail();
                }
                keep(job);
            }
        }
        metrics.ended(drawing, status);
        drawing.end(status, why);
        if (status == Progress.Status.COMPLETED) {
            lastSeconds = drawing.progress().seconds();
        }
        notifyAll();
    }

    // The end.

    /** Takes no more. */
    synchronized void drain() {
        draining = true;
    }

    synchronized boolean isDraining() {
        return draining;
    }

    /** Waits until nothing waits or is drawn. */
    synchronized void awaitIdle() throws InterruptedException {
        while (!open.isEmpty()) {
            wait();
        }
    }

    /** Cancels everything. */
    synchronized void cancelAll() {
        draining = true;
        errands.forEach(errand -> errand.cancel(false));
        List.copyOf(jobs.values()).forEach(this::cancel);
    }

    /** Cancels everything and waits for what is drawn. */
    @Override
    public void close() {
        synchronized (this) {
            cancelAll();
            closed = true;
            notifyAll();
        }
        try {
            drawer.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
