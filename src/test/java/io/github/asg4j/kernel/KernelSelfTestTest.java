// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.device.HostQueue;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** What {@code doctor} runs on every device. */
class KernelSelfTestTest {
    private static final Kernels JAVA = new JavaKernels();

    private static String run(InvocationHandler kernels) {
        Kernels proxy =
                (Kernels)
                        Proxy.newProxyInstance(
                                Kernels.class.getClassLoader(),
                                new Class<?>[] {Kernels.class},
                                kernels);
        return KernelSelfTest.firstDifference(proxy, HostQueue.INSTANCE);
    }

    private static Set<String> operations() {
        return Arrays.stream(Kernels.class.getMethods())
                .map(Method::getName)
                .filter(name -> !name.equals("name"))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void everyOperationIsRun() {
        Set<String> called = new TreeSet<>();
        String difference =
                run(
                        (proxy, method, arguments) -> {
                            called.add(method.getName());
                            return method.invoke(JAVA, arguments);
                        });
        assertEquals("", difference);
        assertEquals(operations(), called);
    }

    /** Whichever operation gives one other bit in its result's first cell, it is found. */
    @Test
    void aWrongBitIsFound() {
        for (String wrong : operations()) {
            String difference =
                    run(
                            (proxy, method, arguments) -> {
                                Object result = method.invoke(JAVA, arguments);
                                if (method.getName().equals(wrong)) {
                                    if (result instanceof Long index) {
                                        return index + 1;
                                    }
                                    flip(arguments[0]);
                                }
                                return result;
                            });
            assertEquals(underscored(wrong), difference);
        }
    }

    /** Of the first argument, which is the output or holds it. */
    private static void flip(Object argument) {
        MemorySegment out =
                switch (argument) {
                    case GuidedStep step -> step.out;
                    case WindowStep step -> step.out;
                    default -> (MemorySegment) argument;
                };
        out.set(ValueLayout.JAVA_INT_UNALIGNED, 0, out.get(ValueLayout.JAVA_INT_UNALIGNED, 0) ^ 1);
    }

    /** Operations of the self-test have the names of the kernels. */
    private static String underscored(String name) {
        return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }
}
