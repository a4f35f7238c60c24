// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.model.ModelFolder;
import io.github.asg4j.server.ApiKey;
import io.github.asg4j.server.AsgServer;
import io.github.asg4j.server.Limits;
import io.github.asg4j.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Serves pictures over HTTP until the process is told to stop. */
@Command(
        name = "serve",
        versionProvider = Cli.Version.class,
        description = "Draws for HTTP clients: OpenAI's API, AUTOMATIC1111's, jobs, and a page.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg serve [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg serve",
            "  asg serve --host 0.0.0.0 --api-key-file keys.txt --max-pixels 4194304",
            "  asg serve --model-folder ~/models --max-memory 16G",
            "",
            "Ctrl-C or SIGTERM: what waits and what is drawn is finished first; a second one"
                    + " cancels it."
        })
final class ServeCommand implements Callable<Integer> {
    private final Cli cli;

    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin private ServerArgs serverArgs = new ServerArgs();
    @Mixin HelpArgs helpArgs = new HelpArgs();

    ServeCommand(Cli cli) {
        this.cli = cli;
    }

    /** Null: not given. */
    static final class ServerArgs {
        @Option(
                names = "--host",
                paramLabel = "NAME",
                order = HelpSections.SERVICE + 1,
                description =
                        "address to listen on, 0.0.0.0 for all of the machine's (default:"
                                + " ${DEFAULT-VALUE})")
        @Nullable String host;

        @Option(
                names = "--port",
                paramLabel = "N",
                order = HelpSections.SERVICE + 2,
                description = "port to listen on; 0: one that is free (default: ${DEFAULT-VALUE})")
        @Nullable Integer port;

        @Option(
                names = "--queue",
                paramLabel = "N",
                order = HelpSections.SERVICE + 3,
                description =
                        "pictures that may wait, besides the one being drawn; more are refused with"
                                + " 429 (default: ${DEFAULT-VALUE})")
        @Nullable Integer queue;

        @Option(
                names = "--api-key-file",
                paramLabel = "FILE",
                order = HelpSections.SERVICE + 4,
                description =
                        "API keys of which each request has to bring one: one on a line, after"
                                + " which name=, max-pixels=, max-steps= and max-pictures= may"
                                + " follow (default: none is asked for)")
        @Nullable Path apiKeyFile;

        @Option(
                names = "--max-pixels",
                paramLabel = "N",
                order = HelpSections.SERVICE + 5,
                description = "most pixels of a picture (default: what the machine can)")
        @Nullable Integer maxPixels;

        @Option(
                names = "--max-steps",
                paramLabel = "N",
                order = HelpSections.SERVICE + 6,
                description = "most denoising steps of a picture (default: 1000)")
        @Nullable Integer maxSteps;

        @Option(
                names = "--max-pictures",
                paramLabel = "N",
                order = HelpSections.SERVICE + 7,
                description =
                        "most pictures of one key or address that wait or are drawn at the same"
                                + " time (default: no limit)")
        @Nullable Integer maxPictures;

        @Option(
                names = "--allow-host",
                paramLabel = "NAME",
                order = HelpSections.SERVICE + 8,
                description =
                        "a further name by which browsers may reach a server on this machine's own"
                                + " address, as that of a proxy; may be given several times")
        List<String> hosts = new ArrayList<>();

        @Option(
                names = "--model-folder",
                paramLabel = "DIR",
                order = HelpSections.SERVICE + 9,
                description =
                        "folder of further models, which requests name: as asg models lists them,"
                                + " files without their ending. Each is loaded when it is first"
                                + " asked for; where --max-memory has no room for all, the one that"
                                + " was used longest ago leaves")
        @Nullable Path modelFolder;

        @Option(
                names = "--log-prompts",
                order = HelpSections.SERVICE + 10,
                description = "write prompts to the access log")
        boolean logPrompts;

        ServerOptions options() {
            ServerOptions options = ServerOptions.DEFAULT.withHosts(hosts);
            options =
                    options.withAddress(
                            host == null ? options.host() : host,
                            port == null ? options.port() : port);
            if (queue != null) {
                options = options.withQueue(queue);
            }
            Limits limits =
                    new Limits(
                            maxPixels == null ? 0 : maxPixels,
                            maxSteps == null ? 0 : maxSteps,
                            maxPictures == null ? 0 : maxPictures);
            options = options.withLimits(limits).withLogPrompts(logPrompts);
            return apiKeyFile == null ? options : options.withKeys(ApiKey.read(apiKeyFile, limits));
        }
    }

    @Override
    public Integer call() throws InterruptedException {
        ServerOptions options = serverArgs.options();
        EngineOptions engineOptions = engineArgs.options();
        Map<String, EngineOptions> further = new LinkedHashMap<>();
        if (engineOptions.model() == null) {
            further.put(
                    EngineOptions.DEMO_TURBO.toString(),
                    engineOptions.withModel(EngineOptions.DEMO_TURBO));
        }
        if (serverArgs.modelFolder != null) {
            further.putAll(furtherModels(serverArgs.modelFolder, engineOptions));
        }
        ServerLogs.install(cli.out());
        try (AsgServer server = AsgServer.listen(options)) {
            warnIfOpen(options);
            cli.err().println("asg: listening on " + server.uri() + ", loading the model");
            try (Engine engine = Engine.open(engineOptions);
                    StopSignals signals = new StopSignals()) {
                server.serve(engine, further);
                if (!further.isEmpty()) {
                    cli.err()
                            .println("asg: further models: " + String.join(", ", further.keySet()));
                }
                cli.err().println("asg: ready, open " + server.uri());
                signals.awaitFirst();
                cli.err()
                        .println(
                                "asg: stopping: pictures that wait are drawn first; once more to"
                                        + " cancel them");
                signals.onSecond(server::cancel);
                server.drain();
                return signals.wasSecond() ? ExitCode.CANCELLED : ExitCode.DONE;
            }
        }
    }

    /**
     * The models of a folder but the first, by the names of their files and folders.
     *
     * @param first options of the model that is loaded at the start
     */
    private static Map<String, EngineOptions> furtherModels(Path folder, EngineOptions first) {
        Map<String, EngineOptions> models = new LinkedHashMap<>();
        EngineOptions common =
                first.withVae(null).withTextEncoders(List.of()); // those are for --model alone
        try {
            for (ModelFolder.Entry entry : ModelFolder.list(folder, false)) {
                Path place = entry.path();
                Path served = first.model();
                boolean own =
                        served != null && Files.exists(served) && Files.isSameFile(place, served);
                if (own || !entry.refusal().isEmpty()) {
                    continue;
                }
                String name = name(place);
                EngineOptions other = models.put(name, common.withModel(place));
                if (other != null) {
                    throw new BadRequestException(
                            other.model()
                                    + " and "
                                    + place
                                    + " would both be named \""
                                    + name
                                    + "\": rename one");
                }
            }
        } catch (IOException e) {
            throw new BadRequestException(
                    "--model-folder " + folder + " cannot be read (" + e + "): name a folder", e);
        }
        if (models.isEmpty()) {
            throw new BadRequestException(
                    "--model-folder "
                            + folder
                            + " holds no further model to draw with: asg models "
                            + folder
                            + " tells what is there, and why it cannot be taken");
        }
        return models;
    }

    private static String name(Path place) {
        String name = String.valueOf(place.toAbsolutePath().normalize().getFileName());
        return Files.isDirectory(place) ? name : name.replaceFirst("\\.[^.]+$", "");
    }

    private void warnIfOpen(ServerOptions options) {
        boolean local = List.of("127.0.0.1", "localhost", "::1").contains(options.host());
        if (!local && options.keys().isEmpty()) {
            cli.err()
                    .println(
                            "asg: warning: everybody who reaches "
                                    + options.host()
                                    + " can draw: use --api-key-file, or --host 127.0.0.1 behind a"
                                    + " proxy");
        }
    }
}
