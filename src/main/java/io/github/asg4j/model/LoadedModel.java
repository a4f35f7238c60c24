// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;

/** Draft: the sessions of a bundle. */
public final class LoadedModel implements AutoCloseable {
    private final Memory memory = new Memory("the model");
    private final int threads;
    private final OrtSession text;
    private final OrtSession unet;
    private final OrtSession vae;
    private final Manifest manifest;

    private LoadedModel(Bundle bundle, int threads) {
        this.threads = threads;
        manifest = bundle.manifest();
        text = session(bundle, manifest.textEncoders().getFirst().file(), threads);
        unet = session(bundle, manifest.denoiser().file(), threads);
        vae = session(bundle, manifest.vae().decoder(), Runtime.getRuntime().availableProcessors());
    }

    public static LoadedModel open(Bundle bundle, int threads) {
        return new LoadedModel(bundle, threads);
    }

    private OrtSession session(Bundle bundle, String file, int n) {
        return switch (bundle.graph(file, memory)) {
            case ModelFile.Stored s -> OrtSession.open(s.path(), n);
            case ModelFile.Loaded l -> OrtSession.open(l.bytes(), l.name(), n);
        };
    }

    public int threadsPerWorker() {
        return threads;
    }

    public TextEncoder textEncoder() {
        return new TextEncoder(text, manifest.textEncoders().getFirst());
    }

    public Denoiser denoiser() {
        return new Denoiser(unet, manifest);
    }

    public VaeDecoder vaeDecoder() {
        return new VaeDecoder(vae, manifest);
    }

    @Override
    public void close() {
        text.close();
        unet.close();
        vae.close();
        memory.close();
    }
}
