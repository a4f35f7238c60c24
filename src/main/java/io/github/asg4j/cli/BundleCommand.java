// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.Engine;
import io.github.asg4j.Lora;
import io.github.asg4j.image.OutputFolder;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.BundleWriter;
import io.github.asg4j.model.ControlFolder;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** Writes a checkpoint as a bundle. */
@Command(
        name = "bundle",
        versionProvider = Cli.Version.class,
        description =
                "Writes a checkpoint as a bundle, the form to ship and to pin: graphs, weights as"
                        + " the checkpoint stores them, tokenizers, and a manifest with every"
                        + " file's SHA-256.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg bundle MODEL --out DIR [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg bundle v1-5-pruned-emaonly.safetensors --out sd15",
            "  asg bundle sd_xl_base_1.0.safetensors --vae sdxl_vae.safetensors --lora"
                    + " style.safetensors:0.8 --out styled",
            "",
            "--model DIR then draws what --model MODEL with the same options draws."
        })
final class BundleCommand implements Callable<Integer> {
    private final Cli cli;
    private final Interruption interruption;

    @Parameters(
            index = "0",
            paramLabel = "MODEL",
            description = "a publisher's .safetensors file, or a diffusers folder")
    @SuppressWarnings("NullAway.Init") // set by picocli
    private Path model;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            order = HelpSections.OUTPUT + 80,
            description = "the bundle's folder, which is made; one that is there has to be empty")
    @SuppressWarnings("NullAway.Init") // set by picocli
    private Path out;

    @Mixin private PartsArgs partsArgs = new PartsArgs();

    @Option(
            names = "--lora",
            paramLabel = "FILE[:WEIGHT]",
            order = HelpSections.MACHINE + 1,
            description =
                    "a LoRA file to merge into the weights, by this weight (-10..10; default: 1);"
                            + " may be given again")
    private List<String> loras = List.of();

    @Option(
            names = "--control-folder",
            paramLabel = "DIR",
            order = HelpSections.MACHINE + 1,
            description =
                    "folder of control networks, each in a folder of its name, to copy into the"
                            + " bundle (default: controlnets in MODEL, if it is a folder)")
    private @Nullable Path controlFolder;

    @Option(
            names = "--name",
            paramLabel = "TEXT",
            order = HelpSections.OUTPUT + 80,
            description = "what the model is called (default: as its file)")
    private @Nullable String name;

    @Option(
            names = "--licence",
            paramLabel = "TEXT",
            order = HelpSections.OUTPUT + 80,
            description =
                    "the weights' licence (default: that of the published file, or what the model"
                            + " says)")
    private @Nullable String licence;

    @Mixin private CommonArgs commonArgs = new CommonArgs();

    BundleCommand(Cli cli, Interruption interruption) {
        this.cli = cli;
        this.interruption = interruption;
    }

    @Override
    public Integer call() {
        long start = System.nanoTime();
        OutputFolder.check(out, 0);
        AtomicBoolean cancelled = new AtomicBoolean();
        interruption.watch(() -> cancelled.set(true));
        BundleWriter.Written[] written = new BundleWriter.Written[1];
        ControlFolder controls = ControlFolder.of(controlFolder, model, false);
        List<Lora> merged = loras.stream().map(Lora::parse).toList();
        try (Bundle bundle = Bundle.open(model, partsArgs.parts(), false);
                BundleWriter writer = new BundleWriter(bundle, merged, controls)) {
            OutputFolder.check(out, writer.bytes());
            var title = new BundleWriter.Title(name, licence, "asg4j " + Engine.version());
            OutputFolder.write(
                    out, folder -> written[0] = writer.write(folder, title, cancelled::get));
        }
        double seconds = (System.nanoTime() - start) / (double) TimeUnit.SECONDS.toNanos(1);
        report(written[0], Math.round(seconds * 1000) / 1000.0);
        return ExitCode.DONE;
    }

    private void report(BundleWriter.Written written, double seconds) {
        var manifest = written.manifest();
        if (commonArgs.json) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("folder", out.toString());
            map.put("name", manifest.name());
            map.put("licence", manifest.licence());
            map.put("sha256", written.sha256());
            map.put("files", manifest.files().size() + 1);
            map.put("bytes", written.bytes());
            map.put("seconds", seconds);
            cli.out().println(Json.write(map));
            return;
        }
        cli.out()
                .println(
                        String.format(
                                Locale.ROOT,
                                "%s: %s in %.1f s, SHA-256 %s",
                                out,
                                ModelsCommand.readable(written.bytes()),
                                seconds,
                                written.sha256()));
        cli.out().println("Licence of the weights: " + manifest.licence());
        cli.out().println("To draw: asg generate --model " + out + " --prompt TEXT");
    }
}
