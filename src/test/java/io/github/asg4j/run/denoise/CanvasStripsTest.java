// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.WindowOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.plan.Guidance;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

class CanvasStripsTest {
    private static final int STEPS = 7;

    private static Stage.Windows windows(int height, int width, int stride, int jitter) {
        return new Stage.Windows(
                0,
                STEPS,
                WindowAxis.of(height, 16, stride, jitter),
                WindowAxis.of(width, 16, stride, jitter),
                WindowOptions.Weight.FEATHER,
                WindowOptions.Conditioning.CROP,
                Guidance.always(5),
                null,
                1,
                "stage2");
    }

    @ParameterizedTest
    @CsvSource({
        "32, 32, 8, 0, 1",
        "32, 32, 8, 4, 1",
        "32, 32, 8, 4, 4",
        "32, 32, 8, 4, 9",
        "64, 48, 8, 3, 1",
        "64, 64, 8, 4, 5",
        "16, 64, 8, 4, 1",
        "100, 20, 3, 6, 2",
        "64, 16, 1, 7, 3",
        "64, 32, 16, 0, 1"
    })
    void everyOrderThatTheRulesAllowReadsTheRightSteps(
            int height, int width, int stride, int jitter, int viewBatch) {
        Stage.Windows windows = windows(height, width, stride, jitter);
        List<Stage.Call> calls = windows.calls(viewBatch);
        try (Memory memory = new Memory("test")) {
            for (long seed = 0; seed < 20; seed++) {
                MemorySegment starts = WindowViews.starts(windows, seed, 0, memory);
                CanvasStrips strips = CanvasStrips.of(windows, calls, starts);
                strips(windows, calls, starts, strips);
                strips(windows, calls, starts, CanvasStrips.whole(windows, calls, starts));
                new Simulation(strips, calls.size(), new Random(seed)).run(4);
            }
        }
    }

    /** They cover the canvas once, and who meets whom is what the rows of the windows say. */
    private static void strips(
            Stage.Windows windows,
            List<Stage.Call> calls,
            MemorySegment starts,
            CanvasStrips strips) {
        int row = 0;
        for (int strip = 0; strip < strips.count(); strip++) {
            assertEquals(row, strips.firstRow(strip));
            assertTrue(strips.count() == 1 || strips.rows(strip) >= 4, "a thin strip");
            row += strips.rows(strip);
        }
        assertEquals(windows.y().canvas(), row);
        for (int k = 0; k < STEPS; k++) {
            for (int c = 0; c < calls.size(); c++) {
                Set<Integer> rows = new HashSet<>();
                for (int i = 0; i < calls.get(c).count(); i++) {
                    long at = 2L * ((long) k * windows.views() + calls.get(c).first() + i);
                    int top = starts.getAtIndex(ValueLayout.JAVA_INT, at);
                    for (int y = top; y < top + windows.viewHeight(); y++) {
                        rows.add(y);
                    }
                }
                for (int strip = 0; strip < strips.count(); strip++) {
                    boolean meets = false;
                    for (int y = 0; y < strips.rows(strip); y++) {
                        meets |= rows.contains(strips.firstRow(strip) + y);
                    }
                    assertEquals(meets, strips.meets(k, c, strip), k + " " + c + " " + strip);
                    boolean among = strips.firstCall(strip) <= c && c <= strips.lastCall(strip);
                    assertTrue(among || !meets);
                }
            }
        }
    }

    /** Workers that begin and end units at random, where the rules let them; what is where is noted. */
    private static final class Simulation {
        private final CanvasStrips strips;
        private final int calls;
        private final Random random;
        private final int[] done;
        private final boolean[] running;

        /** Step that made the noise of a call. */
        private final int[] noise;

        /** Step that made a strip of the canvas after step k at index k % 2. */
        private final int[][] canvas;

        private final List<Set<String>> reads = new ArrayList<>();
        private final List<Set<String>> writes = new ArrayList<>();

        Simulation(CanvasStrips strips, int calls, Random random) {
            this.strips = strips;
            this.calls = calls;
            this.random = random;
            int units = calls + strips.count();
            done = new int[units];
            running = new boolean[units];
            noise = new int[calls];
            canvas = new int[2][strips.count()];
            for (int unit = 0; unit < units; unit++) {
                reads.add(new HashSet<>());
                writes.add(new HashSet<>());
            }
        }

        void run(int workers) {
            while (true) {
                List<Integer> ready = new ArrayList<>();
                List<Integer> active = new ArrayList<>();
                for (int unit = 0; unit < done.length; unit++) {
                    if (running[unit]) {
                        active.add(unit);
                    } else if (done[unit] < STEPS && ready(unit)) {
                        ready.add(unit);
                    }
                }
                if (active.isEmpty() && ready.isEmpty()) {
                    break;
                }
                boolean begins = active.size() < workers && !ready.isEmpty();
                if (begins && (active.isEmpty() || random.nextBoolean())) {
                    begin(ready.get(random.nextInt(ready.size())));
                } else {
                    end(active.get(random.nextInt(active.size())));
                }
            }
            for (int d : done) {
                assertEquals(STEPS, d, "a standstill");
            }
        }

        private boolean ready(int unit) {
            return unit < calls
                    ? strips.mayDenoise(unit, i -> done[i])
                    : strips.mayStep(unit - calls, i -> done[i]);
        }

        private void begin(int unit) {
            running[unit] = true;
            int k = done[unit];
            reads.get(unit).clear();
            writes.get(unit).clear();
            if (unit < calls) {
                for (int s = 0; s < strips.count(); s++) {
                    if (strips.meets(k, unit, s)) {
                        readCanvas(unit, k, s);
                    }
                }
                writes.get(unit).add("noise " + unit);
            } else {
                int strip = unit - calls;
                readCanvas(unit, k, strip);
                for (int c = 0; c < calls; c++) {
                    if (strips.meets(k, c, strip)) {
                        assertEquals(k + 1, noise[c], "noise of call " + c + " for step " + k);
                        reads.get(unit).add("noise " + c);
                    }
                }
                writes.get(unit).add("canvas " + k % 2 + " " + strip);
            }
            for (int other = 0; other < done.length; other++) {
                if (running[other] && other != unit) {
                    assertFalse(meet(writes.get(unit), reads.get(other)), "overwritten");
                    assertFalse(meet(reads.get(unit), writes.get(other)), "overwritten");
                    assertFalse(meet(writes.get(unit), writes.get(other)), "written twice");
                }
            }
        }

        private void readCanvas(int unit, int k, int strip) {
            if (k > 0) {
                assertEquals(k, canvas[(k - 1) % 2][strip], "strip " + strip + " of step " + k);
                reads.get(unit).add("canvas " + (k - 1) % 2 + " " + strip);
            }
        }

        private static boolean meet(Set<String> a, Set<String> b) {
            return a.stream().anyMatch(b::contains);
        }

        private void end(int unit) {
            running[unit] = false;
            int k = done[unit]++;
            if (unit < calls) {
                noise[unit] = k + 1;
            } else {
                canvas[k % 2][unit - calls] = k + 1;
            }
        }
    }
}
