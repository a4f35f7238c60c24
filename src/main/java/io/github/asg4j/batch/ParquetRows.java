// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import dev.hardwood.HardwoodContext;
import dev.hardwood.InputFile;
import dev.hardwood.metadata.PhysicalType;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.schema.ColumnSchema;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.RequestOption;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Rows of a Parquet file, whose columns are named by options. A null is an option that is not given. */
final class ParquetRows implements RowReader {
    private final Path file;
    private final HardwoodContext context;
    private final ParquetFileReader parquet;
    private final dev.hardwood.reader.RowReader rows;
    private final List<Column> columns = new ArrayList<>();
    private long row;

    private record Column(RequestOption<?> option, PhysicalType type) {}

    ParquetRows(Path file) throws IOException {
        this.file = file;
        context = HardwoodContext.create(1); // the other cores draw
        try {
            parquet = ParquetFileReader.open(InputFile.of(file), context);
        } catch (IOException | RuntimeException e) {
            context.close();
            throw unreadable(e);
        }
        try {
            for (ColumnSchema column : parquet.getFileSchema().getColumns()) {
                columns.add(column(column));
            }
            rows = parquet.rowReader();
        } catch (RuntimeException e) {
            parquet.close();
            context.close();
            throw e instanceof BadRequestException ? e : unreadable(e);
        }
    }

    private static Column column(ColumnSchema column) {
        String name = column.fieldPath().toString();
        PhysicalType type = column.type();
        if (column.maxRepetitionLevel() > 0) {
            throw new BadRequestException(
                    "the column \""
                            + name.substring(0, name.indexOf('.'))
                            + "\" holds lists: write it as text, number or boolean");
        }
        if (type == PhysicalType.INT96 || type == PhysicalType.FIXED_LEN_BYTE_ARRAY) {
            throw new BadRequestException(
                    "the column \""
                            + name
                            + "\" is of type "
                            + type
                            + ": write it as text, number or boolean");
        }
        RequestOption<?> option =
                Given.option(name).orElseThrow(() -> Given.unknown("column", name));
        return new Column(option, type);
    }

    private BadRequestException unreadable(Exception e) {
        return new BadRequestException(
                "'"
                        + file
                        + "' cannot be read as Parquet ("
                        + e.getMessage()
                        + "): write it again, or as .csv or .jsonl",
                e);
    }

    @Override
    public boolean mayGive(String option) {
        return columns.stream().anyMatch(column -> column.option().name().equals(option));
    }

    @Override
    public @Nullable InputRow next() {
        try {
            if (!rows.hasNext()) {
                return null;
            }
            rows.next();
        } catch (RuntimeException e) {
            throw unreadable(e);
        }
        return new InputRow(row++, this::given);
    }

    private List<Given> given() {
        List<Given> given = new ArrayList<>();
        for (int i = 0; i < columns.size(); i++) {
            if (!rows.isNull(i)) {
                given.add(value(i));
            }
        }
        return given;
    }

    private Given value(int i) {
        Object value =
                switch (columns.get(i).type()) {
                    case BOOLEAN -> rows.getBoolean(i);
                    case INT32 -> rows.getInt(i);
                    case INT64 -> rows.getLong(i);
                    case FLOAT -> rows.getFloat(i);
                    case DOUBLE -> rows.getDouble(i);
                    default -> rows.getString(i);
                };
        return Given.cell(columns.get(i).option(), value);
    }

    @Override
    public void close() throws IOException {
        rows.close();
        parquet.close();
        context.close();
    }
}
