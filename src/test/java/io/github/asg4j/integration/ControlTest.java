// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Control;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.CutDiffusionOptions;
import io.github.asg4j.MethodOptions.DemoFusionOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RelayStage;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestJson;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import javax.imageio.ImageIO;

/**
 * Control networks: against the pipelines of diffusers at native size, and where every method shows which
 * part of the picture. For the latter the networks of src/test/resources/controls make noise of what a
 * view is shown: its mean colour in each latent cell. One Euler step from nothing leaves it in the latents.
 */
class ControlTest {
    private static final Path FAMILIES = Tiny.resource("families");

    @TempDir Path temp;

    // ------------------------------------------------------------------ against diffusers

    @ParameterizedTest
    @ValueSource(strings = {"sd15-control", "sd15-share", "sd15-two", "sdxl-control"})
    void drawsWhatThePipelineOfDiffusersDraws(String name) throws IOException {
        Path golden = FAMILIES.resolve("goldens").resolve(name);
        JsonNode s = new ObjectMapper().readTree(golden.resolve("settings.json").toFile());
        String family = s.get("family").asText();
        List<Control> controls = new ArrayList<>();
        for (JsonNode control : s.get("controls")) {
            String network = control.get("network").asText();
            controls.add(
                    new Control(
                            network,
                            Content.file(golden.resolve(network + ".png")),
                            control.get("weight").asDouble(),
                            control.get("start").asDouble(),
                            control.get("end").asDouble(),
                            Control.Preprocess.NONE));
        }
        int steps = s.get("steps").asInt();
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(FAMILIES.resolve(family))
                        .withControls(FAMILIES.resolve("controlnets").resolve(family))
                        .withDevices("cpu:2");
        try (Engine engine = Engine.open(options);
                Arena arena = Arena.ofConfined()) {
            Npy.Array noise = Npy.read(golden.resolve("noise.npy"), Npy.Type.FLOAT32, arena);
            engine.submit(
                            GenerationRequest.builder(s.get("prompt").asText())
                                    .method("direct")
                                    .size(s.get("size").asInt(), s.get("size").asInt())
                                    .steps(steps)
                                    .guidanceScale(s.get("guidance_scale").asDouble())
                                    .latents(Content.floats(noise.data(), noise.shape()))
                                    .controls(controls)
                                    .dumpDirectory(temp)
                                    .build())
                    .join();
            float[] expected = floats(golden.resolve("latents.npy"));
            float[] actual = floats(temp.resolve("denoise-%03d-latents.npy".formatted(steps - 1)));
            double largest = 0;
            double worst = 0;
            for (int i = 0; i < expected.length; i++) {
                largest = Math.max(largest, Math.abs(expected[i]));
                worst = Math.max(worst, Math.abs(expected[i] - actual[i]));
            }
            assertTrue(worst <= 1e-3 * largest, "differs by " + worst + " of " + largest);
        }
    }

    private static float[] floats(Path npy) {
        try (Arena arena = Arena.ofConfined()) {
            return Npy.read(npy, Npy.Type.FLOAT32, arena).data().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    // ------------------------------------------------------------------ who is shown what

    /** One level a pixel: red grows to the right, green downwards; at most 256 pixels. */
    private static Content ramp(int size) {
        BufferedImage image = new BufferedImage(size, size, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                image.setRGB(x, y, x << 16 | y << 8);
            }
        }
        return png(image);
    }

    /** A white square on black. */
    private static Content box() {
        BufferedImage image = new BufferedImage(64, 64, BufferedImage.TYPE_INT_RGB);
        for (int y = 16; y < 48; y++) {
            for (int x = 16; x < 48; x++) {
                image.setRGB(x, y, 0xffffff);
            }
        }
        return png(image);
    }

    private static Content png(BufferedImage image) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            ImageIO.write(image, "png", out);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return Content.bytes(out.toByteArray());
    }

    private static Control where(Content picture) {
        return Control.of("where", picture);
    }

    private Engine open(int workers) {
        return Engine.open(options(workers));
    }

    private EngineOptions options(int workers) {
        Path folder = temp.resolve("bundle" + workers);
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Path bundle = Tiny.withDenoiser(folder, "controls", denoiser -> {});
        return Tiny.options(workers)
                .withModel(bundle)
                .withControls(Tiny.resource("controls").resolve("networks"));
    }

    private static GenerationRequest.Builder request(String method, int size) {
        return Tiny.request()
                .method(method)
                .size(size, size)
                .scheduler("euler")
                .steps(1)
                .latents(nothing(size / 8));
    }

    private static Content nothing(int cells) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(4L * 4 * cells * cells, 4);
            return Content.floats(zeros, 1, 4, cells, cells);
        }
    }

    /** The last latents [4, cells, cells] of a request. */
    private float[] latents(Engine engine, GenerationRequest.Builder request, String file) {
        Path dump = temp; // holds bundles in folders of their own
        engine.submit(request.dumpDirectory(dump).build()).join();
        return floats(dump.resolve(file));
    }

    /**
     * How far the cells of the canvas are from where they were shown to be, cells; the colour of a cell
     * is that of its middle. Where pictures are made smaller the border is left out: there is nothing
     * beyond it.
     */
    private static double positionError(float[] latents, int cells, int border) {
        // The largest value says how the estimate was scaled: all cells have to agree on it.
        double pixels = 8.0 * cells;
        double scale = 0;
        for (int i = border; i < cells - border; i++) {
            scale += latents[i * cells + i] / ((8 * i + 3.5) / (pixels - 1));
        }
        scale /= cells - 2 * border;
        double worst = 0;
        for (int y = border; y < cells - border; y++) {
            for (int x = border; x < cells - border; x++) {
                double right = latents[y * cells + x] / scale * (pixels - 1) / 8 - 3.5 / 8;
                double down = latents[(cells + y) * cells + x] / scale * (pixels - 1) / 8 - 3.5 / 8;
                worst = Math.max(worst, Math.max(Math.abs(right - x), Math.abs(down - y)));
            }
        }
        return worst;
    }

    /** Windows of every kind see their own part, to a thousandth of a cell: rounding of floats alone. */
    @ParameterizedTest
    @CsvSource({
        "direct, 64, denoise-000-latents.npy",
        "direct, 128, denoise-000-latents.npy",
        "multidiffusion, 128, denoise-000-latents.npy",
        "multidiffusion, 256, denoise-000-latents.npy"
    })
    void windowsAreShownTheirPart(String method, int size, String file) {
        try (Engine engine = open(2)) {
            float[] drawn =
                    latents(
                            engine,
                            request(method, size).controls(List.of(where(ramp(size)))),
                            file);
            double error = positionError(drawn, size / 8, 0);
            assertTrue(error < 1e-3, "position is off by " + error + " cells");
        }
    }

    /**
     * Stages that begin from the one before draw noise and what that has left, which are the same without
     * control. Their pictures are enlarged or hold every n-th cell, which at the border see less. DemoFusion
     * brings what a phase begins with to the moments of the first one, which is not linear.
     */
    @ParameterizedTest
    @CsvSource({
        "demofusion, 128, phase2-000-latents.npy",
        "relay, 128, relay2-000-latents.npy",
        "relay, 256, relay3-000-latents.npy"
    })
    void laterStagesAreShownTheirPart(String method, int size, String file) {
        try (Engine engine = open(2)) {
            float[] drawn = ofLaterStage(engine, method, size, file);
            double error = positionError(drawn, size / 8, 4);
            assertTrue(
                    error < (method.equals("relay") ? 0.05 : 0.1),
                    "position is off by " + error + " cells");
        }
    }

    /** What a control adds to the latents of a stage that begins in the middle of the schedule. */
    private float[] ofLaterStage(Engine engine, String method, int size, String file) {
        // Of a relay only the last stage is controlled: the way there through pixels clips.
        double start = method.equals("relay") ? 0.5 : 0;
        Control late = new Control("where", ramp(size), 0.1, start, 1, Control.Preprocess.NONE);
        GenerationRequest.Builder request = request(method, size).steps(4);
        if (method.equals("relay")) {
            String table =
                    size == 128 ? "1x 0..0.5; full 0.5..1" : "1x 0..0.5; 2x 0.25..0.5; full 0.5..1";
            request.options(
                    RelayOptions.DEFAULT.withLegs(
                            LegOptions.DEFAULT.withStages(
                                    RelayStage.table(table + " windows=0.5"))));
        } else {
            request.steps(1);
        }
        float[] with = latents(engine, request.controls(List.of(late)), file);
        float[] without = latents(engine, request.controls(List.of()), file);
        for (int i = 0; i < with.length; i++) {
            with[i] -= without[i];
        }
        return with;
    }

    /** Waves over a picture of 256 pixels: red from left to right, green from the top down. */
    private static Content waves(int periods) {
        BufferedImage image = new BufferedImage(256, 256, BufferedImage.TYPE_INT_RGB);
        int[] level = new int[256];
        for (int i = 0; i < level.length; i++) {
            double angle = 2 * Math.PI * periods * (i + 0.5) / level.length;
            level[i] = (int) Math.round(127.5 + 127.5 * Math.cos(angle));
        }
        for (int y = 0; y < 256; y++) {
            for (int x = 0; x < 256; x++) {
                image.setRGB(x, y, level[x] << 16 | level[y] << 8);
            }
        }
        return png(image);
    }

    /**
     * How far the waves of some cells are from where they were shown to be, cells. Their height, and what is
     * added to all cells, do not count.
     *
     * @param cells of the canvas, beside and below each other; their latents are [4, cells, cells]
     * @param first row and column of the first of the cells that are looked at
     * @param stride from one to the next
     * @param count of them in a row and in a column, whole periods
     */
    private static double waveError(
            float[] latents, int cells, int periods, int[] first, int stride, int count) {
        double worst = 0;
        for (int axis = 0; axis < 2; axis++) {
            double cosine = 0;
            double sine = 0;
            for (int i = 0; i < count * count; i++) {
                int y = first[0] + stride * (i / count);
                int x = first[1] + stride * (i % count);
                double angle = 2 * Math.PI * periods * ((axis == 0 ? x : y) + 0.5) / cells;
                float value = latents[(axis * cells + y) * cells + x];
                cosine += value * Math.cos(angle);
                sine += value * Math.sin(angle);
            }
            double turned = Math.atan(sine / cosine); // the sign of the height does not count
            worst = Math.max(worst, Math.abs(turned) * cells / (2 * Math.PI * periods));
        }
        return worst;
    }

    /**
     * The worst of all views of a phase.
     *
     * @param dilated of the dilated ones; else of all blocks of one period a side, which windows overlap
     */
    private static double waveError(float[] latents, int phase, int periods, boolean dilated) {
        int cells = 8 * phase;
        int block = cells / periods;
        double worst = 0;
        for (int i = 0; !dilated && i <= cells - block; i++) {
            for (int j = 0; j <= cells - block; j++) {
                int[] first = {i, j};
                worst = Math.max(worst, waveError(latents, cells, periods, first, 1, block));
            }
        }
        for (int i = 0; dilated && i < phase * phase; i++) {
            int[] first = {i / phase, i % phase};
            worst = Math.max(worst, waveError(latents, cells, periods, first, phase, 8));
        }
        return worst;
    }

    /**
     * What a control adds in a phase of its own: without what the phase before has left, enlarged. That is
     * what the control added to it, and a share of the phase itself, as it was brought to other moments. How
     * much of both there is follows from what no wave of this phase explains.
     *
     * @param added what the control adds to the latents of this phase
     * @param before what it adds to those of the phase before, and those without control
     */
    private static float[] ofPhaseAlone(float[] added, float[][] before, int phase, int periods) {
        int cells = 8 * phase;
        int plane = cells * cells;
        float[][] enlarged = {enlarged(before[0], phase), enlarged(before[1], phase)};
        float[] own = added.clone();
        for (int channel = 0; channel < 2; channel++) {
            for (int removed = 0; removed < 2; removed++) {
                double[][] columns = new double[5][plane];
                double[] values = new double[plane];
                for (int i = 0; i < plane; i++) {
                    int place = channel == 0 ? i % cells : i / cells;
                    double angle = 2 * Math.PI * periods * (place + 0.5) / cells;
                    columns[0][i] = 1;
                    columns[1][i] = Math.cos(angle);
                    columns[2][i] = Math.sin(angle);
                    columns[3][i] = enlarged[1 - removed][channel * plane + i];
                    columns[4][i] = enlarged[removed][channel * plane + i];
                    values[i] = added[channel * plane + i];
                }
                double share = lastCoefficient(columns, values);
                for (int i = 0; i < plane; i++) {
                    own[channel * plane + i] -=
                            (float) (share * enlarged[removed][channel * plane + i]);
                }
            }
        }
        return own;
    }

    /** The latents of a phase as the next one begins with them. */
    private static float[] enlarged(float[] before, int phase) {
        try (Memory memory = new Memory("test")) {
            MemorySegment small = memory.floats(before.length, "before");
            MemorySegment.copy(before, 0, small, ValueLayout.JAVA_FLOAT, 0, before.length);
            MemorySegment large = memory.floats(4L * 64 * phase * phase, "enlarged");
            ResampleAxis axis = ResampleAxis.bicubic(memory, 8 * (phase - 1), 8 * phase);
            new Resize(memory, 4, axis, axis).run(new JavaKernels(), large, small);
            return large.asSlice(0, 4L * 4 * 64 * phase * phase).toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    /** The last coefficient of a fit by least squares (Gram and Schmidt), which changes the columns. */
    private static double lastCoefficient(double[][] columns, double[] values) {
        for (int c = 0; c < columns.length; c++) {
            for (int d = 0; d < c; d++) {
                subtract(columns[c], columns[d]);
            }
        }
        double[] last = columns[columns.length - 1];
        return dot(last, values) / dot(last, last);
    }

    private static void subtract(double[] from, double[] direction) {
        double share = dot(from, direction) / dot(direction, direction);
        for (int i = 0; i < from.length; i++) {
            from[i] -= share * direction[i];
        }
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    /**
     * Each phase of DemoFusion is brought to the moments of the first one, which scales what a control adds:
     * a wave is found whatever its height, and what the phase before has left is taken away. The exponent
     * leaves the dilated views alone, hardly blurred, or the windows.
     */
    @ParameterizedTest
    @CsvSource({"0", "100"})
    void everyPhaseOfDemoFusionIsShownItsPart(double dilatedExponent) throws IOException {
        int periods = 2;
        Control control = new Control("where", waves(periods), 0.05, 0, 1, Control.Preprocess.NONE);
        PhaseOptions phases =
                PhaseOptions.DEFAULT.withDilatedExponent(dilatedExponent).withBlur(0.01);
        GenerationRequest.Builder request =
                Tiny.request()
                        .method("demofusion")
                        .size(256, 256)
                        .scheduler("euler")
                        .steps(1)
                        .seed(5)
                        .options(DemoFusionOptions.DEFAULT.withPhases(phases));
        Path[] drawn = {temp.resolve("with"), temp.resolve("without")};
        try (Engine engine = open(2)) {
            for (int i = 0; i < 2; i++) {
                Files.createDirectory(drawn[i]);
                request.controls(i == 0 ? List.of(control) : List.of());
                engine.submit(request.dumpDirectory(drawn[i]).build()).join();
            }
        }
        float[][] before = {};
        for (int phase = 1; phase <= 4; phase++) {
            String file = "phase" + phase + "-000-latents.npy";
            float[] added = floats(drawn[0].resolve(file));
            float[] without = floats(drawn[1].resolve(file));
            for (int i = 0; i < added.length; i++) {
                added[i] -= without[i];
            }
            float[] own = phase == 1 ? added : ofPhaseAlone(added, before, phase, periods);
            before = new float[][] {added, without};
            double error = waveError(own, phase, periods, dilatedExponent == 0);
            double most = dilatedExponent == 0 ? 0.02 : 1e-3;
            assertTrue(error < most, "phase " + phase + " is off by " + error + " cells");
        }
    }

    /** On GPUs, where pictures of controls lie on the device, these are the same bits. */
    @ParameterizedTest
    @CsvSource({
        "multidiffusion, 128, denoise-000-latents.npy",
        "demofusion, 128, phase2-000-latents.npy",
        "relay, 128, relay2-000-latents.npy"
    })
    void emulatedGpusAreShownTheSame(String method, int size, String file) {
        float[] onCpu;
        try (Engine engine = open(2)) {
            onCpu = ofLaterStage(engine, method, size, file);
        }
        EmulatedGpus gpus = new EmulatedGpus();
        EngineOptions options = options(1).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, gpus)) {
            assertArrayEquals(onCpu, ofLaterStage(engine, method, size, file));
        }
        assertFalse(gpus.checked().failed());
    }

    /** Patches hold every second cell, each from another one on: so do their pictures. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "cutdiffusion"})
    void patchesAreShownThePictureFromTheirFirstCellOn(String method) {
        GuideOptions apart =
                GuideOptions.DEFAULT.withInteractionSteps(0).withStage1Share(1.0).withWeight(0);
        GenerationRequest.Builder request =
                request(method, 256)
                        .options(
                                method.equals("asg")
                                        ? AsgOptions.DEFAULT.withGuide(apart)
                                        : CutDiffusionOptions.DEFAULT.withGuide(apart))
                        .controls(List.of(where(ramp(256))));
        try (Engine engine = open(2)) {
            float[] drawn = latents(engine, request, "stage1-000-latents.npy");
            double error = positionError(canvas(drawn, 32, 4), 32, 4);
            assertTrue(error < 0.05, "position is off by " + error + " cells");
        }
    }

    /** Patches [n * n, 4, h, w] as a canvas [4, n * h, n * w]. */
    private static float[] canvas(float[] patches, int cells, int n) {
        int side = cells / n;
        float[] canvas = new float[patches.length];
        for (int p = 0; p < n * n; p++) {
            for (int c = 0; c < 4; c++) {
                for (int y = 0; y < side; y++) {
                    for (int x = 0; x < side; x++) {
                        int to = (c * cells + y * n + p / n) * cells + x * n + p % n;
                        canvas[to] = patches[((p * 4 + c) * side + y) * side + x];
                    }
                }
            }
        }
        return canvas;
    }

    /**
     * Where a part of a start picture is drawn, a control's picture lies as the start picture does: its
     * cells show the part, enlarged as that is. The mask's padding decides which part it is.
     */
    @ParameterizedTest
    @CsvSource({
        // padding, first pixel of the part, its pixels
        "direct, 64, 16, 16, 64",
        "direct, 128, 16, 16, 64",
        "multidiffusion, 128, 16, 16, 64",
        "direct, 64, 0, 32, 32",
        "multidiffusion, 128, 8, 24, 48",
    })
    void controlsLieAsTheStartPictureOfWhichAPartIsDrawn(
            String method, int size, int padding, int first, int length) {
        BufferedImage mask = new BufferedImage(128, 128, BufferedImage.TYPE_INT_RGB);
        for (int y = 32; y < 64; y++) {
            for (int x = 32; x < 64; x++) {
                mask.setRGB(x, y, 0xffffff);
            }
        }
        InpaintOptions part =
                InpaintOptions.DEFAULT
                        .withMask(png(mask))
                        .withArea(InpaintOptions.Area.MASKED)
                        .withPadding(padding);
        GenerationRequest.Builder request =
                Tiny.request()
                        .method(method)
                        .size(size, size)
                        .scheduler("euler")
                        .steps(1)
                        .image(Content.file(Tiny.resource("goldens").resolve("start-2x.png")))
                        .strength(1)
                        .inpaint(part);
        Control weak = new Control("where", ramp(128), 0.05, 0, 1, Control.Preprocess.NONE);
        try (Engine engine = open(2)) {
            String file = "denoise-000-latents.npy";
            float[] with = latents(engine, request.controls(List.of(weak)), file);
            float[] without = latents(engine, request.controls(List.of()), file);
            int cells = size / 8;
            // Of a cell that is not drawn nothing is left of what a control adds.
            int from = (int) Math.ceil((32 - first) * (double) cells / length);
            int end = (int) Math.floor((64 - first) * (double) cells / length);
            double pixels = (double) length / cells;
            double scale = 0;
            for (int i = from; i < end; i++) {
                int at = i * cells + i;
                scale += (with[at] - without[at]) / (first + (i + 0.5) * pixels - 0.5);
            }
            scale /= end - from;
            for (int y = from; y < end; y++) {
                for (int x = from; x < end; x++) {
                    int at = y * cells + x;
                    double right = (with[at] - without[at]) / scale;
                    int below = cells * cells + at;
                    double down = (with[below] - without[below]) / scale;
                    assertEquals(first + (x + 0.5) * pixels - 0.5, right, 0.05 * pixels);
                    assertEquals(first + (y + 0.5) * pixels - 0.5, down, 0.05 * pixels);
                }
            }
        }
    }

    // ------------------------------------------------------------------ what holds for all methods

    private static GenerationRequest.Builder drawing(String method) {
        // From nothing: this denoiser takes no noise away, which would hide what a control does.
        return Tiny.request().method(method).size(128, 128).steps(4).seed(3).latents(nothing(16));
    }

    private static String sha256(Engine engine, GenerationRequest.Builder request) {
        return engine.submit(request.build()).join().report().pixelsSha256();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"asg", "direct", "multidiffusion", "cutdiffusion", "demofusion", "relay"})
    void everyMethodFollowsAPictureWithTheSameBytesForAnyNumberOfWorkers(String method) {
        Control half = new Control("where", ramp(128), 0.02, 0, 0.5, Control.Preprocess.NONE);
        Control edges = new Control("where", box(), 0.05, 0.25, 1, Control.Preprocess.CANNY);
        String one;
        try (Engine engine = open(1)) {
            String plain = sha256(engine, drawing(method));
            one = sha256(engine, drawing(method).controls(List.of(half, edges)));
            assertNotEquals(plain, one);
            assertNotEquals(one, sha256(engine, drawing(method).controls(List.of(half))));
            Control silent = new Control("where", ramp(128), 0, 0, 1, Control.Preprocess.NONE);
            assertEquals(plain, sha256(engine, drawing(method).controls(List.of(silent))));
            assertEquals(
                    plain, sha256(engine, drawing(method)), "a control is gone with its request");
        }
        try (Engine engine = open(3)) {
            assertEquals(one, sha256(engine, drawing(method).controls(List.of(half, edges))));
        }
    }

    @Test
    void stepsBeforeTheStartAndAfterTheEndAreThoseWithoutControl() {
        Control early = new Control("where", ramp(128), 1, 0, 0.5, Control.Preprocess.NONE);
        try (Engine engine = open(1)) {
            Path dump = temp;
            engine.submit(drawing("direct").controls(List.of(early)).dumpDirectory(dump).build())
                    .join();
            float[] second = floats(dump.resolve("denoise-001-latents.npy"));
            float[] last = floats(dump.resolve("denoise-003-latents.npy"));
            // Without control this denoiser's estimate is zero, so nothing moves any more.
            for (int i = 0; i < second.length; i++) {
                assertEquals(second[i], last[i]);
            }
        }
    }

    @Test
    void thePlanCountsWhatControlNetworksTake() {
        Control early = new Control("where", ramp(128), 1, 0, 0.5, Control.Preprocess.NONE);
        try (Engine engine = open(1)) {
            PlanReport plain = engine.plan(drawing("multidiffusion").build());
            PlanReport plan =
                    engine.plan(
                            drawing("multidiffusion")
                                    .controls(List.of(early, where(ramp(64))))
                                    .build());
            assertTrue(plain.controls().isEmpty());
            assertEquals(2, plan.controls().get(0).steps());
            assertEquals(plan.unetRows() / 2, plan.controls().get(0).rows());
            assertEquals(plan.unetRows(), plan.controls().get(1).rows());
            assertEquals(plain.unetRows(), plan.unetRows());
            // two pictures of 128 x 128 pixels for the windows
            assertEquals(plain.memory().latents() + 2 * 3 * 4 * 128 * 128, plan.memory().latents());
            assertTrue(plan.memory().weights() > plain.memory().weights());
            assertTrue(plan.memory().workers() > plain.memory().workers());
            assertEquals(
                    "where",
                    ((Map<?, ?>) ((List<?>) ReportJson.map(plan).get("controls")).get(0))
                            .get("network"));
        }
    }

    @Test
    void reportAndTextOfThePictureNameNetworkAndPictureByTheirHashes() {
        Content ramp = ramp(128);
        Control control = new Control("where", ramp, 0.8, 0, 0.7, Control.Preprocess.CANNY);
        try (Engine engine = open(1)) {
            GeneratedImage image =
                    engine.submit(drawing("direct").controls(List.of(control)).build()).join();
            Map<?, ?> applied =
                    (Map<?, ?>) ((List<?>) ReportJson.map(image.report()).get("controls")).get(0);
            String network = (String) applied.get("network_sha256");
            String picture = (String) applied.get("picture_sha256");
            assertEquals(64, network.length());
            assertEquals(((Content.OfBytes) ramp).sha256(), picture);
            String text =
                    PngParameters.settings(PngParameters.text(image.report())).get("ControlNet 0");
            assertEquals(
                    "Module: canny, Model: where ["
                            + network.substring(0, 10)
                            + "], Weight: 0.8, Threshold A: 100, Threshold B: 200, Guidance Start:"
                            + " 0, Guidance End: 0.7, Picture: "
                            + picture.substring(0, 10),
                    text);
            assertEquals(
                    List.of(network),
                    engine.describe().controls().stream().map(c -> c.sha256()).toList());
        }
    }

    // ------------------------------------------------------------------ requests and refusals

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "canny:edges.png | canny | edges.png | ''",
                "canny:a:b.png | canny | a:b.png | ''",
                "canny:edges.png:weight=0.8,start=0,end=0.7 | canny | edges.png |"
                        + " weight=0.8,end=0.7",
                "c:x.png:preprocess=canny | c | x.png | preprocess=canny",
                "c:x.png:preprocess=canny,low=50,high=80 | c | x.png |"
                        + " preprocess=canny,low=50,high=80",
                "c:x.png:preprocess=tile | c | x.png | preprocess=tile"
            })
    void isReadAsItIsWritten(String text, String network, String file, String settings) {
        GenerationRequest request =
                RequestJson.read("{\"prompt\": \"x\", \"controls\": [" + json(text) + "]}");
        Control control = request.controls().getFirst();
        assertEquals(network, control.network());
        assertEquals(Content.file(Path.of(file)), control.picture());
        assertEquals(settings, control.settings());
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
    }

    private static String json(String text) {
        String network = text.substring(0, text.indexOf(':'));
        int last = text.lastIndexOf(':');
        boolean set = text.substring(last + 1).contains("=");
        StringBuilder json = new StringBuilder("{\"network\": \"").append(network);
        json.append("\", \"picture\": {\"file\": \"")
                .append(text, network.length() + 1, set ? last : text.length())
                .append("\"}");
        for (String pair : set ? text.substring(last + 1).split(",") : new String[0]) {
            String[] sides = pair.split("=");
            boolean word = sides[0].equals("preprocess");
            json.append(", \"").append(sides[0]).append("\": ");
            json.append(word ? "\"" + sides[1] + "\"" : sides[1]);
        }
        return json.append('}').toString();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "weight=3 | weight of the control c is 3",
                "start=0.5,end=0.2 | before it starts",
                "low=5 | thresholds of preprocess=canny",
                "preprocess=canny,low=300,high=100 | below its low one",
                "preprocess=depth | not one of none, canny, tile",
                "strength=1 | weight, start, end, preprocess, low and high"
            })
    void refusesSettingsThatCannotBe(String settings, String message) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                RequestJson.read(
                                        "{\"prompt\": \"x\", \"controls\": ["
                                                + json("c:x.png:" + settings)
                                                + "]}"));
        assertTrue(String.valueOf(e.getMessage()).contains(message), e.getMessage());
    }

    private String refusal(Engine engine, GenerationRequest.Builder request) {
        return String.valueOf(
                assertThrows(BadRequestException.class, () -> engine.plan(request.build()))
                        .getMessage());
    }

    @Test
    void refusesWhatItCannotDrawWith() {
        try (Engine engine = open(1)) {
            String unknown =
                    refusal(engine, drawing("asg").controls(List.of(Control.of("pose", ramp(8)))));
            assertTrue(
                    unknown.contains("\"pose\"") && unknown.contains("which holds where"), unknown);
            String none =
                    refusal(
                            engine,
                            drawing("asg")
                                    .controls(
                                            List.of(
                                                    new Control(
                                                            "where",
                                                            ramp(8),
                                                            1,
                                                            0.3,
                                                            0.4,
                                                            Control.Preprocess.NONE))));
            assertTrue(none.contains("takes part in no step"), none);
        }
        BadRequestException method =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                RequestJson.read(
                                        "{\"prompt\": \"x\", \"method\": \"scalecrafter\","
                                                + " \"controls\": ["
                                                + json("c:x.png")
                                                + "]}"));
        assertTrue(
                String.valueOf(method.getMessage()).contains("not of scalecrafter"),
                method.getMessage());
    }

    @Test
    void refusesANetworkOfAnotherFamily() {
        EngineOptions options =
                Tiny.options(1).withControls(FAMILIES.resolve("controlnets").resolve("sd15"));
        try (Engine engine = Engine.open(options)) {
            String message =
                    refusal(
                            engine,
                            drawing("direct").controls(List.of(Control.of("edges", ramp(8)))));
            assertTrue(
                    message.contains("takes text of 32 channels") && message.contains("has 8"),
                    message);
        }
        try (Engine engine = Engine.open(Tiny.options(1))) {
            String message = refusal(engine, drawing("direct").controls(List.of(where(ramp(8)))));
            assertTrue(message.contains("--control-folder"), message);
        }
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> Engine.open(Tiny.options(1).withControls(temp.resolve("none"))));
        assertTrue(String.valueOf(e.getMessage()).contains("is no folder"), e.getMessage());
    }

    /** The tiny bundle's own denoiser has no skip connections. */
    @Test
    void refusesADenoiserWithoutTheNetworksConnections() {
        EngineOptions options =
                Tiny.options(1).withControls(Tiny.resource("controls").resolve("networks"));
        try (Engine engine = Engine.open(options)) {
            GenerationRequest request = drawing("direct").controls(List.of(where(ramp(8)))).build();
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> engine.submit(request).join());
            assertTrue(String.valueOf(e).contains("skip connections"), String.valueOf(e));
        }
    }

    @Test
    void aDamagedNetworkIsNamedWithItsFile() throws IOException {
        Path folder = temp.resolve("networks");
        Path copy = Files.createDirectories(folder.resolve("where"));
        Path from = Tiny.resource("controls").resolve("networks").resolve("where");
        Files.copy(from.resolve("control.json"), copy.resolve("control.json"));
        Files.write(copy.resolve("control.onnx"), new byte[7]);
        try (Engine engine = Engine.open(Tiny.options(1).withControls(folder))) {
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () ->
                                    engine.plan(
                                            drawing("direct")
                                                    .controls(List.of(where(ramp(8))))
                                                    .build()));
            assertTrue(
                    String.valueOf(e.getMessage()).contains("control.onnx has 7 bytes")
                            && String.valueOf(e.getMessage()).contains("asg4j-export controlnet"),
                    e.getMessage());
            assertFalse(engine.describe().controls().getFirst().problem().isEmpty());
        }
    }
}
