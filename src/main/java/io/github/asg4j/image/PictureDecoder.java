// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.awt.color.ColorSpace;
import java.awt.color.ICC_ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * Decodes the file of a start picture. ImageIO decodes the samples; what they mean (orientation,
 * colours, transparency) is read from the file itself. One thread, one file.
 */
final class PictureDecoder {
    /** The warning of libjpeg about bytes that nothing is lost by. */
    private static final String NEEDLESS = "extraneous bytes before marker";

    private final byte[] file;
    private final SizeCheck sizeCheck;
    private final List<String> notes = new ArrayList<>();
    private final List<String> warnings = new ArrayList<>();

    /** Refuses a size, before anything is decoded, by an exception. */
    @FunctionalInterface
    interface SizeCheck {
        /**
         * @param bytesPerPixel of the heap, while the picture is decoded
         */
        void check(int width, int height, int bytesPerPixel);
    }

    PictureDecoder(byte[] file, SizeCheck sizeCheck) {
        this.file = file;
        this.sizeCheck = sizeCheck;
    }

    /**
     * Decodes the file.
     *
     * @throws IOException if it is damaged or of a kind that is not read
     */
    DecodedPicture decode(PictureFormat format) throws IOException {
        return switch (format) {
            case PNG -> png();
            case JPEG -> jpeg();
            case GIF -> gif();
            case WEBP -> webp();
            case TIFF -> tiff();
            case BMP -> bmp();
            default -> throw new IllegalArgumentException("not read: " + format);
        };
    }

    private DecodedPicture png() throws IOException {
        if (file.length >= 24) {
            // Before the chunks are gone through: the header comes first.
            ByteBuffer header = ByteBuffer.wrap(file);
            sizeCheck.check(header.getInt(16), header.getInt(20), 1);
        }
        PngFile png = new PngFile(file);
        int channels = png.isGrey() ? 1 : 3;
        int samples = png.isPalette() ? 1 : channels + (png.hasAlpha() ? 1 : 0);
        sizeCheck.check(png.width(), png.height(), samples * Math.max(1, png.bitDepth() / 8));
        if (png.isAnimated()) {
            notes.add("is animated: its still picture is taken");
        }
        Raster raster = read(reader("png"), png.coded()).getRaster();
        checkNoWarning();
        int max = (1 << png.bitDepth()) - 1;
        PixelRows rows =
                png.isPalette()
                        ? PixelRows.ofPalette(raster, png.palette())
                        : PixelRows.of(raster, channels, max, png.hasAlpha(), max);
        int @Nullable [] transparent = png.transparentColour();
        if (transparent != null) {
            rows = rows.withTransparent(transparent, max);
        }
        return picture(raster, channels, rows, conversion(png, channels), png.orientation());
    }

    /** The precedence is that of the specification: cICP, iCCP, sRGB, then gAMA and cHRM. */
    private SrgbConversion conversion(PngFile png, int channels) {
        int @Nullable [] points = png.codePoints();
        if (points != null) {
            @Nullable RgbSpace space =
                    points[2] == 0 && points[3] == 1
                            ? RgbSpace.ofCodePoints(points[0], points[1])
                            : null;
            if (space != null) {
                return ofRgb(SrgbConversion.of(space), channels);
            }
            notes.add(
                    "has colours by code points (cICP "
                            + String.join(
                                    "/",
                                    java.util.Arrays.stream(points)
                                            .mapToObj(Integer::toString)
                                            .toList())
                            + ") that are not known here: they are left aside");
        }
        if (png.hasProfile()) {
            @Nullable SrgbConversion byProfile = byProfile(png.profile(), channels);
            if (byProfile != null) {
                return byProfile;
            }
        }
        if (png.isSrgb()) {
            return SrgbConversion.of(channels);
        }
        return ofRgb(byGamma(png), channels);
    }

    private static SrgbConversion byGamma(PngFile png) {
        double gamma = png.gamma();
        double @Nullable [] chromaticities = png.chromaticities();
        // 1/2.2 is how writers of before the sRGB chunk say sRGB; 100 and 1/100 are no encodings.
        boolean srgbTransfer = gamma < 0.01 || gamma > 100 || Math.abs(gamma * 2.2 - 1) < 0.01;
        @Nullable RgbSpace space =
                RgbSpace.of(
                        chromaticities == null ? RgbSpace.SRGB_CHROMATICITIES : chromaticities,
                        srgbTransfer ? RgbSpace::decodeSrgb : RgbSpace.power(1 / gamma));
        return space == null ? SrgbConversion.RGB : SrgbConversion.of(space);
    }

    private static SrgbConversion ofRgb(SrgbConversion conversion, int channels) {
        return channels == 1 ? SrgbConversion.ofGrey(conversion) : conversion;
    }

    /** Null, and a note, if the profile cannot be used. */
    private @Nullable SrgbConversion byProfile(byte @Nullable [] profile, int channels) {
        @Nullable SrgbConversion conversion =
                profile == null ? null : SrgbConversion.of(profile, channels);
        if (conversion == null) {
            notes.add("has a colour profile that cannot be used: it is left aside");
        }
        return conversion;
    }

    private SrgbConversion byProfileIfAny(byte @Nullable [] profile, int channels) {
        @Nullable SrgbConversion conversion = profile == null ? null : byProfile(profile, channels);
        return conversion == null ? SrgbConversion.of(channels) : conversion;
    }

    private DecodedPicture jpeg() throws IOException {
        JpegFile jpeg = new JpegFile(file);
        int channels = jpeg.components();
        sizeCheck.check(jpeg.width(), jpeg.height(), channels);
        ImageReader reader = reader("jpeg");
        Raster raster =
                channels == 4
                        ? readRaster(reader, jpeg.coded())
                        : read(reader, jpeg.coded()).getRaster();
        int needless = jpeg.needlessBytes();
        for (String warning : warnings) {
            if (!warning.contains(NEEDLESS)) {
                throw new IOException(warning);
            }
        }
        if (needless > 0 || !warnings.isEmpty()) {
            notes.add("has bytes that belong to nothing between its segments: it is read without");
        }
        PixelRows rows = PixelRows.of(raster, channels, 255, false, 1);
        if (channels == 4) {
            rows = rows.ofJpegInks(jpeg.isYcck());
        }
        SrgbConversion conversion = byProfileIfAny(jpeg.profile(), channels);
        return picture(raster, channels, rows, conversion, jpeg.orientation());
    }

    private DecodedPicture gif() throws IOException {
        GifFile gif = GifFile.of(file);
        sizeCheck.check(gif.width(), gif.height(), 6);
        if (gif.frames() > 1) {
            notes.add("has " + gif.frames() + " frames: the first one is taken");
        }
        BufferedImage frame = read(reader("gif"), file);
        BufferedImage screen =
                new BufferedImage(gif.width(), gif.height(), BufferedImage.TYPE_INT_ARGB);
        for (int y = 0; y < Math.min(frame.getHeight(), gif.height() - gif.top()); y++) {
            for (int x = 0; x < Math.min(frame.getWidth(), gif.width() - gif.left()); x++) {
                screen.setRGB(gif.left() + x, gif.top() + y, frame.getRGB(x, y));
            }
        }
        return picture(screen, SrgbConversion.RGB, Exif.UPRIGHT);
    }

    private DecodedPicture webp() throws IOException {
        WebpFile webp = new WebpFile(file);
        if (webp.isAnimated()) {
            notes.add("is animated: its first frame is taken");
        }
        BufferedImage image = readOther(reader("webp"), webp.coded());
        return picture(image, byProfileIfAny(webp.profile(), 3), webp.orientation());
    }

    private DecodedPicture tiff() throws IOException {
        ImageReader reader = reader("tiff");
        BufferedImage image = readOther(reader, file);
        int pages = Exif.pages(file);
        if (pages > 1) {
            notes.add("has " + pages + " pages: the first one is taken");
        }
        ColorSpace space = image.getColorModel().getColorSpace();
        int channels = image.getColorModel().getNumColorComponents();
        @Nullable SrgbConversion byProfile =
                space instanceof ICC_ColorSpace icc && space.getType() != ColorSpace.TYPE_GRAY
                        ? byProfile(icc.getProfile().getData(), channels)
                        : null;
        boolean plain = channels == 1 || channels == 3 || channels == 4;
        return picture(
                image,
                byProfile != null
                        ? byProfile
                        : plain ? SrgbConversion.of(channels) : SrgbConversion.RGB,
                Exif.orientation(file));
    }

    private DecodedPicture bmp() throws IOException {
        return picture(readOther(reader("bmp"), file), SrgbConversion.RGB, Exif.UPRIGHT);
    }

    /** Reads a file whose size only its reader knows. */
    private BufferedImage readOther(ImageReader reader, byte[] data) throws IOException {
        open(reader, data);
        sizeCheck.check(reader.getWidth(0), reader.getHeight(0), 4);
        return reader.read(0);
    }

    private static ImageReader reader(String format) throws IOException {
        Iterator<ImageReader> readers = ImageIO.getImageReadersByFormatName(format);
        if (!readers.hasNext()) {
            throw new IOException(
                    "no reader of "
                            + format
                            + " is there: put TwelveMonkeys' imageio-webp on the class path");
        }
        return readers.next();
    }

    private BufferedImage read(ImageReader reader, byte[] data) throws IOException {
        open(reader, data);
        return reader.read(0);
    }

    private Raster readRaster(ImageReader reader, byte[] data) throws IOException {
        open(reader, data);
        return reader.readRaster(0, null);
    }

    /** Opens a file but ignores its metadata: compressed text could hold any amount of it. */
    private void open(ImageReader reader, byte[] data) {
        ImageInputStream stream = new MemoryCacheImageInputStream(new ByteArrayInputStream(data));
        reader.setInput(stream, false, true);
        reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
    }

    private void checkNoWarning() throws IOException {
        if (!warnings.isEmpty()) {
            throw new IOException(warnings.getFirst());
        }
    }

    private DecodedPicture picture(
            Raster raster,
            int channels,
            PixelRows rows,
            SrgbConversion conversion,
            int orientation) {
        return new DecodedPicture(
                raster.getWidth(),
                raster.getHeight(),
                channels,
                rows,
                conversion,
                orientation,
                notes);
    }

    /** The samples of an image where its conversion can use them, else what Java makes of them. */
    private DecodedPicture picture(
            BufferedImage image, SrgbConversion conversion, int orientation) {
        ColorModel model = image.getColorModel();
        image.coerceData(false);
        int type = model.getColorSpace().getType();
        boolean plain =
                !(model instanceof IndexColorModel)
                        && PixelRows.hasPlainSamples(model)
                        && (type == ColorSpace.TYPE_GRAY
                                || type == ColorSpace.TYPE_RGB
                                || type == ColorSpace.TYPE_CMYK);
        if (!plain) {
            return picture(
                    image.getRaster(),
                    3,
                    PixelRows.ofArgb(image),
                    model instanceof IndexColorModel && model.getNumColorComponents() == 3
                            ? conversion
                            : SrgbConversion.RGB,
                    orientation);
        }
        int channels = model.getNumColorComponents();
        boolean alpha = model.hasAlpha();
        PixelRows rows =
                PixelRows.of(
                        image.getRaster(),
                        channels,
                        (1 << model.getComponentSize(0)) - 1,
                        alpha,
                        alpha ? (1 << model.getComponentSize(channels)) - 1 : 1);
        return picture(
                image.getRaster(),
                channels,
                rows,
                channels == 1 ? SrgbConversion.GREY : conversion,
                orientation);
    }
}
