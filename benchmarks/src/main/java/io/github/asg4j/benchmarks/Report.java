// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.benchmarks.KernelCatalogue.Kernel;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.KernelChoice;

import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Runs the benchmarks on what this machine has and writes their tables between the markers of a file:
 * {@code Report FILE [SIDE [IMPLEMENTATION...]]}. Implementations that the machine lacks are named.
 */
public final class Report {
    private static final String BEGIN = "<!-- benchmarks -->\n";
    private static final String END = "<!-- end of benchmarks -->\n";
    private static final List<String> ALL = List.of("java", "scalar", "avx2", "avx512", Place.CUDA);

    private final Map<String, Double> seconds = new LinkedHashMap<>();

    private Report() {}

    public static void main(String[] arguments) throws IOException, RunnerException {
        if (arguments.length == 0) {
            System.err.println("Report FILE [SIDE [IMPLEMENTATION...]]");
            System.exit(2);
        }
        Path file = Path.of(arguments[0]);
        int side = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 256;
        List<String> wanted =
                arguments.length > 2 ? List.of(arguments).subList(2, arguments.length) : ALL;
        List<String> usable = new ArrayList<>(KernelChoice.usable());
        if (Place.hasGpu()) {
            usable.add(Place.CUDA);
        }
        List<String> here = wanted.stream().filter(usable::contains).toList();
        Report report = new Report();
        String text = report.kernels(side, here, wanted);
        if (wanted.equals(ALL)) {
            text += report.pipeline(here);
        }
        String notes = Files.readString(file);
        int begin = notes.indexOf(BEGIN);
        int end = notes.indexOf(END);
        if (begin < 0 || end < begin) {
            throw new IOException(file + " has no lines " + BEGIN.strip() + " and " + END.strip());
        }
        Files.writeString(
                file, notes.substring(0, begin + BEGIN.length()) + text + notes.substring(end));
        System.out.println(text);
    }

    private void run(Class<?> benchmark, Map<String, List<String>> parameters)
            throws RunnerException {
        OptionsBuilder options = new OptionsBuilder();
        options.include(benchmark.getName()).shouldFailOnError(true);
        parameters.forEach((name, values) -> options.param(name, values.toArray(String[]::new)));
        for (RunResult result : new Runner(options.build()).run()) {
            List<String> key = new ArrayList<>(List.of(benchmark.getSimpleName()));
            for (String name : parameters.keySet()) {
                key.add(result.getParams().getParam(name));
            }
            seconds.put(String.join(" ", key), best(result));
        }
    }

    /** Returns the time of a call in the best iteration: disturbances only add to it. */
    private static double best(RunResult result) {
        return result.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .filter(iteration -> counter(iteration, "calls") > 0)
                .mapToDouble(i -> counter(i, "nanos") / counter(i, "calls") / 1e9)
                .min()
                .orElseThrow();
    }

    private static double counter(IterationResult iteration, String name) {
        return iteration.getSecondaryResults().get(name).getScore();
    }

    private String kernels(int side, List<String> here, List<String> wanted)
            throws RunnerException {
        List<String> kernels = new ArrayList<>();
        for (Kernel kernel : Kernel.values()) {
            kernels.add(kernel.name());
        }
        Map<String, List<String>> parameters = new LinkedHashMap<>();
        parameters.put("kernel", kernels);
        parameters.put("implementation", here);
        parameters.put("side", List.of(String.valueOf(side)));
        run(KernelBenchmark.class, parameters);

        StringBuilder text = new StringBuilder();
        text.append(
                format(
                        "Latents [4, %d, %d], GB/s of what a call has to read and write, and its"
                                + " share of the copy's.\n\n",
                        side, side));
        text.append("| kernel | MB | ").append(String.join(" | ", here)).append(" |\n");
        text.append("|---|---|").append("---|".repeat(here.size())).append('\n');
        for (Kernel kernel : Kernel.values()) {
            if (kernel == Kernel.SMALLEST_CALL) {
                continue;
            }
            long bytes = bytes(kernel, side);
            text.append(format("| %s | %.1f |", kernel.method(), bytes / 1e6));
            for (String implementation : here) {
                double rate = bytes / time(kernel, implementation, side) / 1e9;
                double copy =
                        bytes(Kernel.COPY, side) / time(Kernel.COPY, implementation, side) / 1e9;
                text.append(
                        kernel == Kernel.COPY
                                ? format(" %.1f |", rate)
                                : format(" %.1f (%.0f %%) |", rate, 100 * rate / copy));
            }
            text.append('\n');
        }
        text.append("| a call of one value | |");
        for (String implementation : here) {
            double time = time(Kernel.SMALLEST_CALL, implementation, side);
            text.append(format(" %.0f ns |", time * 1e9));
        }
        text.append('\n');
        List<String> missing = wanted.stream().filter(name -> !here.contains(name)).toList();
        if (!missing.isEmpty()) {
            text.append("\nNot on this machine: ").append(String.join(", ", missing)).append(".\n");
        }
        return text.toString();
    }

    private double time(Kernel kernel, String implementation, int side) {
        return seconds.get(
                String.join(
                        " ",
                        KernelBenchmark.class.getSimpleName(),
                        kernel.name(),
                        implementation,
                        String.valueOf(side)));
    }

    private static long bytes(Kernel kernel, int side) {
        try (Place place = Place.open("java");
                Memory host = new Memory("host arguments")) {
            return new KernelCatalogue(place, host, side).of(kernel).bytes();
        }
    }

    private String pipeline(List<String> here) throws RunnerException {
        List<String> parts = new ArrayList<>(List.of("unet"));
        here.stream().filter(name -> !name.equals(Place.CUDA)).forEach(parts::add);
        run(PatchStepBenchmark.class, Map.of("part", parts));
        List<String> methods = List.of("asg", "multidiffusion", "cutdiffusion", "direct");
        run(PictureBenchmark.class, Map.of("method", methods));
        StringBuilder text = new StringBuilder();
        double unet = seconds.get("PatchStepBenchmark unet");
        text.append("\nThe demo bundle, CPU time:\n\n| | ms | of the UNet call |\n|---|---|---|\n");
        text.append(format("| UNet call of four patches, 8 rows | %.2f | |\n", unet * 1e3));
        for (String part : parts.subList(1, parts.size())) {
            double time = seconds.get("PatchStepBenchmark " + part);
            text.append(
                    format(
                            "| kernels between two calls, %s | %.3f | %.2f %% |\n",
                            part, time * 1e3, 100 * time / unet));
        }
        for (String method : methods) {
            text.append(
                    format(
                            "| picture of 256 x 256, 20 steps, %s | %.0f | |\n",
                            method, seconds.get("PictureBenchmark " + method) * 1e3));
        }
        return text.toString();
    }

    private static String format(String text, Object... values) {
        return String.format(Locale.ROOT, text, values);
    }
}
