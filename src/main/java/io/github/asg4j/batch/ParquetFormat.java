// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.image.PictureEncoding;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Parquet files with the columns key, request, bytes, sha256, pixels_sha256 and png (or jpeg, or webp), as
 * a table of Spark has them too. Each picture is a row group of its own, uncompressed, because a picture
 * cannot be compressed again and a file has to be as it was after any of its pictures: what its end says of
 * a row group follows from the picture's record.
 *
 * @see <a href="https://parquet.apache.org/docs/file-format/">the format</a>, whose structures are numbered
 *     here as in its parquet.thrift
 */
final class ParquetFormat implements FileFormat {
    private static final int INT32 = 1;
    private static final int BYTE_ARRAY = 6;
    private static final int PLAIN = 0;
    private static final int RLE = 3;
    private static final byte[] MAGIC = "PAR1".getBytes(StandardCharsets.US_ASCII);

    /**
     * A column.
     *
     * @param text whether it is in UTF-8
     */
    private record Column(String name, int type, boolean text) {}

    /**
     * What the file's end says of a row.
     *
     * @param start of its first page
     * @param pages bytes of each column's page, with its header
     */
    private record RowGroup(long start, List<Integer> pages) {
        int bytes() {
            return pages.stream().mapToInt(Integer::intValue).sum();
        }
    }

    /** The picture is the last: what comes before it is there when its place is. */
    private final List<Column> columns;

    private final List<RowGroup> rows = new ArrayList<>();

    /**
     * @param encoding of the pictures, after which their column is named
     */
    ParquetFormat(PictureEncoding encoding) {
        columns =
                List.of(
                        new Column("key", BYTE_ARRAY, true),
                        new Column("request", BYTE_ARRAY, true),
                        new Column("bytes", INT32, false),
                        new Column("sha256", BYTE_ARRAY, true),
                        new Column("pixels_sha256", BYTE_ARRAY, true),
                        new Column(encoding.format().word(), BYTE_ARRAY, false));
    }

    @Override
    public String ending() {
        return ".parquet";
    }

    @Override
    public byte[] begin() {
        rows.clear();
        return MAGIC.clone();
    }

    @Override
    public byte[] picture(long start, PictureStore.Picture picture) {
        ByteArrayOutputStream row = new ByteArrayOutputStream(picture.file().length + (1 << 11));
        List<Integer> pages = new ArrayList<>();
        for (byte[] value : values(picture)) {
            int before = row.size();
            row.writeBytes(header(value.length));
            row.writeBytes(value);
            pages.add(row.size() - before);
        }
        rows.add(new RowGroup(start, pages));
        return row.toByteArray();
    }

    /** The values of a row, encoded plainly. */
    private static List<byte[]> values(PictureStore.Picture picture) {
        return List.of(
                text(picture.named().key()),
                text(JsonLines.text(picture.named().request())),
                little(picture.file().length),
                text(picture.sha256()),
                text(picture.pixelsSha256()),
                bytes(picture.file()));
    }

    private static byte[] text(String text) {
        return bytes(text.getBytes(StandardCharsets.UTF_8));
    }

    private static byte[] bytes(byte[] value) {
        return ByteBuffer.allocate(Integer.BYTES + value.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value.length)
                .put(value)
                .array();
    }

    private static byte[] little(int value) {
        return ByteBuffer.allocate(Integer.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .array();
    }

    /** PageHeader of a page of one value. */
    private static byte[] header(int bytes) {
        ThriftWriter thrift = new ThriftWriter();
        thrift.i32(1, 0); // type: data page
        thrift.i32(2, bytes);
        thrift.i32(3, bytes);
        thrift.begin(5);
        thrift.i32(1, 1); // values
        thrift.i32(2, PLAIN);
        thrift.i32(3, RLE); // levels, of which a required value has none
        thrift.i32(4, RLE);
        thrift.stop();
        thrift.stop();
        return thrift.bytes();
    }

    @Override
    public long padding(long pictureBytes) {
        return 0;
    }

    @Override
    public void resume(List<JsonNode> records) {
        begin();
        long start = MAGIC.length;
        for (JsonNode record : records) {
            int picture = record.path("bytes").asInt();
            int[] lengths = {
                text(record.path("key").asText()).length,
                text(JsonLines.text(record.path("request"))).length,
                Integer.BYTES,
                text(record.path("sha256").asText()).length,
                text(record.path("pixels_sha256").asText()).length,
                Integer.BYTES + picture
            };
            List<Integer> pages = new ArrayList<>();
            for (int length : lengths) {
                pages.add(header(length).length + length);
            }
            RowGroup row = new RowGroup(start, pages);
            rows.add(row);
            start += row.bytes();
            if (start != record.path("offset").asLong() + picture) {
                throw new BadRequestException(
                        "the record of picture "
                                + record.path("picture")
                                + " does not say where it is in '"
                                + record.path("file").asText()
                                + "': it was changed; begin the batch again in another folder");
            }
        }
    }

    /** FileMetaData, its length, and the magic number. */
    @Override
    public byte[] end() {
        ThriftWriter thrift = new ThriftWriter();
        thrift.i32(1, 1); // version
        thrift.list(2, ThriftWriter.STRUCT, columns.size() + 1);
        thrift.binary(4, "schema");
        thrift.i32(5, columns.size());
        thrift.stop();
        columns.forEach(column -> schema(thrift, column));
        thrift.i64(3, rows.size());
        thrift.list(4, ThriftWriter.STRUCT, rows.size());
        rows.forEach(row -> rowGroup(thrift, row));
        thrift.binary(6, "asg4j");
        thrift.stop();
        byte[] metadata = thrift.bytes();
        return ByteBuffer.allocate(metadata.length + Integer.BYTES + MAGIC.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(metadata)
                .putInt(metadata.length)
                .put(MAGIC)
                .array();
    }

    /** SchemaElement. */
    private static void schema(ThriftWriter thrift, Column column) {
        thrift.i32(1, column.type);
        thrift.i32(3, 0); // required
        thrift.binary(4, column.name);
        if (column.text) {
            thrift.i32(6, 0); // UTF8
            thrift.begin(10); // LogicalType
            thrift.begin(1); // STRING
            thrift.stop();
            thrift.stop();
        }
        thrift.stop();
    }

    private void rowGroup(ThriftWriter thrift, RowGroup row) {
        thrift.list(1, ThriftWriter.STRUCT, columns.size());
        long at = row.start;
        for (int i = 0; i < columns.size(); i++) {
            int page = row.pages.get(i);
            thrift.i64(2, at); // ColumnChunk.file_offset
            thrift.begin(3); // ColumnMetaData
            thrift.i32(1, columns.get(i).type);
            thrift.list(2, ThriftWriter.I32, 2);
            thrift.element(PLAIN);
            thrift.element(RLE);
            thrift.list(3, ThriftWriter.BINARY, 1);
            thrift.element(columns.get(i).name);
            thrift.i32(4, 0); // uncompressed
            thrift.i64(5, 1); // values
            thrift.i64(6, page);
            thrift.i64(7, page);
            thrift.i64(9, at);
            thrift.stop();
            thrift.stop();
            at += page;
        }
        thrift.i64(2, row.bytes());
        thrift.i64(3, 1);
        thrift.stop();
    }
}
