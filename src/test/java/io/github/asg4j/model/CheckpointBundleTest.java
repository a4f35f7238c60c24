// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Lora;
import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Elements;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Layout;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;
import io.github.asg4j.model.checkpoint.Source;
import io.github.asg4j.model.checkpoint.WeightNames;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Placement;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;
import io.github.asg4j.schedule.NoiseLevels;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * Small single files of Stable Diffusion 1.x's and 3.5's build, filled into their templates, against the
 * bundles that were exported of the same weights (onnx-export/tests/checkpoint_resources.py).
 */
class CheckpointBundleTest {
    private static final Path FILE = SmallFiles.SD15;
    private static final Path INPAINT =
            Path.of("src/test/resources/checkpoint/sd15-inpaint.safetensors");
    private static final Path TINY = Path.of("src/test/resources/tiny");
    private static final Path EXPORTED = Path.of("src/test/resources/families/sd15");
    private static final Path SD35 = SmallFiles.SD35;
    private static final String T5 = "text_encoders.t5xxl.transformer.";
    private static final String CLIP_L = "text_encoders.clip_l.transformer.";
    private static final int BATCH = 2;
    private static final int CELLS = 16;
    private static final int TOKENS = 77;

    @TempDir Path temp;

    private static final float BRIGHTER = 0.25f;

    private static Bundle filled() {
        return SmallCheckpoints.open("sd15");
    }

    private static Bundle filled(Path vae) {
        return filled(vae, "epsilon");
    }

    private static Bundle filledAs(String family) {
        return switch (family) {
            case "sd35" -> filled35(SD35, parts35());
            case "sd15-inpaint" -> filled(INPAINT, 9, null, "epsilon");
            default -> filled();
        };
    }

    private static Bundle filled(Path vae, String prediction) {
        return filled(FILE, 4, vae, prediction);
    }

    private static Bundle filled(Path file, int channels, Path vae, String prediction) {
        return SmallFiles.bundle(
                file,
                SmallFiles.sd15(prediction, false, channels, 0),
                new ModelParts(vae, List.of()));
    }

    /** A file of SD3.5's build, with whatever of its networks it holds. */
    private static Bundle filled35(Path file, Set<Part> parts) {
        return filled35(file, parts, ModelParts.NONE);
    }

    private static Bundle filled35(Path file, Set<Part> parts, ModelParts beside) {
        return SmallFiles.bundle(file, SmallFiles.sd35(parts), beside);
    }

    private static Set<Part> parts35() {
        return EnumSet.copyOf(SmallFiles.sd35().parts());
    }

    /** The small file's autoencoder in a file of its own, whose pictures are brighter. */
    private Path vaeFile(Layout layout, String prefix) throws IOException {
        return vaeFile(layout, prefix, "vae_decoder", "vae_encoder");
    }

    private Path vaeFile(Layout layout, String prefix, String... graphs) throws IOException {
        SafeTensorsFile file = new SafeTensorsFile();
        Set<String> written = new HashSet<>();
        try (SafeTensors stored = SafeTensors.open(FILE)) {
            for (Recipe.Value value : vaeValues(graphs)) {
                for (String weight : value.weights()) {
                    Source source = WeightNames.of(Layout.SD1, Part.VAE, weight, 0).getFirst();
                    var tensor = stored.tensors().get(source.tensor());
                    String bare = source.tensor().replaceFirst("^first_stage_model\\.", "");
                    float[] values = Elements.of(tensor);
                    if (weight.equals("decoder.conv_out.bias")) {
                        for (int i = 0; i < values.length; i++) {
                            values[i] += BRIGHTER;
                        }
                    }
                    if (written.add(weight)) {
                        file.floats(
                                prefix + (layout == Layout.DIFFUSERS ? weight : bare),
                                tensor.shape(),
                                values);
                    }
                }
            }
        }
        return file.write(temp.resolve("vae.safetensors"));
    }

    private static List<Recipe.Value> vaeValues(String... graphs) throws IOException {
        List<Recipe.Value> values = new ArrayList<>();
        for (String graph : graphs) {
            Path recipe =
                    Path.of(
                            "src/test/resources/checkpoint/templates/sd15",
                            graph + ".weights.json");
            values.addAll(Recipe.parse(graph, Files.readAllBytes(recipe)).values());
        }
        return values;
    }

    private static float[] image(Bundle bundle) {
        try (Memory memory = new Memory("test");
                OrtSession session =
                        LoadedModel.session(
                                bundle, bundle.manifest().vae().decoder(), Place.cpu(1))) {
            return run(session, session.outputs().firstEntry().getKey(), memory);
        }
    }

    @ParameterizedTest
    @CsvSource({"SD1, ''", "SD1, first_stage_model.", "DIFFUSERS, ''"})
    void anotherAutoencoderDecodes(Layout layout, String prefix) throws IOException {
        Path vae = vaeFile(layout, prefix);
        Bundle exported = Bundle.openFolder(EXPORTED, new VerifiedFiles(null), false);
        float[] plain = image(exported);
        try (Bundle filled = filled(vae);
                Bundle bundle = withVae(exported, vae)) {
            for (Bundle other : List.of(filled, bundle)) {
                float[] brighter = image(other);
                for (int i = 0; i < plain.length; i++) {
                    assertEquals(plain[i] + BRIGHTER, brighter[i], 1e-4);
                }
                assertEquals(vae, other.vae().file());
                assertEquals(64, other.vae().sha256().length());
                assertNotEquals(exported.bundleSha256(), other.bundleSha256());
            }
            assertTrue(bundle.manifest().files().containsKey("denoiser_dilated.onnx"));
            assertTrue(bundle.manifest().files().containsKey("vae_encoder_tail.onnx"));
        }
    }

    /** All that is lost is what encodes: it is no part of the model then, and models that need it are refused. */
    @ParameterizedTest
    @CsvSource({"SD1, first_stage_model.", "DIFFUSERS, ''"})
    void aDecoderAloneDecodes(Layout layout, String prefix) throws IOException {
        Path vae = vaeFile(layout, prefix, "vae_decoder");
        Bundle exported = Bundle.openFolder(EXPORTED, new VerifiedFiles(null), false);
        float[] plain = image(exported);
        try (Bundle filled = filled(vae);
                Bundle bundle = withVae(exported, vae)) {
            for (Bundle other : List.of(filled, bundle)) {
                float[] brighter = image(other);
                for (int i = 0; i < plain.length; i++) {
                    assertEquals(plain[i] + BRIGHTER, brighter[i], 1e-4);
                }
                Manifest manifest = other.manifest();
                assertNull(manifest.vae().encoder());
                assertNull(manifest.vae().tiledEncoder());
                assertNotNull(manifest.vae().tiledDecoder());
                assertEquals(
                        List.of(),
                        manifest.files().keySet().stream()
                                .filter(file -> file.matches("vae_encoder.*onnx"))
                                .toList());
            }
        }
        Bundle inpaints =
                Bundle.openFolder(
                        EXPORTED.resolveSibling("sd15-inpaint"), new VerifiedFiles(null), false);
        for (Executable opening :
                List.<Executable>of(
                        () -> filled(INPAINT, 9, vae, "epsilon"), () -> withVae(inpaints, vae))) {
            String refused = assertThrows(BadBundleException.class, opening).getMessage();
            assertTrue(refused.contains("the autoencoder is a decoder alone"), refused);
            assertTrue(refused.contains("was made for inpainting"), refused);
        }
    }

    private static Bundle withVae(Bundle bundle, Path vae) {
        return bundle.withVae(
                Checkpoint.openVae(vae),
                List.of("checkpoint/templates/sd15/"),
                new VerifiedFiles(null),
                false);
    }

    @ParameterizedTest
    @ValueSource(strings = {"epsilon", "v"})
    void whatAFilePredictsReachesItsNoiseLevels(String prediction) {
        try (Bundle bundle = filled(null, prediction)) {
            Manifest manifest = bundle.manifest();
            assertEquals(prediction, manifest.denoiser().prediction());
            NoiseLevels.Betas levels = (NoiseLevels.Betas) manifest.scheduler().levels();
            assertEquals(prediction, levels.prediction());
        }
    }

    @Test
    void saysWhyAFileIsNoAutoencoderForTheModel() throws IOException {
        Bundle tiny = Bundle.openFolder(TINY, new VerifiedFiles(null), false);
        Path vae = vaeFile(Layout.SD1, "");
        String scaled =
                assertThrows(BadBundleException.class, () -> withVae(tiny, vae)).getMessage();
        assertTrue(scaled.contains("scaled by 1.6; --vae takes"), scaled);
        Path sixteen =
                new SafeTensorsFile()
                        .floats("decoder.conv_in.weight", List.of(1L, 16L, 1L, 1L), new float[16])
                        .write(temp.resolve("sd3.safetensors"));
        String channels =
                assertThrows(BadBundleException.class, () -> Checkpoint.openVae(sixteen))
                        .getMessage();
        assertTrue(
                channels.contains("latents with 16 channels, but those of the model have 4"),
                channels);
        Path lora = Path.of("src/test/resources/checkpoint/lora/kohya.safetensors");
        String other = assertThrows(BadBundleException.class, () -> filled(lora)).getMessage();
        assertTrue(other.contains("is a LoRA: give it with --lora, not a model"), other);
        assertTrue(other.contains("--vae takes an autoencoder"), other);
    }

    @ParameterizedTest
    @CsvSource({
        "sd15, text_encoder.onnx, last_hidden_state",
        "sd15, denoiser.onnx, noise",
        "sd15, vae_decoder.onnx, image",
        "sd15-inpaint, denoiser.onnx, noise",
        "sd35, text_encoder.onnx, penultimate_hidden_state",
        "sd35, text_encoder_2.onnx, text_embeds",
        "sd35, text_encoder_3.onnx, last_hidden_state",
        "sd35, denoiser.onnx, noise",
        "sd35, vae_decoder.onnx, image"
    })
    void networksComputeWhatThoseOfTheExportedBundleDo(String family, String graph, String output) {
        Path bundle = EXPORTED.resolveSibling(family);
        Bundle exported = Bundle.openFolder(bundle, new VerifiedFiles(null), false);
        try (Memory memory = new Memory("test");
                Bundle filled = filledAs(family);
                OrtSession expected = LoadedModel.session(exported, graph, Place.cpu(1));
                OrtSession actual = LoadedModel.session(filled, graph, Place.cpu(1))) {
            String shown = expected.outputs().containsKey(output) ? output : null;
            String name = shown == null ? expected.outputs().firstEntry().getKey() : shown;
            float[] e = run(expected, name, memory);
            float[] a = run(actual, name, memory);
            double largest = 0;
            double worst = 0;
            for (int i = 0; i < e.length; i++) {
                largest = Math.max(largest, Math.abs(e[i]));
                worst = Math.max(worst, Math.abs((double) e[i] - a[i]));
            }
            assertTrue(worst <= 1e-5 * largest, "differs by " + worst + " of " + largest);
        }
    }

    /** Rows of zeros take T5's place, and neither its graph nor its tokenizer is asked for. */
    @Test
    void aFileWithoutT5DrawsWithZerosInItsPlace() {
        Bundle exported =
                Bundle.openFolder(EXPORTED.resolveSibling("sd35"), new VerifiedFiles(null), false);
        Path without = part35("", name -> !name.startsWith(T5));
        Set<Part> parts = parts35();
        parts.remove(Part.TEXT_ENCODER_3);
        try (Bundle filled = filled35(without, parts, ModelParts.NONE)) {
            Manifest manifest = filled.manifest();
            assertEquals(2, manifest.textEncoders().size());
            assertEquals(256, manifest.conditioning().zeroTokens());
            assertEquals(64, manifest.conditioning().hiddenWidth());
            assertFalse(manifest.files().containsKey("text_encoder_3.onnx"));
            assertFalse(manifest.files().containsKey("tokenizer_3.json"));
            assertEquals(exported.manifest().latent(), manifest.latent());
            assertEquals(exported.manifest().scheduler(), manifest.scheduler());
            assertEquals("flow", manifest.denoiser().prediction());
        }
    }

    /** Files that families share are those that the manifests mean, and weights have their places. */
    @ParameterizedTest
    @EnumSource
    void shippedTemplatesAreWhole(Family family) throws IOException {
        String templates = "io/github/asg4j/templates/";
        List<String> folders =
                family.templates().stream().map(name -> templates + name + "/").toList();
        ClassLoader loader = getClass().getClassLoader();
        Bundle template = Bundle.openResources(loader, folders, new VerifiedFiles(null), true);
        int weights = 0;
        for (String file : template.manifest().files().keySet()) {
            if (file.endsWith(".weights.json")) {
                Recipe recipe = Recipe.parse(file, template.read(file));
                for (Recipe.Value value : recipe.values()) {
                    for (String weight : value.weights()) {
                        assertFalse(
                                WeightNames.of(family.singleFile(), recipe.part(), weight, 24)
                                        .isEmpty());
                        weights++;
                    }
                }
            }
        }
        assertTrue(weights > 1000, family + ": " + weights);
    }

    /** Tensors of the small file whose names pass, without a prefix. */
    private Path part35(String prefix, Predicate<String> passes) {
        SafeTensorsFile file = new SafeTensorsFile();
        try (SafeTensors whole = SafeTensors.open(SD35)) {
            whole.tensors()
                    .forEach(
                            (name, tensor) -> {
                                if (passes.test(name)) {
                                    byte[] bytes = tensor.data().toArray(ValueLayout.JAVA_BYTE);
                                    String bare = name.substring(prefix.length());
                                    file.tensor(bare, "F16", tensor.shape(), bytes);
                                }
                            });
        }
        return file.write(temp.resolve("part" + prefix.length() + ".safetensors"));
    }

    @Test
    void textEncodersMayLieBesideTheModel() {
        Path model = part35("", name -> !name.startsWith(T5) && !name.startsWith(CLIP_L));
        Path t5 = part35(T5, name -> name.startsWith(T5));
        // Without its projection, as some have it: the pooled state is not projected then.
        Path clip = part35(CLIP_L, name -> name.startsWith(CLIP_L) && !name.contains("projection"));
        Set<Part> inside = parts35();
        inside.removeAll(List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_3));
        ModelParts beside = new ModelParts(null, List.of(t5, clip));
        try (Memory memory = new Memory("test");
                Bundle whole = filled35(SD35, parts35());
                Bundle joined = filled35(model, inside, beside)) {
            assertEquals(3, joined.manifest().textEncoders().size());
            assertNotEquals(whole.bundleSha256(), joined.bundleSha256());
            for (String graph : List.of("text_encoder.onnx", "text_encoder_3.onnx")) {
                try (OrtSession expected = LoadedModel.session(whole, graph, Place.cpu(1));
                        OrtSession actual = LoadedModel.session(joined, graph, Place.cpu(1))) {
                    String output =
                            graph.contains("3") ? "last_hidden_state" : "penultimate_hidden_state";
                    assertArrayEquals(
                            run(expected, output, memory), run(actual, output, memory), graph);
                }
            }
        }
        String twice =
                assertThrows(BadBundleException.class, () -> filled35(SD35, parts35(), beside))
                        .getMessage();
        assertTrue(twice.contains("which has one already: leave out --text-encoder"), twice);
        ModelParts wrong = new ModelParts(null, List.of(SD35));
        String other =
                assertThrows(BadBundleException.class, () -> filled35(model, inside, wrong))
                        .getMessage();
        assertTrue(other.contains("--text-encoder takes a CLIP or T5 text encoder"), other);
    }

    private static float[] run(OrtSession session, String output, Memory memory) {
        Random random = new Random(3);
        Map<String, Tensor> in = new LinkedHashMap<>();
        new TreeMap<>(session.inputs())
                .forEach((name, info) -> in.put(name, input(info, random, memory)));
        TensorInfo info = session.outputs().get(output);
        long[] shape = info.dims().stream().mapToLong(Long::longValue).toArray();
        int scale = output.equals("image") ? 8 : 1;
        for (int i = 0; i < shape.length; i++) {
            if (shape[i] < 0) {
                shape[i] = i == 0 ? BATCH : shape.length == 4 ? CELLS * scale : TOKENS;
            }
        }
        long count = 1;
        for (long extent : shape) {
            count *= extent;
        }
        MemorySegment out = memory.floats(count, output);
        try (var binding = session.bind(in, Map.of(output, Tensor.floats(out, shape)))) {
            binding.run();
        }
        return out.toArray(ValueLayout.JAVA_FLOAT);
    }

    private static Tensor input(TensorInfo info, Random random, Memory memory) {
        long[] shape = info.dims().stream().mapToLong(Long::longValue).toArray();
        long count = 1;
        for (int i = 0; i < shape.length; i++) {
            if (shape[i] < 0) {
                shape[i] = i == 0 ? BATCH : shape.length == 4 ? CELLS : TOKENS;
            }
            count *= shape[i];
        }
        if (info.type().equals("int64")) {
            MemorySegment ids = memory.allocate(count * Long.BYTES, info.name());
            for (long i = 0; i < count; i++) {
                ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(100));
            }
            return Tensor.longs(ids, shape);
        }
        MemorySegment data = memory.floats(count, info.name());
        for (long i = 0; i < count; i++) {
            data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return Tensor.floats(data, shape);
    }

    @Test
    void theManifestIsTheTemplatesWithTheFilesWeights() {
        Bundle exported = Bundle.openFolder(EXPORTED, new VerifiedFiles(null), false);
        try (Bundle filled = filled()) {
            Manifest manifest = filled.manifest();
            assertEquals("sd15", manifest.name());
            assertEquals("epsilon", manifest.denoiser().prediction());
            assertEquals(exported.manifest().latent(), manifest.latent());
            assertEquals(exported.manifest().scheduler(), manifest.scheduler());
            assertArrayEquals(
                    exported.tokenizer(0).encode("a red ball", 77).ids(),
                    filled.tokenizer(0).encode("a red ball", 77).ids());
            long graph = manifest.files().get("denoiser.onnx").bytes();
            assertTrue(graph > 300_000, "without its weights: " + graph);
            assertEquals(64, filled.bundleSha256().length());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "8, '', epsilon, 8 input channels",
        "4, ztsnr, epsilon, end without signal",
        "4, edm_mean, epsilon, noise levels of its own",
        "4, '', , does not say what its network predicts"
    })
    void saysWhyAFileCannotBeDrawnWith(
            int channels, String marker, String prediction, String what) {
        String base = "model.diffusion_model.";
        boolean two = prediction == null;
        SafeTensorsFile file =
                new SafeTensorsFile()
                        .floats(
                                base + "input_blocks.0.0.weight",
                                List.of(1L, (long) channels, 1L, 1L),
                                new float[channels])
                        .tensor(
                                base + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                                "U8",
                                List.of(1L, two ? 1024L : 768L),
                                new byte[two ? 1024 : 768]);
        if (!marker.isEmpty()) {
            file.floats(marker, List.of(0L));
        }
        Path path = file.write(temp.resolve("x.safetensors"));
        String message =
                assertThrows(
                                BadBundleException.class,
                                () -> Bundle.open(path, ModelParts.NONE, false))
                        .getMessage();
        assertTrue(message.contains(what), message);
    }

    @Test
    void saysWhatAFileLacks() {
        Path path =
                new SafeTensorsFile()
                        .floats(
                                "model.diffusion_model.input_blocks.0.0.weight",
                                List.of(1L, 4L, 1L, 1L),
                                0,
                                0,
                                0,
                                0)
                        .tensor("x.attn2.to_k.weight", "U8", List.of(1L, 768L), new byte[768])
                        .write(temp.resolve("x.safetensors"));
        String message =
                assertThrows(
                                BadBundleException.class,
                                () -> Bundle.open(path, ModelParts.NONE, false))
                        .getMessage();
        assertTrue(message.contains("without its [text_encoder, vae]"), message);
    }

    private static float[] noise(Bundle bundle, LoraSet loras) {
        try (Memory memory = new Memory("test");
                loras;
                OrtSession session =
                        LoadedModel.session(bundle, "denoiser.onnx", Place.cpu(1), loras)) {
            return run(session, "noise", memory);
        }
    }

    private static List<Lora> lora(double weight) {
        return List.of(
                new Lora(Path.of("src/test/resources/checkpoint/lora/kohya.safetensors"), weight));
    }

    @Test
    void aLoraChangesWhatTheDenoiserComputes() {
        try (Bundle filled = filled()) {
            float[] plain = noise(filled, filled.loras(List.of()));
            assertArrayEquals(plain, noise(filled, filled.loras(lora(0))));
            double half = difference(plain, noise(filled, filled.loras(lora(0.5))));
            double whole = difference(plain, noise(filled, filled.loras(lora(1))));
            assertTrue(half > 1e-3 && whole > half, half + " " + whole);
        }
    }

    @ParameterizedTest
    @CsvSource({"dora, true", "loha, true", "kohya, false"})
    void aModelThatChangesItsLorasIsThatOfTheLastOnes(String name, boolean matricesAlone) {
        Path file = Path.of("src/test/resources/checkpoint/lora/" + name + ".safetensors");
        List<Lora> half = List.of(new Lora(file, 0.5));
        float[] expected;
        float[] plain;
        try (LoadedModel model = LoadedModel.open(filled(), List.of(Placement.cpu(1)), half)) {
            expected = noise(model);
            assertEquals(64, model.loraHashes().getFirst().length());
        }
        try (LoadedModel model = LoadedModel.open(filled(), 1)) {
            plain = noise(model);
            model.use(List.of(new Lora(file, 1)));
            assertTrue(difference(plain, noise(model)) > 1e-4);
            Denoiser before = model.denoiser();
            model.use(half);
            assertEquals(matricesAlone, before == model.denoiser());
            assertArrayEquals(expected, noise(model));
            model.use(List.of());
            assertEquals(List.of(), model.loraHashes());
            assertArrayEquals(plain, noise(model));
        }
    }

    private static float[] noise(LoadedModel model) {
        try (Memory memory = new Memory("test")) {
            return run(model.denoiser().session(), "noise", memory);
        }
    }

    private static double difference(float[] one, float[] other) {
        double worst = 0;
        for (int i = 0; i < one.length; i++) {
            worst = Math.max(worst, Math.abs((double) one[i] - other[i]));
        }
        return worst;
    }

    @Test
    void aFailedChangeOfLorasLeavesTheModelUsable() {
        try (LoadedModel model = LoadedModel.open(filled(), 1)) {
            Lora none = new Lora(temp.resolve("none.safetensors"), 1);
            Denoiser before = model.denoiser();
            assertThrows(BadRequestException.class, () -> model.use(List.of(none)));
            assertSame(before, model.denoiser());
        }
    }

    @Test
    void aBundleSaysHowItComesByLoras() {
        Bundle exported = Bundle.openFolder(EXPORTED, new VerifiedFiles(null), false);
        String message =
                assertThrows(BadRequestException.class, () -> exported.loras(lora(1))).getMessage();
        assertTrue(message.contains("asg bundle MODEL.safetensors --lora"), message);
    }
}
