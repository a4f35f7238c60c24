// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.model.ControlFiles;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.TextWork;
import io.github.asg4j.schedule.Schedule;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.OptionalDouble;

/**
 * A request with all that was decided for it before any work, by {@link Planner#planned}.
 *
 * @param request as it was submitted
 * @param plan of the work
 * @param schedule of the noise
 * @param guidanceScale of classifier-free guidance
 * @param strength share of the schedule that is drawn where the canvas begins as the start picture;
 *     empty: it begins as noise, or a picture is enlarged
 * @param loras that the model is drawn with: those of the request, and those that its prompt names
 * @param controls networks that hold the picture to other ones
 * @param promptSteps which steps of its schedule a prompt takes every step for
 * @param maskBlocks indices of the bundle's attention maps that the mask is made of
 */
public record PlannedRequest(
        GenerationRequest request,
        Plan plan,
        Schedule schedule,
        double guidanceScale,
        OptionalDouble strength,
        List<Lora> loras,
        List<PlannedControl> controls,
        PromptSteps promptSteps,
        List<Integer> maskBlocks) {
    public PlannedRequest {
        loras = List.copyOf(loras);
        controls = List.copyOf(controls);
        maskBlocks = List.copyOf(maskBlocks);
    }

    /** The same with other LoRA files. */
    public PlannedRequest withLoras(List<Lora> files) {
        return new PlannedRequest(
                request,
                plan,
                schedule,
                guidanceScale,
                strength,
                files,
                controls,
                promptSteps,
                maskBlocks);
    }

    /** The same with what its prompts take. */
    public PlannedRequest withText(@Nullable TextWork text) {
        return new PlannedRequest(
                request,
                plan.withText(text),
                schedule,
                guidanceScale,
                strength,
                loras,
                controls,
                promptSteps,
                maskBlocks);
    }

    /** The files of the networks of its controls. */
    public List<ControlFiles> controlFiles() {
        return controls.stream().map(PlannedControl::network).toList();
    }

    /**
     * How far prompts that change are, which count steps from 1 to those of the request.
     *
     * @param steps by step of the schedule
     * @param of steps of the request
     */
    public record PromptSteps(List<Integer> steps, int of) {
        public PromptSteps {
            steps = List.copyOf(steps);
        }
    }
}
