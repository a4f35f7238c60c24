// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.SplittableRandom;

/** Intervals hold what they are said to hold. */
class StatisticsTest {
    /** Values of Wilson's formula as tables give them. */
    @Test
    void wilson() {
        Interval half = Interval.wilson(48, 64);
        assertEquals(0.75, half.value());
        assertEquals(0.632, half.low(), 0.001);
        assertEquals(0.840, half.high(), 0.001);
        Interval all = Interval.wilson(64, 64);
        assertEquals(0.943, all.low(), 0.001);
        assertEquals(1, all.high(), 1e-9);
        assertEquals(0, Interval.wilson(0, 10).low(), 1e-9);
        assertEquals(0.278, Interval.wilson(0, 10).high(), 0.001);
    }

    @Test
    void meanAndItsInterval() {
        SplittableRandom random = new SplittableRandom(1);
        double[] values = new double[400];
        for (int i = 0; i < values.length; i++) {
            values[i] = 3 + 2 * random.nextGaussian();
        }
        Interval interval = new Bootstrap(values.length).mean(values);
        // Standard error 0.1: the normal interval is 3 +- 0.196.
        assertEquals(3, interval.value(), 0.3);
        assertEquals(0.196, interval.value() - interval.low(), 0.04);
        assertEquals(0.196, interval.high() - interval.value(), 0.04);
        Interval again = new Bootstrap(values.length).mean(values);
        assertEquals(interval, again);
    }

    @Test
    void intervalsCoverTheTruthAsOftenAsTheySay() {
        SplittableRandom random = new SplittableRandom(2);
        Bootstrap bootstrap = new Bootstrap(40);
        int covered = 0;
        int runs = 300;
        for (int run = 0; run < runs; run++) {
            double[] values = new double[40];
            for (int i = 0; i < values.length; i++) {
                values[i] = random.nextGaussian();
            }
            Interval interval = bootstrap.mean(values);
            covered += interval.low() <= 0 && 0 <= interval.high() ? 1 : 0;
        }
        assertEquals(0.93, (double) covered / runs, 0.05);
    }

    /** FID and other statistics are larger on any resample; the interval is about the value. */
    @Test
    void biasOfResamplingIsTakenOff() {
        double[] values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
        // How many different pictures a resample holds: 10, and about 6.5 on resamples.
        Interval interval =
                new Bootstrap(10)
                        .interval(
                                w -> {
                                    int different = 0;
                                    for (int one : w) {
                                        different += one > 0 ? 1 : 0;
                                    }
                                    return different;
                                });
        assertEquals(10, interval.value());
        assertTrue(interval.low() < 10 && 10 < interval.high(), interval.toString());
        assertEquals(values.length, 10);
    }

    @Test
    void missingValuesAreLeftOut() {
        double[] values = {Double.NaN, 2, 4};
        assertEquals(3, new Bootstrap(3).mean(values).value());
        assertTrue(
                Double.isNaN(new Bootstrap(2).mean(new double[] {Double.NaN, Double.NaN}).value()));
        Interval single = new Bootstrap(1).mean(new double[] {7});
        assertEquals(7, single.value());
        assertTrue(Double.isNaN(single.low()));
    }
}
