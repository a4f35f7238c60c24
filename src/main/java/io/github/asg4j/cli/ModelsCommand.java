// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.ModelFolder;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;

/** Lists the models in a folder. */
@Command(
        name = "models",
        versionProvider = Cli.Version.class,
        description =
                "Lists the models in a folder: files, diffusers folders, bundles and control"
                        + " networks.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg models [OPTIONS] [FOLDER]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg models ~/models",
            "  asg models --verify --json",
            "",
            "Only headers are read. What --model cannot take is listed with the reason."
        })
final class ModelsCommand implements Callable<Integer> {
    private static final String[] UNITS = {"bytes", "KiB", "MiB", "GiB", "TiB"};

    private final Cli cli;

    @Mixin private CommonArgs commonArgs = new CommonArgs();

    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "FOLDER",
            defaultValue = ".",
            description = "where to look, four folders deep (default: the current folder)")
    private Path folder = Path.of(".");

    @Option(
            names = "--verify",
            order = HelpSections.OUTPUT + 80,
            description =
                    "read files that are as large as a published one, to tell by their SHA-256"
                            + " whether they are it")
    private boolean verify;

    ModelsCommand(Cli cli) {
        this.cli = cli;
    }

    @Override
    public Integer call() {
        List<ModelFolder.Entry> entries;
        try {
            if (!Files.isDirectory(folder)) {
                throw new BadRequestException(
                        folder + " is no folder: name one that models lie in, as in asg models .");
            }
            entries = ModelFolder.list(folder, verify);
        } catch (IOException e) {
            throw new BadRequestException(
                    folder + " cannot be read (" + e + "): check that it is readable", e);
        }
        if (commonArgs.json) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("folder", folder.toString());
            map.put("models", entries.stream().map(ModelsCommand::asMap).toList());
            cli.out().println(Json.write(map));
        } else {
            print(entries);
        }
        return ExitCode.DONE;
    }

    private static Map<String, Object> asMap(ModelFolder.Entry entry) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("path", entry.path().toString());
        map.put("kind", entry.kind());
        map.put("form", entry.form());
        map.put("bytes", entry.bytes());
        map.put("precision", entry.precision());
        map.put("prediction", entry.prediction());
        map.put("licence", entry.licence());
        map.put("published", entry.published());
        map.put("refusal", entry.refusal());
        return map;
    }

    private void print(List<ModelFolder.Entry> entries) {
        if (entries.isEmpty()) {
            cli.out().println("There is no model in " + folder + ".");
            return;
        }
        List<String[]> rows = new ArrayList<>();
        for (ModelFolder.Entry entry : entries) {
            String within = folder.relativize(entry.path()).toString();
            rows.add(
                    new String[] {
                        within.isEmpty() ? entry.path().toString() : within,
                        readable(entry.bytes()),
                        entry.precision(),
                        entry.kind().isEmpty() ? "cannot be drawn with" : what(entry)
                    });
        }
        int[] widths = new int[3];
        for (String[] row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row[i].length());
            }
        }
        for (int i = 0; i < rows.size(); i++) {
            String[] row = rows.get(i);
            cli.out()
                    .println(
                            String.format(
                                    Locale.ROOT,
                                    "%-"
                                            + widths[0]
                                            + "s  %"
                                            + widths[1]
                                            + "s  %-"
                                            + Math.max(1, widths[2])
                                            + "s  %s",
                                    row[0],
                                    row[1],
                                    row[2],
                                    row[3]));
            if (!entries.get(i).refusal().isEmpty()) {
                cli.out().println("    " + entries.get(i).refusal());
            }
        }
    }

    /** As "Stable Diffusion XL, predicts v; CreativeML Open RAIL++-M; published as ...". */
    private static String what(ModelFolder.Entry entry) {
        StringBuilder text = new StringBuilder(entry.kind());
        if (!entry.form().equals("file") && !entry.kind().startsWith(entry.form())) {
            text.append(" (").append(entry.form()).append(')');
        }
        if (!Set.of("epsilon", "").contains(entry.prediction())) {
            text.append(", predicts ").append(entry.prediction());
        }
        if (!entry.licence().isEmpty()) {
            text.append("; ").append(entry.licence());
        }
        if (!entry.published().isEmpty()) {
            text.append("; published as ").append(entry.published());
        }
        return text.toString();
    }

    /** As "2.0 GiB". */
    static String readable(long bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return unit == 0
                ? bytes + " " + UNITS[0]
                : String.format(Locale.ROOT, "%.1f %s", value, UNITS[unit]);
    }
}
