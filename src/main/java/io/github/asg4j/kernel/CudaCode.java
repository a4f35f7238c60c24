// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.ffi.Nvrtc;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The sources of the CUDA kernels, as the jar carries them, and how they are compiled. */
public final class CudaCode {
    private static final String FOLDER = "/io/github/asg4j/kernels/";
    private static final List<String> HEADERS =
            List.of(
                    "asg_block.cuh",
                    "asg_device.cuh",
                    "asg_grid.cuh",
                    "asg_math.cuh",
                    "asg_step.h");

    /** --fmad=false: the bits of element-wise kernels are those of the CPU's. */
    private static final List<String> OPTIONS =
            List.of("--std=c++17", "--fmad=false", "--device-as-default-execution-space");

    private final Map<String, String> headers = new LinkedHashMap<>();

    public CudaCode() {
        for (String header : HEADERS) {
            headers.put(header, text("include/" + header));
        }
    }

    /** Text of {@code kernels/NAME.cu}. */
    public String source(String name) {
        return text(name + ".cu");
    }

    public Map<String, String> headers() {
        return Map.copyOf(headers);
    }

    /** Returns the options of the compiler for an architecture, such as 90. */
    public List<String> options(int architecture) {
        List<String> options = new ArrayList<>(OPTIONS);
        options.add("--gpu-architecture=sm_" + architecture);
        return options;
    }

    /**
     * Compiles {@code kernels/NAME.cu}.
     *
     * @param more further options, which do not change the code
     */
    public Nvrtc.Result compile(Nvrtc nvrtc, String name, int architecture, String... more) {
        List<String> options = options(architecture);
        options.addAll(List.of(more));
        return nvrtc.compile(name + ".cu", source(name), headers, options);
    }

    private static String text(String file) {
        try (InputStream in = CudaCode.class.getResourceAsStream(FOLDER + file)) {
            if (in == null) {
                throw new IllegalStateException("the jar has no " + FOLDER + file);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(FOLDER + file, e);
        }
    }
}
