// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertAll;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.function.Executable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * One test per operation, which runs all cases of it and names each that fails. There are more than
 * 3,000 cases: a test for each would take longer to report than to run.
 */
final class CaseTests {
    private CaseTests() {}

    /** What is tested of a case. */
    interface Check {
        void of(KernelCase c) throws Exception;
    }

    /** Tests named after the operations. */
    static Stream<DynamicTest> perOperation(List<KernelCase> cases, Check check) {
        Map<String, List<Executable>> checks = new LinkedHashMap<>();
        for (KernelCase c : cases) {
            checks.computeIfAbsent(c.operation, operation -> new ArrayList<>())
                    .add(() -> check.of(c));
        }
        return checks.entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> assertAll(e.getValue())));
    }
}
