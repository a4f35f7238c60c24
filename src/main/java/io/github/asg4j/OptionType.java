// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/**
 * How values of an option are written: as text on the command line and as values of JSON, which are
 * String, Number, Boolean, List or Map here. Reading throws {@link BadRequestException} with what was
 * found and what would have been right. Ranges are the request's to check, which has them from the same
 * constants.
 *
 * @param label how the help shows a value, as in "N|auto"
 * @param parse reads text
 * @param toJson writes a value of JSON
 * @param fromJson reads one
 * @param repeats whether the option may be given several times; its value in JSON is a list
 * @param range of the number, or of each number of a list or object; null: no numbers, or any
 */
public record OptionType<T>(
        String label,
        Function<String, T> parse,
        Function<T, Object> toJson,
        Function<Object, T> fromJson,
        boolean repeats,
        @Nullable Range range) {

    private static final OptionType<Content> PICTURE = content("FILE");

    /** A type of an option that is given once at most. */
    OptionType(
            String label,
            Function<String, T> parse,
            Function<T, Object> toJson,
            Function<Object, T> fromJson) {
        this(label, parse, toJson, fromJson, false, null);
    }

    OptionType<T> within(Range limits) {
        return new OptionType<>(label, parse, toJson, fromJson, repeats, limits);
    }

    static OptionType<String> text(String label) {
        return new OptionType<>(label, text -> text, text -> text, OptionType::string);
    }

    static OptionType<Boolean> flag() {
        return new OptionType<>(
                "",
                Boolean::valueOf,
                flag -> flag,
                json -> {
                    if (json instanceof Boolean flag) {
                        return flag;
                    }
                    throw wrong(json, "true or false");
                });
    }

    static OptionType<Integer> integer() {
        return new OptionType<>(
                "N",
                text -> {
                    try {
                        return Integer.valueOf(text.strip());
                    } catch (NumberFormatException e) {
                        throw new BadRequestException(
                                "'" + text + "' is no whole number, as in 20", e);
                    }
                },
                n -> n,
                OptionType::whole);
    }

    /** A whole number, or a word that stands for one. */
    static OptionType<Integer> integerOr(String label, Map<String, Integer> words) {
        String names = String.join(", ", words.keySet());
        Function<String, Integer> parse =
                text -> {
                    Integer word = words.get(text.strip().toLowerCase(Locale.ROOT));
                    return word != null ? word : wholeOr(text, names);
                };
        return new OptionType<>(
                label,
                parse,
                n -> {
                    for (Map.Entry<String, Integer> word : words.entrySet()) {
                        if (word.getValue().equals(n)) {
                            return word.getKey();
                        }
                    }
                    return n;
                },
                json -> json instanceof String text ? parse.apply(text) : whole(json));
    }

    static OptionType<Double> decimal() {
        return new OptionType<>("X", OptionType::finite, x -> x, OptionType::number);
    }

    /** Noise levels from a lower to an upper sigma. */
    static OptionType<GuidanceInterval> interval() {
        return new OptionType<>(
                "LO..HI",
                GuidanceInterval::parse,
                GuidanceInterval::toString,
                json -> GuidanceInterval.parse(string(json)));
    }

    static OptionType<Long> seed() {
        return new OptionType<>(
                "N",
                Seed::parse,
                seed -> seed,
                json -> {
                    if (json instanceof Number && !(json instanceof Double)) {
                        return Seed.parse(json.toString());
                    }
                    throw wrong(json, "a whole number");
                });
    }

    /** One of some names, whatever the case of its letters. */
    static OptionType<String> choice(List<String> names) {
        Function<String, String> parse =
                text -> {
                    String lower = text.strip().toLowerCase(Locale.ROOT);
                    if (!names.contains(lower)) {
                        throw new BadRequestException(
                                "'" + text + "' is not one of " + String.join(", ", names));
                    }
                    return lower;
                };
        return new OptionType<>(
                String.join("|", names), parse, name -> name, json -> parse.apply(string(json)));
    }

    static <E extends Enum<E>> OptionType<E> constant(Class<E> type) {
        List<String> names = Arrays.stream(type.getEnumConstants()).map(OptionNames::of).toList();
        OptionType<String> choice = choice(names);
        Function<String, E> parse =
                text -> type.getEnumConstants()[names.indexOf(choice.parse().apply(text))];
        return new OptionType<>(
                choice.label(), parse, OptionNames::of, json -> parse.apply(string(json)));
    }

    static OptionType<List<String>> names() {
        return new OptionType<>(
                "LIST",
                text -> List.of(text.split(",", -1)),
                names -> names,
                json -> elements(json).stream().map(OptionType::string).toList());
    }

    /** Whole numbers; none of them is "all". */
    static OptionType<List<Integer>> indices() {
        return new OptionType<>(
                "all|INDICES",
                text -> {
                    if (text.strip().equalsIgnoreCase("all")) {
                        return List.of();
                    }
                    List<Integer> numbers = new ArrayList<>();
                    for (String part : text.split(",", -1)) {
                        numbers.add(wholeOr(part, "all"));
                    }
                    return numbers;
                },
                numbers -> numbers,
                json -> elements(json).stream().map(OptionType::whole).toList());
    }

    /** A number for each name, in the order given. */
    static OptionType<Map<String, Double>> factors() {
        return new OptionType<>(
                "GROUP=F,...",
                OptionType::factors,
                factors -> factors,
                json -> {
                    if (!(json instanceof Map<?, ?> map)) {
                        throw wrong(json, "an object of numbers");
                    }
                    Map<String, Double> factors = new LinkedHashMap<>();
                    map.forEach((name, factor) -> factors.put(string(name), number(factor)));
                    return factors;
                });
    }

    /** A path, or - for standard input; in JSON {"file": NAME} or {"base64": BYTES}. */
    static OptionType<Content> content(String label) {
        return new OptionType<>(
                label,
                text -> text.equals("-") ? Content.standardInput() : Content.file(path(text)),
                content ->
                        switch (content) {
                            case Content.OfFile file -> Map.of("file", file.toString());
                            case Content.OfBytes bytes -> Map.of("base64", bytes.base64());
                        },
                json -> {
                    if (json instanceof Map<?, ?> map && map.size() == 1) {
                        if (map.get("file") instanceof String name) {
                            return Content.file(path(name));
                        }
                        if (map.get("base64") instanceof String text) {
                            return Content.bytes(base64(text));
                        }
                    }
                    throw wrong(
                            json instanceof Map<?, ?> map ? map.keySet() : json,
                            "{\"file\": \"NAME\"} or {\"base64\": \"BYTES\"}");
                });
    }

    private static byte[] base64(String text) {
        try {
            return Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException e) {
            throw new BadRequestException("no base64: " + e.getMessage(), e);
        }
    }

    /** The table of a relay. */
    static OptionType<List<RelayStage>> stages() {
        return new OptionType<>(
                "TABLE",
                RelayStage::table,
                RelayStage::text,
                json -> RelayStage.table(string(json)));
    }

    /** LoRA files with their weights; in JSON a list of {"file": ..., "weight": ...}. */
    static OptionType<List<Lora>> loras() {
        return new OptionType<>(
                "FILE[:WEIGHT]",
                text -> List.of(Lora.parse(text)),
                loras -> loras.stream().map(OptionType::lora).toList(),
                json -> elements(json).stream().map(OptionType::lora).toList(),
                true,
                null);
    }

    /** What lies beside a start picture. */
    static OptionType<InpaintOptions.Borders> borders() {
        return new OptionType<>(
                "L,T,R,B",
                InpaintOptions.Borders::parse,
                InpaintOptions.Borders::toString,
                json -> InpaintOptions.Borders.parse(string(json)));
    }

    /** Regions with their prompts; in JSON a list of texts as on the command line. */
    static OptionType<List<Region>> regions() {
        return new OptionType<>(
                "\"X,Y,W,H: TEXT\"",
                text -> List.of(Region.parse(text)),
                regions -> regions.stream().map(Region::toString).toList(),
                json -> elements(json).stream().map(each -> Region.parse(string(each))).toList(),
                true,
                null);
    }

    /** Controls; in JSON a list of {"network": ..., "picture": ..., "weight": ...}. */
    static OptionType<List<Control>> controls() {
        return new OptionType<>(
                "NETWORK:PICTURE[:SETTINGS]",
                text -> List.of(Control.parse(text)),
                controls -> controls.stream().map(OptionType::control).toList(),
                json -> elements(json).stream().map(OptionType::control).toList(),
                true,
                null);
    }

    private static Map<String, Object> control(Control control) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("network", control.network());
        map.put("picture", PICTURE.toJson().apply(control.picture()));
        control.putSettings(map);
        return map;
    }

    private static Control control(Object json) {
        if (json instanceof Map<?, ?> map
                && map.get("network") instanceof String network
                && map.get("picture") != null) {
            Control.Settings settings = new Control.Settings();
            map.forEach(
                    (key, value) -> {
                        if (!key.equals("network") && !key.equals("picture")) {
                            settings.set(
                                    string(key),
                                    value instanceof String text ? text : number(value).toString());
                        }
                    });
            return settings.of(network, PICTURE.fromJson().apply(map.get("picture")));
        }
        throw wrong(
                json, "{\"network\": \"NAME\", \"picture\": {\"file\": \"NAME\"}, \"weight\": 1}");
    }

    private static Map<String, Object> lora(Lora lora) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("file", lora.file().toString());
        map.put("weight", lora.weight());
        return map;
    }

    private static Lora lora(Object json) {
        if (json instanceof Map<?, ?> map
                && map.get("file") instanceof String name
                && map.size() == (map.containsKey("weight") ? 2 : 1)) {
            Object weight = map.get("weight");
            return new Lora(path(name), weight == null ? 1 : number(weight));
        }
        throw wrong(json, "{\"file\": \"NAME\", \"weight\": 1}");
    }

    static OptionType<Path> folder() {
        return new OptionType<>(
                "DIR", OptionType::path, Path::toString, json -> path(string(json)));
    }

    static OptionType<Size> size() {
        return new OptionType<>(
                "WxH",
                Size::parse,
                size -> size.width() + "x" + size.height(),
                json -> Size.parse(string(json)));
    }

    static Path path(String text) {
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new BadRequestException(
                    "'"
                            + text
                            + "' cannot be a file name here ("
                            + e.getReason()
                            + "): choose another, or a UTF-8 locale, as in LC_ALL=C.UTF-8",
                    e);
        }
    }

    private static Map<String, Double> factors(String text) {
        Map<String, Double> factors = new LinkedHashMap<>();
        for (String part : text.split(",", -1)) {
            int equals = part.indexOf('=');
            String name = part.substring(0, Math.max(equals, 0)).strip();
            if (name.isEmpty()) {
                throw new BadRequestException(
                        "'" + part + "' is not GROUP=FACTOR, as in mid_block=2");
            }
            Double factor;
            try {
                factor = finite(part.substring(equals + 1));
            } catch (BadRequestException e) {
                throw new BadRequestException(name + ": " + e.getMessage(), e);
            }
            if (factors.put(name, factor) != null) {
                throw new BadRequestException("'" + name + "' is given twice");
            }
        }
        return factors;
    }

    private static Integer wholeOr(String text, String words) {
        try {
            return Integer.valueOf(text.strip());
        } catch (NumberFormatException e) {
            throw new BadRequestException(
                    "'" + text + "' is neither a whole number nor " + words, e);
        }
    }

    private static Double finite(String text) {
        double value;
        try {
            value = Double.parseDouble(text.strip());
        } catch (NumberFormatException e) {
            throw new BadRequestException("'" + text + "' is no number, as in 5 or 0.5", e);
        }
        if (!Double.isFinite(value)) {
            throw new BadRequestException(
                    "'" + text + "' is not finite: give a number, as in 5 or 0.5");
        }
        return value;
    }

    private static String string(Object json) {
        if (json instanceof String text) {
            return text;
        }
        throw wrong(json, "a text");
    }

    private static Integer whole(Object json) {
        if (json instanceof Integer n) {
            return n;
        }
        throw wrong(
                json, "a whole number between " + Integer.MIN_VALUE + " and " + Integer.MAX_VALUE);
    }

    private static Double number(Object json) {
        if (json instanceof Number n && Double.isFinite(n.doubleValue())) {
            return n.doubleValue();
        }
        throw wrong(json, "a finite number");
    }

    private static List<?> elements(Object json) {
        if (json instanceof List<?> list) {
            return list;
        }
        throw wrong(json, "a list");
    }

    private static BadRequestException wrong(Object found, String expected) {
        String shown = found instanceof String ? "\"" + found + "\"" : found.toString();
        return new BadRequestException(shown + " is not " + expected);
    }
}
