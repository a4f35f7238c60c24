// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.DilationOptions;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Dilation factors of a network's convolutions over its first steps (SPEC.md §9; ScaleCrafter, arXiv
 * 2310.07702).
 *
 * @param factors at the first step, at least 1, by group of convolutions; groups left out: 1
 * @param course of the factors
 * @param steps that are dilated
 */
public record Dilation(Map<String, Double> factors, DilationOptions.Course course, int steps) {
    public Dilation {
        factors = Collections.unmodifiableMap(new LinkedHashMap<>(factors));
    }

    /** The factor of {@code group} at step {@code k}. */
    public double at(String group, int k) {
        double factor = factors.getOrDefault(group, 1.0);
        return factor > 1 && course == DilationOptions.Course.PROGRESSIVE
                ? Math.max(Math.ceil(factor * (steps - k) / steps), 2)
                : factor;
    }

    /** The factors at step {@code k} by group. */
    Map<String, Double> at(int k) {
        Map<String, Double> now = new LinkedHashMap<>();
        factors.keySet().forEach(group -> now.put(group, at(group, k)));
        return now;
    }
}
