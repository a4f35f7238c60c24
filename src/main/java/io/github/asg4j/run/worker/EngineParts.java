// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.PromptFolders;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Tokenizer;

import java.util.List;

/**
 * What all requests of an engine have in common.
 *
 * @param bundle that was opened
 * @param model its networks on the devices
 * @param tokenizers one per text encoder
 * @param folders of the files that prompts name
 * @param kernels on host memory
 * @param version of this library, for the reports
 */
public record EngineParts(
        Bundle bundle,
        LoadedModel model,
        List<Tokenizer> tokenizers,
        PromptFolders folders,
        Kernels kernels,
        String version) {
    public EngineParts {
        tokenizers = List.copyOf(tokenizers);
    }
}
