// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.CancelledException;

import org.jspecify.annotations.Nullable;

import java.awt.Point;
import java.awt.Rectangle;
import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DataBufferByte;
import java.awt.image.PixelInterleavedSampleModel;
import java.awt.image.Raster;
import java.awt.image.RenderedImage;
import java.awt.image.SampleModel;
import java.awt.image.WritableRaster;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Vector;
import java.util.function.BooleanSupplier;

/**
 * RGB8 pixels in a memory segment as an image of one-row tiles, copied out one row at a time: what
 * ImageIO's writers ask for. One thread.
 */
final class RowImage implements RenderedImage {
    private static final int CHANNELS = 3;
    private static final int[] OFFSETS = {0, 1, 2};

    private final int width;
    private final int height;
    private final MemorySegment rgb;
    private final BooleanSupplier cancelled;
    private final byte[] row;
    private final ColorModel colorModel;
    private final SampleModel sampleModel;

    /**
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes; read by the calling thread only
     * @param cancelled asked before each row
     */
    RowImage(int width, int height, MemorySegment rgb, BooleanSupplier cancelled) {
        if (width < 1 || height < 1 || rgb.byteSize() != (long) width * height * CHANNELS) {
            throw new IllegalArgumentException(
                    rgb.byteSize() + " bytes are no RGB8 picture of " + width + "x" + height);
        }
        this.width = width;
        this.height = height;
        this.rgb = rgb;
        this.cancelled = cancelled;
        row = new byte[Math.multiplyExact(width, CHANNELS)];
        colorModel =
                new ComponentColorModel(
                        ColorSpace.getInstance(ColorSpace.CS_sRGB),
                        false,
                        false,
                        Transparency.OPAQUE,
                        DataBuffer.TYPE_BYTE);
        sampleModel =
                new PixelInterleavedSampleModel(
                        DataBuffer.TYPE_BYTE, width, 1, CHANNELS, row.length, OFFSETS);
    }

    /**
     * Copies a row.
     *
     * @throws CancelledException if {@code cancelled} said so
     */
    void readRow(int y, byte[] to, int at) {
        if (cancelled.getAsBoolean()) {
            throw new CancelledException("cancelled while the picture was written");
        }
        long offset = (long) y * row.length;
        MemorySegment.copy(rgb, ValueLayout.JAVA_BYTE, offset, to, at, row.length);
    }

    /** One row; the raster's memory is reused by the next call. */
    @Override
    public Raster getData(Rectangle area) {
        if (area.x != 0 || area.width != width || area.height != 1) {
            throw new UnsupportedOperationException("whole single rows only, not " + area);
        }
        readRow(area.y, row, 0);
        return Raster.createInterleavedRaster(
                new DataBufferByte(row, row.length),
                width,
                1,
                row.length,
                CHANNELS,
                OFFSETS,
                new Point(0, area.y));
    }

    @Override
    public Raster getTile(int tileX, int tileY) {
        return getData(new Rectangle(0, tileY, width, 1));
    }

    @Override
    public Raster getData() {
        throw new UnsupportedOperationException("the picture is served by rows");
    }

    @Override
    public WritableRaster copyData(@Nullable WritableRaster raster) {
        throw new UnsupportedOperationException("the picture is served by rows");
    }

    @Override
    public ColorModel getColorModel() {
        return colorModel;
    }

    @Override
    public SampleModel getSampleModel() {
        return sampleModel;
    }

    @Override
    public int getWidth() {
        return width;
    }

    @Override
    public int getHeight() {
        return height;
    }

    @Override
    public int getMinX() {
        return 0;
    }

    @Override
    public int getMinY() {
        return 0;
    }

    @Override
    public int getNumXTiles() {
        return 1;
    }

    @Override
    public int getNumYTiles() {
        return height;
    }

    @Override
    public int getMinTileX() {
        return 0;
    }

    @Override
    public int getMinTileY() {
        return 0;
    }

    @Override
    public int getTileWidth() {
        return width;
    }

    @Override
    public int getTileHeight() {
        return 1;
    }

    @Override
    public int getTileGridXOffset() {
        return 0;
    }

    @Override
    public int getTileGridYOffset() {
        return 0;
    }

    @Override
    @SuppressWarnings("JdkObsolete") // the interface's type
    public @Nullable Vector<RenderedImage> getSources() {
        return null;
    }

    @Override
    public Object getProperty(String name) {
        return java.awt.Image.UndefinedProperty;
    }

    @Override
    public String @Nullable [] getPropertyNames() {
        return null;
    }
}
