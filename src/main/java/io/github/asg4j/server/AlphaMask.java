// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import java.awt.Dimension;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;

import javax.imageio.ImageIO;

/** Masks as OpenAI documents them: what is fully transparent is drawn, whatever the colours are. */
final class AlphaMask {
    private static final long MAX_PIXELS = 64L << 20;
    private static final int OPAQUE = 255;

    private AlphaMask() {}

    /**
     * A mask for "inpaint".
     *
     * @param mask a picture with an alpha channel
     * @return a PNG file of the same size, white where {@code mask} is transparent, black where it is
     *     opaque, grey between
     * @throws Refusal if it is no such picture
     */
    static byte[] painted(byte[] mask) {
        Dimension size = WebUiInfo.size(mask);
        if ((long) size.width * size.height > MAX_PIXELS) {
            throw refused("has " + size.width + "x" + size.height + " pixels: that is too large");
        }
        try {
            BufferedImage image = ImageIO.read(new ByteArrayInputStream(mask));
            if (image == null || !image.getColorModel().hasAlpha()) {
                throw refused(
                        "has no alpha channel: what is transparent in it is drawn; send masks of"
                                + " black and white as the field \"inpaint\", in base64");
            }
            BufferedImage grey =
                    new BufferedImage(size.width, size.height, BufferedImage.TYPE_BYTE_GRAY);
            for (int y = 0; y < size.height; y++) {
                for (int x = 0; x < size.width; x++) {
                    int drawn = OPAQUE - (image.getRGB(x, y) >>> 24);
                    grey.getRaster().setSample(x, y, 0, drawn);
                }
            }
            ByteArrayOutputStream png = new ByteArrayOutputStream();
            ImageIO.write(grey, "png", png);
            return png.toByteArray();
        } catch (IOException e) {
            throw refused("cannot be read (" + e.getMessage() + ")");
        }
    }

    private static Refusal refused(String why) {
        return Refusal.invalidValue("mask", "\"mask\" " + why);
    }
}
