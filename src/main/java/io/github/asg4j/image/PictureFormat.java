// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Formats of pictures, and of files that are mistaken for pictures, told by their first bytes. */
enum PictureFormat {
    PNG("a PNG picture", 0, "\u0089PNG\r\n\u001a\n"),
    JPEG("a JPEG picture", 0, "\u00ff\u00d8\u00ff"),
    WEBP("a WebP picture", 8, "WEBP"),
    GIF("a GIF picture", 0, "GIF87a", "GIF89a"),
    TIFF("a TIFF picture", 0, "II*\0", "MM\0*"),
    BMP("a BMP picture", 0, "BM"),
    AVIF("an AVIF picture", 4, "ftypavif", "ftypavis"),
    HEIF("a HEIC picture", 4, "ftyphei", "ftyphev", "ftypmif1", "ftypmsf1"),
    JPEG_XL("a JPEG XL picture", 0, "\u00ff\n", "\0\0\0\fJXL \r\n\u0087\n"),
    JPEG_2000("a JPEG 2000 picture", 0, "\0\0\0\fjP  \r\n\u0087\n", "\u00ffO\u00ffQ"),
    JPEG_XR("a JPEG XR picture", 0, "II\u00bc"),
    BIG_TIFF("a BigTIFF picture", 0, "II+\0", "MM\0+"),
    PSD("a Photoshop document", 0, "8BPS"),
    XCF("a GIMP document", 0, "gimp xcf"),
    ICO("a Windows icon", 0, "\0\0\1\0", "\0\0\2\0"),
    NETPBM("a Netpbm picture", 0, "P1", "P2", "P3", "P4", "P5", "P6", "P7", "PF", "Pf"),
    OPEN_EXR("an OpenEXR picture", 0, "v/1\1"),
    RADIANCE("a Radiance HDR picture", 0, "#?RADIANCE", "#?RGBE"),
    DDS("a DirectDraw surface", 0, "DDS "),
    QOI("a QOI picture", 0, "qoif"),
    FITS("a FITS picture", 0, "SIMPLE  ="),
    SVG("an SVG drawing", 0, "<svg", "<?xml"),
    PDF("a PDF document", 0, "%PDF"),
    POSTSCRIPT("a PostScript document", 0, "%!PS"),
    HTML("a web page", 0, "<!DOCTYPE", "<!doctype", "<html", "<HTML"),
    VIDEO("a video", 4, "ftyp"),
    MATROSKA("a WebM or Matroska video", 0, "\u001aE\u00df\u00a3"),
    NUMPY("a NumPy array", 0, "\u0093NUMPY"),
    ZIP("a ZIP archive", 0, "PK\3\4"),
    GZIP("a gzip archive", 0, "\u001f\u008b"),
    EMPTY("an empty file", 0),
    UNKNOWN("of no known format", 0);

    /** First bytes that tell every format. */
    static final int START_BYTES = 16;

    /** Formats that {@link StartPicture} reads, for messages. */
    static final String READABLE = "PNG, JPEG, WebP, GIF, BMP or TIFF";

    private final String spoken;
    private final int offset;

    @SuppressWarnings("ImmutableEnumChecker") // of List.of
    private final List<String> magic;

    PictureFormat(String spoken, int offset, String... magic) {
        this.spoken = spoken;
        this.offset = offset;
        this.magic = List.of(magic);
    }

    /** The format with its article, as in "a GIF picture". */
    String spoken() {
        return spoken;
    }

    /** Whether {@link StartPicture} reads it. */
    boolean isRead() {
        return compareTo(BMP) <= 0;
    }

    /**
     * The format of a file.
     *
     * @param start its first {@link #START_BYTES} bytes, or all
     */
    static PictureFormat of(byte[] start) {
        if (start.length == 0) {
            return EMPTY;
        }
        String text = new String(start, StandardCharsets.ISO_8859_1);
        return Arrays.stream(values())
                .filter(format -> format.fits(text))
                .findFirst()
                .orElse(UNKNOWN);
    }

    private boolean fits(String start) {
        boolean riff = this != WEBP || start.startsWith("RIFF");
        return riff && magic.stream().anyMatch(mark -> start.startsWith(mark, offset));
    }
}
