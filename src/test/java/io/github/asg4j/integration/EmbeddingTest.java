// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;

import java.io.File;
import java.lang.reflect.Method;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Several engines in one process, of one class loader and of two: application servers have both. */
public class EmbeddingTest {
    private static final GenerationRequest REQUEST =
            GenerationRequest.builder("a red ball on grass")
                    .seed(1)
                    .size(128, 128)
                    .steps(2)
                    .build();

    /** Called by reflection in the other class loader. */
    public static String draw() {
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"))) {
            return engine.submit(REQUEST).join().report().pixelsSha256();
        }
    }

    @Test
    void twoEnginesDrawAtOnce() {
        String expected = draw();
        EngineOptions options = EngineOptions.DEFAULT.withDevices("cpu:1");
        try (Engine one = Engine.open(options);
                Engine two = Engine.open(options)) {
            Generation first = one.submit(REQUEST);
            Generation second = two.submit(REQUEST);
            assertEquals(expected, first.join().report().pixelsSha256());
            assertEquals(expected, second.join().report().pixelsSha256());
        }
        assertEquals(expected, draw());
    }

    /** While an engine of the first one is open, and after it was closed. */
    @Test
    void anEngineInASecondClassLoaderDrawsTheSame() throws Exception {
        try (URLClassLoader other =
                new URLClassLoader(classPath(), ClassLoader.getPlatformClassLoader())) {
            Class<?> same = other.loadClass(EmbeddingTest.class.getName());
            assertNotSame(EmbeddingTest.class, same);
            Method drawThere = same.getMethod("draw");
            String expected;
            try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"))) {
                Generation generation = engine.submit(REQUEST);
                Object there = drawThere.invoke(null);
                expected = Tiny.hash(generation.join());
                assertEquals(expected, there);
            }
            assertEquals(expected, drawThere.invoke(null));
            assertEquals(expected, draw());
        }
    }

    private static URL[] classPath() throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            urls.add(Path.of(entry).toUri().toURL());
        }
        return urls.toArray(new URL[0]);
    }
}
