// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What the table of options says of ranges, defaults and settings is what requests and methods do. */
class OptionTableTest {
    /** Options whose setting in a picture has another name. */
    private static final Map<String, PictureSetting> DECIDED =
            Map.of(
                    "stage_views", PictureSetting.STAGES,
                    "enlarge", PictureSetting.STAGES,
                    "stage1_share", PictureSetting.STAGE1_STEPS,
                    "patch_aspect", PictureSetting.PATCHES,
                    "dilate", PictureSetting.DILATION,
                    "dilate_course", PictureSetting.DILATION_COURSE,
                    "dilate_share", PictureSetting.DILATED_STEPS,
                    "damped", PictureSetting.DAMPED_DILATION,
                    "damped_share", PictureSetting.DAMPED_STEPS);

    static Stream<RequestOption<?>> withRange() {
        return RequestOptions.ALL.stream().filter(option -> option.type().range() != null);
    }

    @ParameterizedTest
    @MethodSource("withRange")
    void theRangeInTheTableIsTheOneThatIsChecked(RequestOption<?> option) {
        Range range = option.type().range();
        boolean whole = whole(option);
        double step = whole ? 1 : 0.001;
        set(option, whole, range.min());
        set(option, whole, range.max());
        refused(option, whole, range.min() - step, range);
        if (range.max() < Integer.MAX_VALUE) {
            refused(option, whole, range.max() + step, range);
        }
    }

    private static boolean whole(RequestOption<?> option) {
        try {
            set(option, false, option.type().range().min());
            return false;
        } catch (BadRequestException e) {
            return true;
        }
    }

    private static void refused(RequestOption<?> option, boolean whole, double value, Range range) {
        BadRequestException e =
                assertThrows(BadRequestException.class, () -> set(option, whole, value));
        assertTrue(e.getMessage().contains("between"), e.getMessage());
        for (double limit : new double[] {range.min(), range.max()}) {
            String text = limit == Math.rint(limit) ? Long.toString((long) limit) : "" + limit;
            assertTrue(e.getMessage().contains(text), e.getMessage());
        }
    }

    /** Sets the option to a number, or to a list or an object that has it. */
    private static void set(RequestOption<?> option, boolean whole, double value) {
        Object number = whole ? (Object) (int) value : (Object) value;
        Object json =
                switch (option.type().label()) {
                    case "all|INDICES" -> List.of(number);
                    case "GROUP=F,..." -> Map.of("mid_block", number);
                    default -> number;
                };
        GenerationRequest.Builder request =
                GenerationRequest.builder("a ball").method(option.methods().getFirst());
        option.fromJson(request, json);
        request.build();
    }

    /** Each method, asked for its defaults, plans what it plans by itself. */
    @Test
    void theDefaultsAreWhatMethodsDo() {
        try (Engine engine =
                Engine.open(EngineOptions.DEFAULT.withModel(Tiny.resource("tiny-methods")))) {
            for (String method : Engine.methods()) {
                GenerationRequest.Builder request = Tiny.request().size(192, 128).steps(20);
                assertEquals(
                        engine.plan(request.method(method).build()),
                        engine.plan(request.options(Engine.defaults(method)).build()),
                        method);
            }
        }
    }

    /** Defaults are options of their method: as JSON they are read back. */
    @Test
    void theDefaultsAreARequest() {
        for (String method : Engine.methods()) {
            GenerationRequest request =
                    GenerationRequest.builder("a ball").options(Engine.defaults(method)).build();
            assertEquals(request, RequestJson.read(RequestJson.write(request)));
        }
    }

    /** Whatever a method's option decides is said in the JSON and the PNG file of a picture. */
    @Test
    void everyOptionOfAMethodHasASettingInPictures() {
        Set<String> keys =
                Arrays.stream(PictureSetting.values())
                        .map(PictureSetting::key)
                        .collect(Collectors.toSet());
        for (RequestOption<?> option : RequestOptions.ALL) {
            boolean ofAMethod =
                    switch (option.section()) {
                        case STAGE1, WINDOWS, PHASES, RELAY, DILATION -> true;
                        case PICTURE, TENSORS -> false;
                    };
            assertEquals(
                    ofAMethod,
                    keys.contains(option.key()) || DECIDED.containsKey(option.key()),
                    option.name());
        }
    }
}
