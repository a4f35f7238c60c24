// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A way to draw a picture larger than the denoiser's native size: a list of stages. */
public interface Method {
    /**
     * The stages that together take all steps of the schedule, in order.
     *
     * @param steps of the schedule
     * @param guidanceScale the request's, or the bundle's default
     */
    List<Stage> stages(GenerationRequest request, Canvas canvas, int steps, double guidanceScale);

    /** All methods by their names on the command line. */
    Map<String, Method> ALL = all();

    private static Map<String, Method> all() {
        Map<String, Method> methods = new LinkedHashMap<>();
        methods.put("asg", new AsgDiffusion());
        methods.put("direct", new Direct());
        return Collections.unmodifiableMap(methods);
    }

    /** Names in the order of {@link #ALL}. */
    static Set<String> names() {
        return ALL.keySet();
    }

    /** The method called {@code name}. */
    static Method of(String name) {
        Method method = ALL.get(name);
        if (method == null) {
            throw new BadRequestException(
                    "unknown method \"" + name + "\": there are " + String.join(", ", names()));
        }
        return method;
    }
}
