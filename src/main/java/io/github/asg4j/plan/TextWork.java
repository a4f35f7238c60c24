// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.PlanReport;

import java.util.List;

/**
 * What the prompts of a request take. The number of the denoiser's calls does not depend on them.
 *
 * @param chunks of tokens that the longest prompt has
 * @param tokens that each call of the denoiser attends to
 * @param prompts whose embeddings are kept: negative prompt, prompt, background and regions, once more
 *     for each time that they change from step to step
 * @param rowBytes bytes of the embeddings of one
 * @param changedBytes bytes of the weights of text encoders that are loaded a second time, changed
 */
public record TextWork(int chunks, int tokens, int prompts, long rowBytes, long changedBytes) {
    /** What a caller is told of it. */
    PlanReport.Text report() {
        return new PlanReport.Text(chunks, tokens, prompts);
    }

    /** Bytes of the embeddings. */
    long bytes() {
        return prompts * rowBytes;
    }

    /** Bytes of a worker's inputs of the denoiser, which has some for calls of one row and of two. */
    long workerBytes(List<Stage> stages, int viewBatch) {
        long most = 0;
        for (Stage stage : stages) {
            long copies = stage.rowCounts().stream().mapToLong(n -> n).sum();
            most = Math.max(most, Math.min(viewBatch, stage.views()) * copies);
        }
        return most * rowBytes;
    }
}
