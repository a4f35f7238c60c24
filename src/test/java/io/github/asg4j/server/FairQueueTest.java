// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

class FairQueueTest {
    private final FairQueue<String> queue = new FairQueue<>();

    private List<String> pollAll() {
        List<String> polled = new ArrayList<>();
        for (String next = queue.poll(); next != null; next = queue.poll()) {
            polled.add(next);
        }
        return polled;
    }

    @Test
    void ownersTakeTurns() {
        for (String element : List.of("a1", "a2", "a3", "a4", "b1", "c1", "b2")) {
            queue.add(element.substring(0, 1), element);
        }
        List<String> order = List.of("a1", "b1", "c1", "a2", "b2", "a3", "a4");
        assertEquals(order, queue.inOrder());
        assertEquals(order, pollAll());
        assertNull(queue.poll());
    }

    @Test
    void whoeverComesLateWaitsOneTurn() {
        queue.add("a", "a1");
        queue.add("a", "a2");
        queue.add("a", "a3");
        assertEquals("a1", queue.poll());
        queue.add("b", "b1");
        assertEquals(List.of("a2", "b1", "a3"), pollAll());
    }

    @Test
    void removedOnesAreGone() {
        queue.add("a", "a1");
        queue.add("a", "a2");
        queue.add("b", "b1");
        assertTrue(queue.remove("a", "a1"));
        assertFalse(queue.remove("a", "a1"));
        assertTrue(queue.remove("b", "b1"));
        assertEquals(1, queue.size());
        assertEquals(List.of("a2"), pollAll());
        assertEquals(0, queue.size());
    }
}
