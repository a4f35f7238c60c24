// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.PromptOptions;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** LoRA files that a prompt names, as in {@code <lora:style:0.8>}; {@code <lyco:...>} is the same. */
public final class PromptLoras {
    private static final Pattern TAG = Pattern.compile("<(?:lora|lyco):([^<>:]+)(?::([^<>]*))?>");

    private static final String FOLDER_OPTION = "--lora-folder";

    private PromptLoras() {}

    /** A prompt without the files that it names. */
    public static String stripped(String prompt) {
        return TAG.matcher(prompt).replaceAll("");
    }

    /**
     * The LoRA files of a request: those that it lists, then those that its prompt names.
     *
     * @throws BadRequestException a name without a file, or a weight that is no number
     */
    public static List<Lora> of(GenerationRequest request, PromptFolders folders) {
        Matcher tag = TAG.matcher(request.prompt());
        if (request.prompts().syntax() != PromptOptions.Syntax.A1111 || !tag.find()) {
            return request.loras();
        }
        Path folder = folders.loras();
        if (folder == null) {
            throw new BadRequestException(
                    "the prompt asks for "
                            + tag.group()
                            + ": say with --lora-folder where LoRA files are, or name the file"
                            + " beside the prompt, as in --lora FILE.safetensors:0.8");
        }
        NamedFiles files = new NamedFiles(folder, FOLDER_OPTION);
        List<Lora> loras = new ArrayList<>(request.loras());
        do {
            String weight = tag.group(2);
            loras.add(new Lora(files.find(tag.group(1).strip()), weight == null ? 1 : weight(tag)));
        } while (tag.find());
        return List.copyOf(loras);
    }

    /** Files that prompts can name, as paths below their folder, sorted; none where there is no folder. */
    public static List<Path> files(PromptFolders folders) {
        Path folder = folders.loras();
        return folder == null ? List.of() : new NamedFiles(folder, FOLDER_OPTION).readable();
    }

    private static double weight(Matcher tag) {
        String text = tag.group(2).strip();
        try {
            return Double.parseDouble(text);
        } catch (NumberFormatException e) {
            throw new BadRequestException(
                    tag.group()
                            + ": '"
                            + text
                            + "' is no weight, as in <lora:style:0.8>; text encoders and denoiser"
                            + " have the same one here",
                    e);
        }
    }
}
