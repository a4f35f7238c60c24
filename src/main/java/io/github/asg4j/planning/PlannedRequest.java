// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.schedule.Schedule;

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
 * @param maskBlocks indices of the bundle's attention maps that the mask is made of
 */
public record PlannedRequest(
        GenerationRequest request,
        Plan plan,
        Schedule schedule,
        double guidanceScale,
        OptionalDouble strength,
        List<Integer> maskBlocks) {
    public PlannedRequest {
        maskBlocks = List.copyOf(maskBlocks);
    }
}
