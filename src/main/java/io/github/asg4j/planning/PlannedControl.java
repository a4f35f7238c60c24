// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import io.github.asg4j.Control;
import io.github.asg4j.model.ControlFiles;

import java.util.List;

/**
 * A control of a request, with its network.
 *
 * @param control as it was asked for
 * @param network that it names
 * @param activeIn whether it takes part, by step of the schedule
 */
public record PlannedControl(Control control, ControlFiles network, List<Boolean> activeIn) {
    public PlannedControl {
        activeIn = List.copyOf(activeIn);
    }

    /**
     * Decides in which steps a control takes part: those that lie within its share of all, as diffusers
     * has it.
     */
    static PlannedControl of(
            Control control, ControlFiles network, PlannedRequest.PromptSteps steps) {
        double of = steps.of();
        return new PlannedControl(
                control,
                network,
                steps.steps().stream()
                        .map(
                                step ->
                                        (step - 1) / of >= control.start()
                                                && step / of <= control.end())
                        .toList());
    }
}
