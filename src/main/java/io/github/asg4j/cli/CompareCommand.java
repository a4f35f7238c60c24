// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OptionNames;
import io.github.asg4j.Seed;
import io.github.asg4j.evaluate.Comparison;
import io.github.asg4j.evaluate.ComparisonPage;
import io.github.asg4j.evaluate.Drawing;
import io.github.asg4j.evaluate.Gallery;
import io.github.asg4j.evaluate.Instruments;
import io.github.asg4j.image.OutputFile;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** Draws one prompt and seed by several methods and writes a page that shows them side by side. */
@Command(
        name = "compare",
        versionProvider = Cli.Version.class,
        description = {
            "Draws one prompt and seed by several methods and writes one HTML page that shows them"
                    + " side by side, with zoom and pan that move together, numbers, attention"
                    + " masks, ablation and a sweep of the guide weight. All methods use one"
                    + " scheduler, eta and guidance scale, the same negative prompt and the same"
                    + " noise."
        },
        synopsisHeading = "Usage: ",
        customSynopsis = "asg compare --prompt TEXT [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg compare --prompt \"a red ball on grass\" --seed 7",
            "  asg compare --prompt \"a blue cube\" --methods asg,direct --figures none --out"
                    + " page.html",
            "",
            "A method that the bundle, the machine or the size does not allow is left out; the page"
                    + " says why."
        })
final class CompareCommand implements Callable<Integer> {
    private static final String ALL = "all";
    private static final String NONE = "none";

    private final Cli cli;
    private final Interruption interruption;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private Page page = new Page();
    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin private CommonArgs commonArgs = new CommonArgs();

    CompareCommand(Cli cli, Interruption interruption) {
        this.cli = cli;
        this.interruption = interruption;
    }

    /** What is on the page, and where it goes. */
    static final class Page {
        @Option(
                names = "--methods",
                paramLabel = "all|LIST",
                order = HelpSections.PICTURE + 4,
                completionCandidates = MethodNames.class,
                description =
                        "methods with commas between them, of ${COMPLETION-CANDIDATES} (default:"
                                + " all)")
        @Nullable String methods;

        @Option(
                names = "--figures",
                paramLabel = "all|none|LIST",
                order = HelpSections.OUTPUT + 70,
                description =
                        "what to show of asg, of attention, ablation, sweep; the last two draw up"
                                + " to 17 pictures (default: all)")
        @Nullable String figures;

        @Option(
                names = "--out",
                paramLabel = "FILE.html",
                order = HelpSections.OUTPUT + 80,
                description = "the page (default: ./SLUG-SEED.html, named by the prompt)")
        @Nullable Path out;
    }

    @Override
    public Integer call() {
        RequestArgs requestArgs = new RequestArgs(command);
        String prompt = requestArgs.text("prompt");
        if (prompt == null) {
            throw new ParameterException(
                    command.commandLine(), "Missing required option: '--prompt TEXT'");
        }
        Collection<String> methods = methods();
        requestArgs.requireAny(methods);
        long random = cli.seeds().getAsLong(); // one for all
        List<GenerationRequest> requests =
                methods.stream()
                        .map(
                                method ->
                                        requestArgs.requestFor(
                                                method,
                                                prompt,
                                                cli.engines().methods(),
                                                () -> random))
                        .toList();
        Comparison comparison = new Comparison(requests, figures());
        GenerationRequest base = comparison.base();
        Path file = page.out != null ? page.out : DefaultFile.of(base, ".html");
        OutputFile.check(file, 0);
        long start = System.nanoTime();
        Gallery gallery = draw(comparison);
        ComparisonPage.of(gallery).write(file, interruption::requested);
        print(gallery, file, (System.nanoTime() - start) / 1e9);
        return ExitCode.DONE;
    }

    private List<String> methods() {
        Set<String> known = cli.engines().methods();
        return page.methods == null
                ? List.copyOf(known)
                : List.copyOf(several("--methods", page.methods, List.of(ALL), known));
    }

    private Set<Comparison.Figure> figures() {
        Map<String, Comparison.Figure> known =
                Arrays.stream(Comparison.Figure.values())
                        .collect(
                                Collectors.toMap(
                                        OptionNames::of, f -> f, (a, b) -> a, LinkedHashMap::new));
        if (page.figures == null) {
            return Set.copyOf(known.values());
        }
        if (page.figures.equalsIgnoreCase(NONE)) {
            return Set.of();
        }
        return several("--figures", page.figures, List.of(ALL, NONE), known.keySet()).stream()
                .map(known::get)
                .collect(Collectors.toSet());
    }

    /**
     * The members of a list as given, each once; all of {@code known} for "all".
     *
     * @param words that stand for a list
     */
    private Collection<String> several(
            String option, String list, List<String> words, Collection<String> known) {
        if (list.equalsIgnoreCase(ALL)) {
            return known;
        }
        List<String> allowed = new ArrayList<>(words);
        allowed.addAll(known);
        Set<String> chosen = new LinkedHashSet<>();
        for (String name : list.split(",", -1)) {
            chosen.add(Values.choice(command, option, name.strip(), allowed));
        }
        for (String word : words) {
            if (chosen.contains(word)) {
                throw new ParameterException(
                        command.commandLine(),
                        "Invalid value for option '"
                                + option
                                + "': '"
                                + word
                                + "' cannot be part of a list");
            }
        }
        return chosen;
    }

    private Gallery draw(Comparison comparison) {
        try (EngineFactory.Handle engine = cli.engines().open(engineArgs.options());
                Instruments instruments =
                        Instruments.open(
                                engineArgs.options().model(),
                                engineArgs.options().parts(),
                                null,
                                null,
                                null);
                ComparisonProgress progress = new ComparisonProgress(cli.err(), cli.terminal())) {
            return Gallery.draw(
                    comparison, new Watched(engine, interruption), progress, instruments::count);
        }
    }

    private void print(Gallery gallery, Path file, double seconds) {
        gallery.drawings()
                .forEach(
                        (shot, drawing) -> {
                            if (drawing instanceof Drawing.Refused refused) {
                                cli.err()
                                        .println(
                                                "asg: warning: "
                                                        + shot.name()
                                                        + " is not drawn: "
                                                        + refused.reason());
                            }
                        });
        long pictures =
                gallery.drawings().values().stream()
                        .filter(drawing -> drawing instanceof Drawing.Drawn)
                        .count();
        long bytes = new File(file.toString()).length();
        if (commonArgs.json) {
            Map<String, Object> report = new LinkedHashMap<>();
            report.put("file", file.toString());
            report.put("bytes", bytes);
            report.put("seconds", Math.rint(seconds * 10) / 10);
            report.putAll(gallery.numbers());
            cli.out().println(Json.write(report));
        } else {
            cli.out()
                    .printf(
                            Locale.ROOT,
                            "%s: %d pictures, seed %d, %.1f MB, %.1f s%n",
                            file,
                            pictures,
                            Seed.number(gallery.comparison().base().seed()),
                            bytes / 1e6,
                            seconds);
        }
    }
}
