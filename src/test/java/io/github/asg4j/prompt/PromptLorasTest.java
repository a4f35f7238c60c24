// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.PromptOptions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

class PromptLorasTest {
    @TempDir Path folder;

    private static GenerationRequest request(String prompt, PromptOptions.Syntax syntax) {
        return GenerationRequest.builder(prompt)
                .loras(List.of(new Lora(Path.of("given.safetensors"), 0.5)))
                .prompts(PromptOptions.DEFAULT.withSyntax(syntax))
                .build();
    }

    private List<Lora> loras(String prompt) {
        return PromptLoras.of(
                request(prompt, PromptOptions.Syntax.A1111), new PromptFolders(folder, null));
    }

    private String refusal(String prompt) {
        return assertThrows(BadRequestException.class, () -> loras(prompt)).getMessage();
    }

    @Test
    void filesOfThePromptFollowThoseOfTheRequest() throws IOException {
        Path style = Files.createFile(folder.resolve("My Style.safetensors"));
        Path face = Files.createFile(folder.resolve("face.safetensors"));
        Lora given = new Lora(Path.of("given.safetensors"), 0.5);
        String prompt = "a <lora:My Style:0.8>ball <lyco:face> on <lora:face:-1> grass";
        assertEquals(
                List.of(given, new Lora(style, 0.8), new Lora(face, 1), new Lora(face, -1)),
                loras(prompt));
        assertEquals("a ball  on  grass", PromptLoras.stripped(prompt));
        assertEquals(List.of(given), loras("a ball <3"));
        assertEquals(
                List.of(given),
                PromptLoras.of(request(prompt, PromptOptions.Syntax.PLAIN), PromptFolders.NONE));
    }

    @Test
    void refusalsSayWhatToDo() throws IOException {
        Files.createFile(folder.resolve("face.safetensors"));
        Files.createFile(folder.resolve("old.ckpt"));
        assertTrue(refusal("<lora:fase:1>").contains("which holds face, old"));
        assertTrue(refusal("<lora:old:1>").contains("pickle"));
        assertTrue(refusal("<lora:face:0.5:0.7>").contains("'0.5:0.7' is no weight"));
        String message =
                assertThrows(
                                BadRequestException.class,
                                () ->
                                        PromptLoras.of(
                                                request(
                                                        "<lora:face:1>",
                                                        PromptOptions.Syntax.A1111),
                                                PromptFolders.NONE))
                        .getMessage();
        assertTrue(message.contains("say with --lora-folder where LoRA files are"), message);
    }
}
