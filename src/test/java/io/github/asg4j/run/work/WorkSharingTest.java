// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;

class WorkSharingTest {
    @Test
    void equalWorkersTakeTurns() {
        int[] views = {2, 2, 2, 1, 0};
        assertArrayEquals(
                new int[] {0, 1, 2, 0, 1}, WorkSharing.inTurn(views, new double[] {1, 1, 1}));
        assertArrayEquals(
                new int[] {0, 1, 0, 1, 0}, WorkSharing.inTurn(views, new double[] {1, 1.04}));
    }

    @Test
    void aWorkerOfTwiceTheSpeedTakesTwiceTheViews() {
        int[] views = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
        int[] owners = WorkSharing.inTurn(views, new double[] {1, 2});
        int[] taken = new int[2];
        for (int unit = 0; unit < views.length; unit++) {
            taken[owners[unit]] += views[unit];
        }
        assertArrayEquals(new int[] {3, 6}, taken);
    }

    @Test
    void blocksAreNeighboursByTheSpeed() {
        int[] views = {1, 1, 1, 1, 1, 1, 1, 1, 1};
        assertArrayEquals(
                new int[] {0, 0, 0, 0, 1, 1, 1, 1, 1},
                WorkSharing.blocks(views, new double[] {1, 1.04}));
        assertArrayEquals(
                new int[] {0, 0, 1, 1, 1, 1, 1, 1, 1},
                WorkSharing.blocks(views, new double[] {1, 3}));
        assertArrayEquals(
                new int[] {0, 0, 2},
                WorkSharing.blocks(new int[] {4, 4, 1}, new double[] {8, 1, 2}));
        assertArrayEquals(new int[] {2}, WorkSharing.blocks(new int[] {1}, new double[] {1, 1, 9}));
    }

    @Test
    void aWorkerThatWouldOnlyDelayTheOthersTakesNothing() {
        assertArrayEquals(
                new int[] {1, 1, 1, 1},
                WorkSharing.inTurn(new int[] {1, 1, 1, 1}, new double[] {1, 9}));
    }
}
