// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.RequestJson;
import io.github.asg4j.RequestOption;
import io.github.asg4j.UsualMethod;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Requests of single rows under the names that a batch gives them, for programs that spread rows over
 * machines by themselves: a picture has the same key there, and so the same bytes. One thread at a time.
 */
public final class RowRequests {
    private final UsualMethod usual;
    private final Variants variants;
    private final Keys keys;

    /**
     * A request and its name.
     *
     * @param key SHA-256 of what determines the picture's bytes, 64 hexadecimal digits
     * @param json the request, complete: {@link RequestJson} reads it back
     */
    public record Named(GenerationRequest request, String key, String json) {}

    /**
     * @param defaults options of rows that do not give them, as on the command line
     * @param engine that will draw
     * @throws BadRequestException if a default is no option of a picture
     */
    public RowRequests(Map<String, String> defaults, EngineInfo engine) {
        usual = engine.usualMethod();
        variants = Variants.single(usual, given(defaults));
        keys = new Keys(engine);
    }

    /**
     * Finds out without an engine what can be: whether all defaults are options, with values in their
     * ranges.
     *
     * @throws BadRequestException naming one that is not
     */
    public static void check(Map<String, String> defaults) {
        for (Given given : given(defaults)) {
            if (!given.anySeed()) {
                given.applyTo(
                        GenerationRequest.builder("any")
                                .method(given.option().methods().getFirst()));
            }
        }
    }

    /**
     * The option of a name with hyphens or underscores.
     *
     * @param what has the name, for the message: "column"
     * @throws BadRequestException naming all options, if there is none
     */
    public static RequestOption<?> option(String what, String name) {
        return Given.option(name).orElseThrow(() -> Given.unknown(what, name));
    }

    private static List<Given> given(Map<String, String> options) {
        List<Given> given = new ArrayList<>();
        options.forEach((name, text) -> given.add(Given.text(option("option", name), text)));
        return given;
    }

    /**
     * The request of a row.
     *
     * @param row values by the names of their columns: text as on the command line, numbers, booleans
     * @throws BadRequestException if it cannot be made, or a file that it reads cannot be read
     */
    public Named row(Map<String, ?> row) {
        List<Given> given = new ArrayList<>();
        row.forEach((column, value) -> given.add(Given.cell(option("column", column), value)));
        return named(variants.request(given, 0));
    }

    /**
     * A request that was written as JSON.
     *
     * @throws BadRequestException as {@link #row}
     */
    public Named json(String request) {
        return named(usual.of(RequestJson.read(request)));
    }

    private Named named(GenerationRequest request) {
        return new Named(request, keys.of(request).key(), RequestJson.write(request));
    }
}
