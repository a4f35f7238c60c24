// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.Manifest;

/** The VAE's encoder, which not every bundle has. */
public final class Encoders {
    private Encoders() {}

    /**
     * Refuses a bundle without one.
     *
     * @param purpose what needs it, as in "which --image needs"
     * @param instead what would do without it
     * @throws BadRequestException that says how to make one
     */
    public static void require(Manifest manifest, String purpose, String instead) {
        if (manifest.vae().encoder() == null) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" has no VAE encoder (vae.encoder in "
                            + Manifest.FILE_NAME
                            + "), "
                            + purpose
                            + ": give the checkpoint that it was made from (--model), or write a"
                            + " bundle of it (asg bundle CHECKPOINT --out BUNDLE); if --vae names a"
                            + " file that holds a decoder alone, leave it out or give one with an"
                            + " encoder; or "
                            + instead);
        }
    }
}
