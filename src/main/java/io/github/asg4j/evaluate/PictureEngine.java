// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;

import java.util.Map;

/** What is used of an {@link io.github.asg4j.Engine}; see its methods. */
public interface PictureEngine {
    Generation submit(GenerationRequest request, GenerationListener listener);

    Map<String, Object> plan(GenerationRequest request);

    Map<String, Object> describe();
}
