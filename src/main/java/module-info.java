// SPDX-License-Identifier: Apache-2.0
/**
 * An engine for training-free high-resolution text-to-image diffusion.
 *
 * <p>{@link io.github.asg4j.Engine} draws; {@link io.github.asg4j.image} writes what it draws,
 * {@link io.github.asg4j.server} serves it. Nothing else is API. The demo model is a module of its own,
 * {@code io.github.asg4j.demo}; the command line needs picocli, Jackson's databind and what reads and writes batches, the server Jetty,
 * Micrometer and databind, the engine none of them.
 */
@SuppressWarnings("requires-automatic") // Micrometer's and Hardwood's
module io.github.asg4j {
    exports io.github.asg4j;
    exports io.github.asg4j.image;
    exports io.github.asg4j.server;

    requires com.fasterxml.jackson.core;
    requires transitive java.desktop; // pictures are handed out as java.awt.image.RenderedImage
    requires java.logging;
    requires jdk.jfr;
    requires jdk.management;
    requires org.bytedeco.javacpp;
    requires org.bytedeco.onnxruntime;

    // Nobody calls into these; required so that their natives are found without --add-modules.
    requires org.bytedeco.javacpp.linux.x86_64;
    requires org.bytedeco.onnxruntime.linux.x86_64;
    requires static transitive org.jspecify;

    // The command line's. It starts from the class path, where module descriptors do not count.
    requires static com.fasterxml.jackson.databind;
    requires static info.picocli;
    requires static com.fasterxml.jackson.dataformat.csv;
    requires static dev.hardwood.core;
    requires static org.apache.commons.compress;

    // The server's: a program on the module path that starts one requires them too.
    requires static micrometer.core;
    requires static micrometer.registry.prometheus;
    requires static org.eclipse.jetty.server;
}
