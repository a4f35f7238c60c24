// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.spring.sample.Postcards;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

/** The application of docs/integrations.md. */
class SampleTest {
    @Test
    void applicationDraws(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("ball.png");
        SpringApplication.run(
                        Postcards.class,
                        "--out=" + file,
                        "--asg4j.image.method=direct",
                        "--asg4j.image.size=128x128",
                        "--asg4j.image.steps=3",
                        "--spring.main.banner-mode=off")
                .close();
        assertEquals(128, ImageIO.read(file.toFile()).getWidth());
    }

    @Test
    void documentationShowsIt() throws IOException {
        String source =
                Files.readString(
                        Path.of("src/test/java/io/github/asg4j/spring/sample/Postcards.java"));
        String shown = source.substring(source.indexOf("@SpringBootApplication"));
        assertTrue(Files.readString(Path.of("../../docs/integrations.md")).contains(shown), shown);
    }
}
