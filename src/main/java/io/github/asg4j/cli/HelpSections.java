// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.IHelpSectionRenderer;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Options under headings, by the hundreds of their order. Not picocli's ArgGroup: an option given
 * twice silently resets all others of its group there.
 */
final class HelpSections implements IHelpSectionRenderer {
    static final int BATCH = 0;
    static final int EVALUATION = 100;
    static final int PICTURE = 200;
    static final int STAGE1 = 300;
    static final int STAGE2 = 400;
    static final int PHASES = 500;
    static final int RELAY = 600;
    static final int DILATION = 700;
    static final int SERVICE = 800;
    static final int MACHINE = 900;
    static final int TENSORS = 1000;
    static final int OUTPUT = 1100;

    private static final Map<Integer, String> HEADINGS =
            Map.ofEntries(
                    Map.entry(BATCH, "Batch:"),
                    Map.entry(EVALUATION, "Evaluation:"),
                    Map.entry(PICTURE, "Picture:"),
                    Map.entry(
                            STAGE1, "Stage 1, patches agree on one structure (asg, cutdiffusion):"),
                    Map.entry(
                            STAGE2,
                            "Overlapping windows (stage 2, multidiffusion, demofusion, relay):"),
                    Map.entry(PHASES, "Phases of growing size (demofusion):"),
                    Map.entry(RELAY, "Relay of stages (relay; plan prints the table):"),
                    Map.entry(
                            DILATION,
                            "Dilated convolutions (scalecrafter; plan prints the defaults):"),
                    Map.entry(SERVICE, "Service:"),
                    Map.entry(MACHINE, "Model and machine:"),
                    Map.entry(TENSORS, "Tensors in and out:"),
                    Map.entry(OUTPUT, "Output and help:"));

    static void register(CommandLine command) {
        command.getHelpSectionMap()
                .put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, new HelpSections());
    }

    @Override
    public String render(Help help) {
        List<OptionSpec> all = help.commandSpec().options();
        Map<Integer, List<OptionSpec>> sections =
                all.stream()
                        .collect(
                                Collectors.groupingBy(
                                        option -> option.order() / 100 * 100,
                                        TreeMap::new,
                                        Collectors.toList()));
        StringBuilder text = new StringBuilder();
        sections.forEach(
                (section, options) -> {
                    // Columns as wide as all options need, so that the sections align.
                    Help.Layout layout =
                            help.createDefaultLayout(all, List.of(), help.colorScheme());
                    options.stream()
                            .sorted(Comparator.comparingInt(OptionSpec::order))
                            .forEach(
                                    option ->
                                            layout.addOption(
                                                    option,
                                                    help.createDefaultParamLabelRenderer()));
                    text.append(System.lineSeparator())
                            .append(HEADINGS.get(section))
                            .append(System.lineSeparator())
                            .append(layout);
                });
        return text.toString();
    }
}
