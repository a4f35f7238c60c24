// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Content;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.Lora;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.DemoFusionOptions;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.Reports;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.WindowOptions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Every option reaches the request or the engine's options, and no other field changes. */
class RequestArgsTest {
    private static final GenerationRequest DEFAULT =
            GenerationRequest.builder("a ball").method("asg").seed(0).build();

    private static Arguments request(
            String option, String value, UnaryOperator<GenerationRequest.Builder> change) {
        return Arguments.of(option, value, change.apply(DEFAULT.toBuilder()).build());
    }

    private static Arguments guide(
            String option, String value, UnaryOperator<GuideOptions> change) {
        return request(
                option,
                value,
                b -> b.options(AsgOptions.DEFAULT.withGuide(change.apply(GuideOptions.DEFAULT))));
    }

    private static Arguments windows(
            String option, String value, UnaryOperator<WindowOptions> change) {
        return request(
                option,
                value,
                b ->
                        b.options(
                                AsgOptions.DEFAULT.withWindows(
                                        change.apply(WindowOptions.DEFAULT))));
    }

    private static Arguments phases(
            String option, String value, UnaryOperator<PhaseOptions> change) {
        return request(
                option,
                value,
                b ->
                        b.options(
                                DemoFusionOptions.DEFAULT.withPhases(
                                        change.apply(PhaseOptions.DEFAULT))));
    }

    private static Arguments dilation(
            String option, String value, UnaryOperator<DilationOptions> change) {
        return request(
                option,
                value,
                b ->
                        b.options(
                                ScaleCrafterOptions.DEFAULT.withDilation(
                                        change.apply(DilationOptions.DEFAULT))));
    }

    static Stream<Arguments> requests() {
        return Stream.of(
                request("--negative-prompt", "a cube", b -> b.negativePrompt("a cube")),
                request("--size", "384x256", b -> b.size(384, 256)),
                request("--steps", "7", b -> b.steps(7)),
                request("--guidance-scale", "3.5", b -> b.guidanceScale(3.5)),
                request(
                        "--guidance-interval",
                        "0.28..5.42",
                        b -> b.guidanceInterval(new GuidanceInterval(0.28, 5.42))),
                request("--cache-interval", "3", b -> b.cacheInterval(3)),
                request("--seed", "-9223372036854775808", b -> b.seed(Long.MIN_VALUE)),
                request("--seed", "18446744073709551615", b -> b.seed(-1)),
                request("--seed", "9223372036854775808", b -> b.seed(Long.MIN_VALUE)),
                request("--scheduler", "Ddim", b -> b.scheduler("ddim")),
                request("--spacing", "trailing", b -> b.spacing("trailing")),
                request("--eta", "0.25", b -> b.eta(0.25)),
                request("--view-batch", "3", b -> b.viewBatch(3)),
                request("--view-batch", "auto", b -> b.viewBatch(GenerationRequest.BY_MEMORY)),
                request("--vae-tile", "256", b -> b.vaeTile(256)),
                request("--vae-tile", "Auto", b -> b),
                request(
                        "--image",
                        "p.png",
                        b -> b.method("demofusion").image(Content.file(Path.of("p.png")))),
                request(
                        "--lora",
                        "a.safetensors:0.5",
                        b -> b.loras(List.of(new Lora(Path.of("a.safetensors"), 0.5)))),
                request("--latents", "z.npy", b -> b.latents(Content.file(Path.of("z.npy")))),
                request("--dump", "d", b -> b.dumpDirectory(Path.of("d"))),
                guide("--guide-weight", "0.5", g -> g.withWeight(0.5)),
                guide(
                        "--guide-schedule",
                        "cosine",
                        g -> g.withSchedule(GuideOptions.Schedule.COSINE)),
                guide(
                        "--guide-schedule",
                        "linear",
                        g -> g.withSchedule(GuideOptions.Schedule.LINEAR)),
                guide("--guide-space", "NOISE", g -> g.withSpace(GuideOptions.Space.NOISE)),
                guide("--mask", "own", g -> g.withMask(GuideOptions.Mask.OWN)),
                guide("--mask", "none", g -> g.withMask(GuideOptions.Mask.NONE)),
                guide("--mask-blocks", "a.0,b.1", g -> g.withMaskBlocks(List.of("a.0", "b.1"))),
                guide(
                        "--guide-upsampling",
                        "bicubic",
                        g -> g.withUpsampling(GuideOptions.Upsampling.BICUBIC)),
                guide("--mask-tokens", "1,3", g -> g.withMaskTokens(List.of(1, 3))),
                guide("--mask-tokens", "all", g -> g),
                guide("--mask-norm", "max", g -> g.withMaskNorm(GuideOptions.MaskNorm.MAX)),
                guide(
                        "--mask-norm",
                        "mean-threshold",
                        g -> g.withMaskNorm(GuideOptions.MaskNorm.MEAN_THRESHOLD)),
                guide("--staleness", "3", g -> g.withStaleness(3)),
                guide("--interaction", "off", g -> g.withInteractionSteps(0)),
                guide(
                        "--interaction",
                        "every",
                        g -> g.withInteractionSteps(GuideOptions.EVERY_STEP)),
                guide("--interaction", "4", g -> g.withInteractionSteps(4)),
                guide("--stage1-share", "0.25", g -> g.withStage1Share(0.25)),
                guide(
                        "--patch-aspect",
                        "picture",
                        g -> g.withPatchAspect(GuideOptions.PatchAspect.PICTURE)),
                windows("--window-stride", "5", w -> w.withStride(5)),
                windows("--jitter", "2", w -> w.withJitter(2)),
                windows(
                        "--window-weight",
                        "uniform",
                        w -> w.withWeight(WindowOptions.Weight.UNIFORM)),
                windows(
                        "--window-conditioning",
                        "whole",
                        w -> w.withConditioning(WindowOptions.Conditioning.WHOLE)),
                windows("--stage2-guidance-scale", "7", w -> w.withGuidanceScale(7)),
                windows("--object-share", "0.02", w -> w.withObjectShare(0.02)),
                windows("--background-prompt", "grass", w -> w.withBackgroundPrompt("grass")),
                windows(
                        "--background-guidance-scale",
                        "1.5",
                        w -> w.withBackgroundGuidanceScale(1.5)),
                phases("--cosine-scale-1", "2", p -> p.withSkipExponent(2)),
                phases("--cosine-scale-2", "0.5", p -> p.withDilatedExponent(0.5)),
                phases("--cosine-scale-3", "4", p -> p.withBlurExponent(4)),
                phases("--blur", "1.25", p -> p.withBlur(1.25)),
                dilation(
                        "--dilate",
                        "mid_block=2,up_blocks.0=2.5",
                        d -> d.withFactors(Map.of("mid_block", 2.0, "up_blocks.0", 2.5))),
                dilation("--dilate-share", "0.7", d -> d.withShare(0.7)),
                dilation(
                        "--dilate-course",
                        "progressive",
                        d -> d.withCourse(DilationOptions.Course.PROGRESSIVE)),
                dilation(
                        "--damped",
                        "up_blocks.1=3",
                        d -> d.withDampedFactors(Map.of("up_blocks.1", 3.0))),
                dilation("--damped-share", "0", d -> d.withDampedShare(0)),
                request("--paper-defaults", "true", b -> b.paperDefaults(true)));
    }

    @ParameterizedTest
    @MethodSource("requests")
    void optionReachesRequest(String option, String value, GenerationRequest expected) {
        FakeEngines engines = new FakeEngines();
        engines.methods = MethodOptions.DEFAULTS.keySet();
        FakeEngines.Result result =
                engines.run(
                        "plan",
                        "--prompt",
                        "a ball",
                        option + "=" + value,
                        "--method=" + expected.method());
        assertEquals("", result.err());
        assertEquals(expected, engines.request());
        assertEquals(List.of(EngineOptions.DEFAULT), engines.options);
    }

    @ParameterizedTest
    @MethodSource("requests")
    void withoutAMethodItReachesThatOfTheModel(
            String option, String value, GenerationRequest expected) {
        FakeEngines engines = new FakeEngines();
        engines.description = Reports.drawing(engines.description, expected.method());
        FakeEngines.Result result = engines.run("plan", "--prompt", "a ball", option + "=" + value);
        assertEquals("", result.err());
        assertEquals(expected, engines.request());
        assertTrue(result.out().contains(expected.method()), result.out());
    }

    @Test
    void anOptionThatTheModelsMethodDoesNotHaveIsABadArgument() {
        FakeEngines engines = new FakeEngines();
        engines.description = Reports.drawing(engines.description, "relay");
        FakeEngines.Result result = engines.run("generate", "--prompt", "a ball", "--mask", "key");
        assertEquals(ExitCode.ARGUMENTS, result.code(), result.err());
        assertTrue(
                result.err()
                        .contains(
                                "--mask is an option of asg, cutdiffusion, not of relay, by which"
                                        + " the model \"fake\" draws where no method is named"),
                result.err());
        assertTrue(result.err().contains("--method asg"), result.err());
    }

    @Test
    void methodReachesRequestWhateverItsCase() {
        FakeEngines engines = new FakeEngines();
        engines.run("plan", "--prompt", "a ball", "--method", "DIRECT");
        assertEquals(DEFAULT.toBuilder().method("direct").build(), engines.request());
    }

    @Test
    void minusOneAsksForARandomSeed(@TempDir Path folder) {
        FakeEngines engines = new FakeEngines();
        String out = folder.resolve("a.png").toString();
        engines.run("generate", "--prompt", "a ball", "--seed", "-1", "--out", out);
        assertEquals(FakeEngines.SEED, engines.request().seed());
    }

    static Stream<Arguments> optionsOfOtherMethods() {
        return RequestOptions.ALL.stream()
                .flatMap(
                        option ->
                                MethodOptions.DEFAULTS.keySet().stream()
                                        .filter(method -> !option.methods().contains(method))
                                        .map(method -> Arguments.of(option.name(), method)));
    }

    @ParameterizedTest
    @MethodSource("optionsOfOtherMethods")
    void anOptionOfAnotherMethodIsABadArgument(String name, String method) {
        RequestOption<?> option =
                RequestOptions.ALL.stream().filter(o -> o.name().equals(name)).findAny().get();
        FakeEngines engines = new FakeEngines();
        engines.methods = MethodOptions.DEFAULTS.keySet();
        // A flag has no value.
        String given = option.type().label().isEmpty() ? "--" + name : "--" + name + "=1";
        FakeEngines.Result result =
                engines.run("generate", "--prompt", "a ball", "--method", method, given);
        assertEquals(ExitCode.ARGUMENTS, result.code(), result.err());
        assertTrue(
                result.err()
                        .contains(
                                "--"
                                        + name
                                        + " is an option of "
                                        + String.join(", ", option.methods())
                                        + ", not of "
                                        + method),
                result.err());
        assertEquals(0, engines.open);
    }

    @ParameterizedTest
    @CsvSource({
        "--cfg-scale,--guidance-scale",
        "--width,--size",
        "--height,--size",
        "-n,--negative-prompt",
        "--sampler,--scheduler",
        "--cfg_scale,--guidance-scale",
        "--init-image,--image",
        "--batch-count,asg batch"
    })
    void anOptionOfAnotherToolGetsAHint(String foreign, String ours) {
        FakeEngines.Result result =
                new FakeEngines().run("generate", "--prompt", "a ball", foreign, "7");
        assertEquals(ExitCode.ARGUMENTS, result.code());
        assertTrue(result.err().contains("Here it is " + ours), result.err());
    }

    @Test
    void separatedByBlankAsInTheReadme() {
        FakeEngines engines = new FakeEngines();
        engines.run("plan", "--prompt", "a ball", "--size", "32x16", "--guide-weight", "0.5");
        assertEquals(
                DEFAULT.toBuilder()
                        .size(32, 16)
                        .options(AsgOptions.DEFAULT.withGuide(GuideOptions.DEFAULT.withWeight(0.5)))
                        .build(),
                engines.request());
    }

    static Stream<Arguments> engineOptions() {
        EngineOptions usual = EngineOptions.DEFAULT;
        return Stream.of(
                Arguments.of("--model", "folder", usual.withModel(Path.of("folder"))),
                Arguments.of("--vae", "x.safetensors", usual.withVae(Path.of("x.safetensors"))),
                Arguments.of(
                        "--text-encoder",
                        "x.safetensors",
                        usual.withTextEncoders(List.of(Path.of("x.safetensors")))),
                Arguments.of("--devices", "cpu:4", usual.withDevices("cpu:4")),
                Arguments.of("--threads-per-worker", "2", usual.withThreadsPerWorker(2)),
                Arguments.of("--kernels", "AVX2", usual.withKernels("avx2")),
                Arguments.of("--precision", "BF16", usual.withPrecision("bf16")),
                Arguments.of("--max-memory", "12345", usual.withMaxMemoryBytes(12345)),
                Arguments.of("--max-memory", "3k", usual.withMaxMemoryBytes(3072)),
                Arguments.of("--max-memory", "8G", usual.withMaxMemoryBytes(8L << 30)),
                Arguments.of("--max-memory", "8GiB", usual.withMaxMemoryBytes(8L << 30)));
    }

    @ParameterizedTest
    @MethodSource("engineOptions")
    void optionReachesEngine(String option, String value, EngineOptions expected) {
        FakeEngines engines = new FakeEngines();
        assertEquals(0, engines.run("plan", "--prompt", "a ball", option, value).code());
        assertEquals(List.of(expected), engines.options);
        assertEquals(DEFAULT, engines.request());
    }

    @Test
    void promptsMayLookLikeOtherThings() {
        for (String prompt : List.of("@home", "a \"red\" ball", "${user.home}", "100%", "a=b")) {
            FakeEngines engines = new FakeEngines();
            engines.run("plan", "--prompt", prompt);
            assertEquals(prompt, engines.request().prompt());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--size|256|'256' is no size: give width x height in pixels, as in 256x192",
                "--size|0x0|'0x0' has no pixels",
                "--size|256x0|'256x0' has no pixels",
                "--size|-1x5|'-1x5' is no size",
                "--size|1e9x1e9|'1e9x1e9' is no size",
                "--size|256x|'256x' is no size",
                "--size|16x16x16|is no size",
                "--guidance-scale|NaN|'--guidance-scale'",
                "--guidance-scale|Infinity|'--guidance-scale'",
                "--guide-weight|-Infinity|'--guide-weight'",
                "--stage1-share|1e400|'--stage1-share'",
                "--eta|nan|'--eta'",
                "--stage2-guidance-scale|five|'five' is no number",
                "--steps|0|steps is 0",
                "--steps|-1|steps is -1",
                "--steps|1001|between 1 and 1000",
                "--steps|99999999999|'99999999999' is no whole number",
                "--steps|2.5|'--steps'",
                "--seed|1e3|'--seed'",
                "--guidance-scale|-1|guidance scale is -1",
                "--guide-weight|11|between 0 and 10",
                "--view-batch|0|view batch is 0",
                "--view-batch|some|'some' is neither a whole number nor auto",
                "--vae-tile|0|VAE tile is 0",
                "--vae-tile|some|'some' is neither a whole number nor auto",
                "--staleness|-1|staleness is -1",
                "--interaction|-1|interaction steps is -1",
                "--interaction|often|'often' is neither a whole number nor every, off",
                "--mask-tokens|1,,2|'' is neither",
                "--mask-tokens|-2|mask token is -2",
                "--stage1-share|1.5|stage-1 share is 1.5",
                "--dilate|mid_block|'mid_block' is not GROUP=FACTOR",
                "--dilate|=2|'=2' is not GROUP=FACTOR",
                "--dilate|a=2,,b=3|'' is not GROUP=FACTOR",
                "--dilate|a=2,a=3|'a' is given twice",
                "--dilate|a=two|a: 'two' is no number",
                "--damped|a=0.5|dilation of a is 0.5",
                "--dilate|a=9|between 1 and 8",
                "--dilate-share|2|dilate share is 2",
                "--dilate-course|linear|'linear' is not one of constant, progressive",
                "--method|magic|'magic' is not one of asg, direct",
                "--scheduler|heun|there is no scheduler \"heun\": choose one of euler, ddim",
                "--spacing|even|there is no timestep spacing \"even\": choose one of leading,"
                        + " trailing, linspace",
                "--kernels|sse|'sse' is not one of auto, java, scalar, avx2, avx512",
                "--precision|fp16|'fp16' is not one of auto, fp32, bf16",
                "--mask|both|'both' is not one of key, own, none",
                "--mask-norm|mean|'mean' is not one of minmax, max, mean-threshold",
                "--guide-space|pixel|'pixel' is not one of noise, latent",
                "--window-stride|0|window stride is 0",
                "--threads-per-worker|0|threads per worker is 0",
                "--max-memory|lots|'lots' is no number of bytes",
                "--max-memory|99999999999999T|is no number of bytes",
            })
    void wrongValuesAreBadArguments(String option, String value, String message) {
        FakeEngines engines = new FakeEngines();
        engines.methods = MethodOptions.DEFAULTS.keySet();
        List<String> words =
                new ArrayList<>(List.of("generate", "--prompt", "a ball", option + "=" + value));
        if (option.startsWith("--d")) {
            words.add("--method=scalecrafter");
        }
        FakeEngines.Result result = engines.run(words.toArray(String[]::new));
        assertTrue(result.err().contains(message), result.err());
        assertEquals(ExitCode.ARGUMENTS, result.code(), result.err());
        assertEquals("", result.out());
        assertEquals(0, engines.open);
        assertEquals(List.of(), engines.requests);
    }

    @ParameterizedTest
    @CsvSource({"256x100000000000", "99999999999999999999999x1", "100000x100000"})
    void sizeBeyondAnyMemoryIsADeviceMatter(String size) {
        FakeEngines engines = new FakeEngines();
        FakeEngines.Result result = engines.run("generate", "--prompt", "a ball", "--size", size);
        assertEquals(ExitCode.DEVICE, result.code(), result.err());
        assertTrue(result.err().contains("size " + size + " is too large"), result.err());
        assertTrue(result.err().contains("at most 715827882 pixels"), result.err());
    }
}
