// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.EngineInfo;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;

/** What is used of an {@link io.github.asg4j.Engine}; see its methods. */
public interface PictureEngine {
    Generation submit(GenerationRequest request, GenerationListener listener);

    PlanReport plan(GenerationRequest request);

    EngineInfo describe();
}
