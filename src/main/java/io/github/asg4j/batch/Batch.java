// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.image.OutputFile;
import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Draws the rows of a file. A record is appended for each picture when the picture is on the disk, in
 * the order of the rows, so that a process may end at any moment: opened again, the batch goes on
 * behind the last record, and pictures and records become the same, byte for byte, as without the
 * interruption.
 *
 * <p>The next picture is asked for before the last one is written. One thread draws; any may {@link
 * #cancel()}.
 */
public final class Batch implements AutoCloseable {
    /** Generations under way: one that is drawn, one that follows it at once. */
    private static final int GENERATIONS = 2;

    /** Pictures whose turn has not come, of which some need no generation. */
    private static final int AHEAD = 64;

    private final BatchOptions options;
    private final Variants variants;
    private final Keys keys;
    private final Records records;
    private final PictureStore store;
    private final RunLog log;
    private final long pictures;
    private final Deque<Pending> pending = new ArrayDeque<>();
    private final Deque<Generation> underWay = new ConcurrentLinkedDeque<>();
    private boolean cancelled;

    private Batch(
            BatchOptions options,
            EngineInfo engine,
            Records records,
            PictureStore store,
            long rows) {
        this.options = options;
        this.records = records;
        this.store = store;
        variants = new Variants(engine.usualMethod(), options);
        keys = new Keys(engine);
        pictures = options.shard().pictures(rows, variants.count());
        log = RunLog.open(options.folder(), engine);
    }

    /**
     * Finds out what can be before an engine is opened, which takes long.
     *
     * @throws BadRequestException if the input cannot be read, its columns are not options, no row can
     *     have a prompt, or there is nothing to draw
     */
    public static void check(BatchOptions options) {
        try (Input.Rows rows = Input.rows(options.input())) {
            if (!rows.reader().mayGive("prompt")
                    && options.defaults().stream().noneMatch(given -> given.is("prompt"))) {
                throw new BadRequestException(
                        "'"
                                + options.input()
                                + "' has no column \"prompt\": add one, or give all rows one with"
                                + " --prompt");
            }
        }
        Variants.check(options);
    }

    /**
     * Opens a batch: reads the input through once, and what its folder holds.
     *
     * @param engine that will draw
     * @throws BadRequestException if the input cannot be read, the folder holds another batch, or the
     *     engine's method does not have an option of all rows
     * @throws io.github.asg4j.OutputException if the folder cannot be written, or another process
     *     writes into it
     */
    public static Batch open(BatchOptions options, EngineInfo engine) {
        Variants.checkDefaults(engine.usualMethod(), options);
        Input input = Input.examined(options.input());
        try {
            Files.createDirectories(options.folder());
        } catch (IOException e) {
            throw OutputFile.failure(options.folder(), e);
        }
        Records records = Records.open(options.folder());
        try {
            PictureFormat format = options.format();
            Optional<FileFormat> ofMany =
                    switch (format.kind()) {
                        case FILES -> Optional.empty();
                        case TAR -> Optional.of(new TarFormat());
                        case PARQUET -> Optional.of(new ParquetFormat(format.encoding()));
                    };
            if (ofMany.isPresent() && !BatchFile.isIn(options.folder())) {
                FileStore.checkNew(options.folder(), ofMany.get());
            }
            BatchFile.check(
                    options.folder(),
                    BatchFile.of(options, engine, input.sha256()),
                    records.count());
            PictureStore store =
                    ofMany.isEmpty()
                            ? FolderStore.open(options.folder())
                            : FileStore.open(
                                    options.folder(), ofMany.get(), format.pictures(), records);
            return new Batch(options, engine, records, store, input.rows());
        } catch (RuntimeException e) {
            records.close();
            throw e;
        }
    }

    /** Records that there will be. */
    public long pictures() {
        return pictures;
    }

    /** Records that are there. */
    public long done() {
        return records.count();
    }

    /** Records of pictures that could not be drawn. */
    public long errors() {
        return records.errors();
    }

    /**
     * A picture whose turn has not come.
     *
     * @param keyed null: the request could not be made
     * @param generation null: the picture is there, or will be when its turn comes, or there was a
     *     failure
     * @param failure null: none yet
     */
    private record Pending(
            Task task,
            @Nullable GenerationRequest request,
            Keys.@Nullable Keyed keyed,
            @Nullable Generation generation,
            @Nullable AsgException failure) {}

    /**
     * Draws what is missing.
     *
     * @param engine submits a request
     * @param told after each record, by the calling thread
     * @throws CancelledException after {@link #cancel()}
     * @throws BadRequestException with {@link BatchOptions#failFast}, of the first picture that cannot
     *     be drawn
     * @throws AsgException if the devices or the disk fail
     */
    public void draw(Function<GenerationRequest, Generation> engine, Consumer<BatchProgress> told) {
        RunClock clock = new RunClock(records.count());
        try (Tasks tasks = Tasks.open(options, variants.count(), records.count())) {
            told.accept(clock.progress(records, pictures));
            boolean more = true;
            while (more || !pending.isEmpty()) {
                while (more && underWay.size() < GENERATIONS && pending.size() < AHEAD) {
                    Task task = tasks.next();
                    more = task != null;
                    if (task != null) {
                        pending.add(begin(task, engine));
                    }
                }
                Pending next = pending.poll();
                if (next != null) {
                    finish(next, engine, clock);
                    told.accept(clock.progress(records, pictures));
                }
            }
        } finally {
            underWay.forEach(Generation::cancel);
            underWay.clear();
            pending.clear();
        }
    }

    /** Ends {@link #draw}, of this moment or later, within one call of the network. */
    public synchronized void cancel() {
        cancelled = true;
        underWay.forEach(Generation::cancel);
    }

    private synchronized Generation submit(
            GenerationRequest request, Function<GenerationRequest, Generation> engine) {
        if (cancelled) {
            throw new CancelledException("stopped");
        }
        Generation generation = engine.apply(request);
        underWay.add(generation);
        return generation;
    }

    private Pending begin(Task task, Function<GenerationRequest, Generation> engine) {
        GenerationRequest request = null;
        Keys.Keyed keyed = null;
        try {
            request = variants.request(task.given().get(), task.variant());
            keyed = keys.of(request);
            boolean there = asked(keyed.key()) || records.drawn(keyed.key()).isPresent();
            Generation generation = there ? null : submit(request, engine);
            return new Pending(task, request, keyed, generation, null);
        } catch (BadRequestException | OutOfMemoryException | BadBundleException e) {
            return new Pending(task, request, keyed, null, e);
        }
    }

    /** Whether a picture of this key comes before. */
    private boolean asked(String key) {
        return pending.stream().anyMatch(p -> p.keyed() != null && p.keyed().key().equals(key));
    }

    private void finish(
            Pending next, Function<GenerationRequest, Generation> engine, RunClock clock) {
        Map<String, Object> record = about(next);
        AsgException failure = next.failure();
        if (failure == null && next.request() != null && next.keyed() != null) {
            failure = drawn(next.request(), next.keyed(), next.generation(), engine, record, clock);
        }
        if (failure != null) {
            if (options.failFast()) {
                throw new BadRequestException(
                        "row " + (next.task().row() + 1) + ": " + failure.getMessage(), failure);
            }
            record.put("error", failure.getMessage());
        }
        records.append(record);
    }

    private Map<String, Object> about(Pending next) {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("picture", next.task().picture() + 1);
        record.put("row", next.task().row() + 1);
        String setting = variants.setting(next.task().variant());
        if (!setting.isEmpty()) {
            record.put("setting", setting);
        }
        if (next.keyed() != null) {
            record.putAll(next.keyed().about());
        }
        return record;
    }

    /** Completes the record of a picture, or returns why it cannot be drawn. */
    private @Nullable AsgException drawn(
            GenerationRequest request,
            Keys.Keyed keyed,
            @Nullable Generation begun,
            Function<GenerationRequest, Generation> engine,
            Map<String, Object> record,
            RunClock clock) {
        Optional<JsonNode> there = begun == null ? records.drawn(keyed.key()) : Optional.empty();
        if (there.isPresent()) {
            for (String key : new String[] {"file", "offset", "bytes", "sha256", "pixels_sha256"}) {
                if (there.get().has(key)) {
                    record.put(key, there.get().get(key));
                }
            }
            record.put("duplicate_of", there.get().get("picture"));
            return null;
        }
        Generation generation = null;
        try {
            generation = begun == null ? submit(request, engine) : begun;
            GeneratedImage image = generation.join();
            underWay.remove(generation);
            store(image, keyed, record);
            clock.drew(image.report().times());
            log.drew(record, image.report());
            return null;
        } catch (BadRequestException | OutOfMemoryException | BadBundleException e) {
            if (generation != null) {
                underWay.remove(generation);
            }
            return e;
        }
    }

    private void store(GeneratedImage image, Keys.Keyed keyed, Map<String, Object> record) {
        PictureEncoding encoding = options.format().encoding();
        byte[] file = image.encoded(encoding);
        PictureStore.Picture picture =
                new PictureStore.Picture(
                        keyed, encoding, file, Sha256.of(file), image.report().pixelsSha256());
        record.putAll(store.put(picture));
        record.putAll(picture.hashes());
    }

    @Override
    public void close() {
        try (records;
                log) {
            store.close();
        }
    }
}
