// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring.sample;

import org.springframework.ai.image.ImageModel;
import org.springframework.ai.image.ImagePrompt;
import org.springframework.boot.ApplicationArguments;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

@SpringBootApplication
public class Postcards implements ApplicationRunner {
    private final ImageModel model; // of any provider: here it is the engine

    Postcards(ImageModel model) {
        this.model = model;
    }

    @Override
    public void run(ApplicationArguments arguments) throws Exception {
        var image = model.call(new ImagePrompt("a red ball on grass")).getResult().getOutput();
        Path file = Path.of(arguments.getOptionValues("out").getFirst());
        Files.write(file, Base64.getDecoder().decode(image.getB64Json()));
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Postcards.class, arguments);
    }
}
