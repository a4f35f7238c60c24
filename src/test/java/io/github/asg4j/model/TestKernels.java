// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.kernel.Kernels;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;

/** The two kernels that blend tiles, written for the tests of the decoder. */
final class TestKernels {
    static final Kernels TILES =
            (Kernels)
                    Proxy.newProxyInstance(
                            TestKernels.class.getClassLoader(),
                            new Class<?>[] {Kernels.class},
                            (proxy, method, a) -> {
                                switch (method.getName()) {
                                    case "addTile" -> addTile(a);
                                    case "divideTiles" -> divideTiles(a);
                                    default -> throw new AssertionError(method.getName());
                                }
                                return null;
                            });

    private TestKernels() {}

    private static void addTile(Object[] a) {
        int channels = (int) a[2];
        int height = (int) a[3];
        int width = (int) a[4];
        int top = (int) a[6];
        int left = (int) a[7];
        int tileHeight = (int) a[8];
        int tileWidth = (int) a[9];
        for (int y = 0; y < tileHeight; y++) {
            for (int x = 0; x < tileWidth; x++) {
                float weight = get(a[10], y) * get(a[11], x);
                long cell = (long) (top + y) * width + left + x;
                add(a[1], cell, weight);
                for (int c = 0; c < channels; c++) {
                    float value = get(a[5], ((long) c * tileHeight + y) * tileWidth + x);
                    add(a[0], (long) c * height * width + cell, weight * value);
                }
            }
        }
    }

    private static void divideTiles(Object[] a) {
        long area = (long) a[3];
        for (long i = 0; i < (int) a[2] * area; i++) {
            ((MemorySegment) a[0])
                    .setAtIndex(ValueLayout.JAVA_FLOAT, i, get(a[0], i) / get(a[1], i % area));
        }
    }

    private static float get(Object segment, long index) {
        return ((MemorySegment) segment).getAtIndex(ValueLayout.JAVA_FLOAT, index);
    }

    private static void add(Object segment, long index, float value) {
        ((MemorySegment) segment)
                .setAtIndex(ValueLayout.JAVA_FLOAT, index, get(segment, index) + value);
    }
}
