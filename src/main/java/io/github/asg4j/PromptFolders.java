// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;

/**
 * Folders with the files that prompts in AUTOMATIC1111's syntax name, with all folders in them.
 *
 * @param loras of LoRA files, as in {@code <lora:style:0.8>}; null: prompts name none
 * @param embeddings of textual inversions, which are words of a prompt by their file's name; null: none
 */
public record PromptFolders(@Nullable Path loras, @Nullable Path embeddings) {
    /** No folders. */
    public static final PromptFolders NONE = new PromptFolders(null, null);
}
