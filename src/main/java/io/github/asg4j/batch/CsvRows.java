// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvParser;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.RequestOption;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Rows of a CSV file (RFC 4180) in UTF-8, whose first line names the options. An empty cell is an
 * option that is not given. A cell may have line breaks within quotes.
 */
final class CsvRows implements RowReader {
    private static final CsvMapper CSV =
            CsvMapper.builder()
                    .enable(CsvParser.Feature.WRAP_AS_ARRAY)
                    .enable(CsvParser.Feature.SKIP_EMPTY_LINES)
                    .build();

    private final Path file;
    private final MappingIterator<String[]> rows;
    private final List<RequestOption<?>> columns = new ArrayList<>();
    private long row;

    CsvRows(Path file) throws IOException {
        this.file = file;
        // A decoder of its own reports what is not UTF-8; by name, Java replaces it.
        Reader reader =
                new InputStreamReader(
                        Files.newInputStream(file), StandardCharsets.UTF_8.newDecoder());
        try {
            rows = CSV.readerFor(String[].class).readValues(reader);
            readHeader();
        } catch (CharacterCodingException e) {
            reader.close();
            throw notUtf8(e);
        } catch (IOException | RuntimeException e) {
            reader.close();
            throw e;
        }
    }

    private BadRequestException notUtf8(CharacterCodingException e) {
        return new BadRequestException(
                "'" + file + "' is not in UTF-8: save it so, as in iconv -t UTF-8", e);
    }

    private void readHeader() throws IOException {
        String[] names = cells();
        if (names == null) {
            throw new BadRequestException(
                    "'" + file + "' is empty: the first line names the columns, as in prompt,seed");
        }
        Set<String> seen = new HashSet<>();
        for (String each : names) {
            String name = each.replace("\uFEFF", "").strip();
            RequestOption<?> option =
                    Given.option(name).orElseThrow(() -> Given.unknown("column", name));
            if (!seen.add(option.name())) {
                throw new BadRequestException("the column \"" + name + "\" is there twice");
            }
            columns.add(option);
        }
    }

    @Override
    public boolean mayGive(String option) {
        return columns.stream().anyMatch(column -> column.name().equals(option));
    }

    @Override
    public @Nullable InputRow next() throws IOException {
        String[] cells = cells();
        return cells == null ? null : new InputRow(row++, () -> given(cells));
    }

    private String @Nullable [] cells() throws IOException {
        try {
            return rows.hasNextValue() ? rows.nextValue() : null;
        } catch (CharacterCodingException e) {
            throw notUtf8(e);
        } catch (JsonProcessingException e) {
            throw new BadRequestException(
                    "'"
                            + file
                            + "' is no CSV in row "
                            + (row + 1)
                            + " ("
                            + e.getOriginalMessage()
                            + "): are quotes in a cell doubled?",
                    e);
        }
    }

    private List<Given> given(String[] cells) {
        if (cells.length != columns.size()) {
            throw new BadRequestException(
                    cells.length
                            + " cells, the header has "
                            + columns.size()
                            + ": write a cell with a comma in quotes");
        }
        List<Given> given = new ArrayList<>();
        for (int i = 0; i < cells.length; i++) {
            if (!cells[i].isEmpty()) {
                given.add(Given.text(columns.get(i), cells[i]));
            }
        }
        return given;
    }

    @Override
    public void close() throws IOException {
        rows.close();
    }
}
