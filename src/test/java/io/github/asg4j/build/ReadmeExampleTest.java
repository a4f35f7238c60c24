// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.imageio.ImageIO;
import javax.tools.ToolProvider;

/** The program in README.md compiles, runs on the demo model and writes a picture. */
class ReadmeExampleTest {
    @TempDir Path temp;

    @Test
    void theProgramInTheReadmeRuns() throws Exception {
        Path source = Files.writeString(temp.resolve("Example.java"), example());
        int status =
                ToolProvider.getSystemJavaCompiler()
                        .run(
                                null,
                                null,
                                null,
                                "-proc:none",
                                "-Xlint:all",
                                "-Werror",
                                "-Xlint:-path",
                                "-d",
                                temp.toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                source.toString());
        assertEquals(0, status, "the example does not compile");
        Path picture = temp.resolve("example.png");
        try (URLClassLoader loader = new URLClassLoader(new URL[] {temp.toUri().toURL()})) {
            loader.loadClass("Example")
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) new String[] {picture.toString()});
        }
        var image = ImageIO.read(picture.toFile());
        assertEquals(256, image.getWidth());
        assertEquals(256, image.getHeight());
    }

    private static String example() throws IOException {
        Matcher block =
                Pattern.compile("```java\n(.*?)```", Pattern.DOTALL)
                        .matcher(Files.readString(Path.of("README.md")));
        assertTrue(block.find(), "README.md has no Java example");
        return block.group(1);
    }
}
