// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.Nvrtc;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Every CUDA kernel compiles, without a warning and without spilling a register, for every
 * architecture that ONNX Runtime's CUDA provider has code for. Needs no GPU. Leaves the table of
 * {@code benchmarks/NOTES.md} in {@code target/kernel-resources.md}.
 */
class KernelCompilationTest {
    private static final List<Integer> ARCHITECTURES = List.of(75, 80, 86, 89, 90, 100, 120);
    private static final Path SOURCES = Path.of("kernels");
    private static final Path NVRTC =
            Path.of("target/nvrtc/org/bytedeco/cuda/linux-x86_64", Nvrtc.LIBRARY);

    private static final Pattern ENTRY = Pattern.compile("Compiling entry function '(\\w+)'");
    private static final Pattern FRAME =
            Pattern.compile(
                    "(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill"
                            + " loads");
    private static final Pattern USED =
            Pattern.compile("Used (\\d+) registers(?:.* (\\d+) bytes smem)?");

    /** What ptxas says of one kernel. */
    private record Resources(int registers, int shared, int stack, int spilled) {}

    @Test
    @Timeout(value = 10, unit = TimeUnit.MINUTES)
    void everyKernelCompilesForEveryArchitecture() throws Exception {
        Nvrtc nvrtc = new Nvrtc(NVRTC);
        CudaCode code = new CudaCode();
        Map<String, List<Resources>> table = new TreeMap<>();
        for (int architecture : ARCHITECTURES) {
            for (CudaOperation operation : CudaOperation.values()) {
                String what = operation.source() + ".cu for sm_" + architecture;
                Nvrtc.Result result =
                        code.compile(nvrtc, operation.source(), architecture, "--ptxas-options=-v");
                assertEquals("", result.error(), () -> what + "\n" + result.log());
                assertTrue(!result.log().contains("warning"), () -> what + "\n" + result.log());
                assertEquals(0x7F, result.cubin()[0], what + " gives an ELF file");
                Map<String, Resources> found = parse(result.log());
                assertTrue(found.containsKey(operation.float32()), () -> what + ": " + found);
                found.forEach(
                        (kernel, resources) -> {
                            assertEquals(0, resources.spilled, () -> what + " spills: " + found);
                            table.computeIfAbsent(kernel, k -> new ArrayList<>()).add(resources);
                        });
            }
        }
        Files.writeString(Path.of("target/kernel-resources.md"), markdown(nvrtc, table));
    }

    private static Map<String, Resources> parse(String log) {
        Map<String, Resources> found = new TreeMap<>();
        String kernel = "";
        int stack = 0;
        int spilled = 0;
        for (String line : log.lines().toList()) {
            Matcher entry = ENTRY.matcher(line);
            Matcher frame = FRAME.matcher(line);
            Matcher used = USED.matcher(line);
            if (entry.find()) {
                kernel = entry.group(1);
            } else if (frame.find()) {
                stack = Integer.parseInt(frame.group(1));
                spilled = Integer.parseInt(frame.group(2)) + Integer.parseInt(frame.group(3));
            } else if (used.find()) {
                int shared = used.group(2) == null ? 0 : Integer.parseInt(used.group(2));
                found.put(
                        kernel,
                        new Resources(Integer.parseInt(used.group(1)), shared, stack, spilled));
            }
        }
        return found;
    }

    private static String markdown(Nvrtc nvrtc, Map<String, List<Resources>> table) {
        StringBuilder text = new StringBuilder();
        text.append("NVRTC ")
                .append(nvrtc.version())
                .append(", registers of a thread by architecture; no kernel spills.\n\n");
        text.append("| kernel |");
        ARCHITECTURES.forEach(
                architecture -> text.append(" sm_").append(architecture).append(" |"));
        text.append(" shared, bytes | stack, bytes |\n|---|");
        text.append("---|".repeat(ARCHITECTURES.size() + 2)).append('\n');
        table.forEach(
                (kernel, resources) -> {
                    text.append("| ").append(kernel).append(" |");
                    resources.forEach(r -> text.append(' ').append(r.registers).append(" |"));
                    int shared = resources.stream().mapToInt(Resources::shared).max().orElse(0);
                    int stack = resources.stream().mapToInt(Resources::stack).max().orElse(0);
                    text.append(" " + shared + " | " + stack + " |\n");
                });
        return text.toString();
    }

    /** A source that no operation names would never be compiled, nor run on the CPU. */
    @Test
    void everySourceIsAnOperationAndIsEmulated() throws IOException {
        List<String> files;
        try (Stream<Path> sources = Files.list(SOURCES)) {
            files =
                    sources.map(file -> file.getFileName().toString())
                            .filter(name -> name.endsWith(".cu"))
                            .sorted()
                            .toList();
        }
        assertEquals(
                Arrays.stream(CudaOperation.values())
                        .map(operation -> operation.source() + ".cu")
                        .sorted()
                        .toList(),
                files);
        List<String> kernels = new ArrayList<>();
        for (String file : files) {
            Matcher kernel =
                    Pattern.compile("ASG_KERNEL (\\w+)\\(")
                            .matcher(Files.readString(SOURCES.resolve(file)));
            while (kernel.find()) {
                kernels.add(kernel.group(1));
            }
        }
        assertEquals(
                kernels.stream().sorted().toList(),
                EmulatedCuda.kernels().stream().sorted().toList());
    }

    /** What the tests stand on: a wrong kernel does not compile, and the message says where. */
    @Test
    void errorsAreReported() throws Exception {
        Nvrtc.Result result =
                new Nvrtc(NVRTC)
                        .compile(
                                "wrong.cu",
                                "#include \"asg_device.cuh\"\nASG_KERNEL f() { nothing(); }\n",
                                new CudaCode().headers(),
                                new CudaCode().options(90));
        assertTrue(result.error().startsWith("NVRTC_ERROR_COMPILATION"), result.error());
        assertTrue(result.log().contains("wrong.cu(2)"), result.log());
        assertEquals(0, result.cubin().length);
    }
}
