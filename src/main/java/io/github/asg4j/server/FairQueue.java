// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What waits, by owners that take turns: who asks for much waits for others who ask for little. An
 * owner's own come in their order. Not thread-safe.
 */
final class FairQueue<T> {
    /** The owner whose turn it is comes first; none is empty. */
    private final Map<String, ArrayDeque<T>> waiting = new LinkedHashMap<>();

    private int size;

    int size() {
        return size;
    }

    void add(String owner, T element) {
        waiting.computeIfAbsent(owner, o -> new ArrayDeque<>()).add(element);
        size++;
    }

    /** The next one, taken out; null: there is none. */
    @Nullable T poll() {
        Iterator<Map.Entry<String, ArrayDeque<T>>> owners = waiting.entrySet().iterator();
        if (!owners.hasNext()) {
            return null;
        }
        Map.Entry<String, ArrayDeque<T>> first = owners.next();
        owners.remove();
        ArrayDeque<T> own = first.getValue();
        T element = own.remove();
        if (!own.isEmpty()) {
            waiting.put(first.getKey(), own);
        }
        size--;
        return element;
    }

    /** Takes an element out; whether it was there. */
    boolean remove(String owner, T element) {
        ArrayDeque<T> own = waiting.get(owner);
        if (own == null || !own.remove(element)) {
            return false;
        }
        if (own.isEmpty()) {
            waiting.remove(owner);
        }
        size--;
        return true;
    }

    /** All, in the order in which they would be taken. */
    List<T> inOrder() {
        List<Iterator<T>> owners = new ArrayList<>();
        waiting.values().forEach(own -> owners.add(own.iterator()));
        List<T> order = new ArrayList<>(size);
        while (!owners.isEmpty()) {
            owners.removeIf(
                    own -> {
                        if (own.hasNext()) {
                            order.add(own.next());
                        }
                        return !own.hasNext();
                    });
        }
        return order;
    }
}
