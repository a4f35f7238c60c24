// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The small single file's weights as a diffusers folder, whole, in shards and as a variant. */
class DiffusersFolderTest {
    private static final Path RESOURCES = Path.of("src/test/resources/checkpoint");
    private static final Recognition SMALL =
            new Recognition(
                    Family.SD1,
                    EnumSet.of(Part.UNET, Part.TEXT_ENCODER, Part.VAE),
                    "epsilon",
                    false,
                    4,
                    0,
                    0);
    private static final Map<String, String> GRAPHS =
            Map.of("denoiser", "unet", "text_encoder", "text_encoder", "vae_decoder", "vae");

    @TempDir Path temp;

    private Path folder(String pipeline) throws IOException {
        Files.writeString(
                temp.resolve("model_index.json"), "{\"_class_name\": \"" + pipeline + "\"}");
        return temp;
    }

    private static Recipe recipe(String graph) throws IOException {
        Path file = RESOURCES.resolve("templates/sd15/" + graph + ".weights.json");
        return Recipe.parse(graph, Files.readAllBytes(file));
    }

    /** Weights by their names in diffusers, in the shapes that they are stored in. */
    private static Map<String, Tensor> weights(Checkpoint single, String graph) throws IOException {
        Map<String, Tensor> weights = new TreeMap<>();
        Recipe recipe = recipe(graph);
        for (Recipe.Value value : recipe.values()) {
            for (String weight : value.weights()) {
                weights.put(weight, single.find(recipe.part(), weight).tensor());
            }
        }
        return weights;
    }

    private void write(Map<String, Tensor> weights, Path file) throws IOException {
        SafeTensorsFile out = new SafeTensorsFile();
        weights.forEach((name, tensor) -> out.floats(name, tensor.shape(), Elements.of(tensor)));
        Files.createDirectories(file.getParent());
        out.write(file);
    }

    @ParameterizedTest
    @CsvSource({"whole", "shards", "variant", "variant shards"})
    void hasTheWeightsOfTheSingleFile(String form) throws IOException {
        Path folder = folder("StableDiffusionPipeline");
        Path file = RESOURCES.resolve("sd15.safetensors");
        try (Checkpoint single = Checkpoint.openAs(file, SMALL, ModelParts.NONE)) {
            for (Map.Entry<String, String> graph : GRAPHS.entrySet()) {
                Path place = folder.resolve(graph.getValue());
                boolean text = graph.getValue().startsWith("text");
                String base = text ? "model" : "diffusion_pytorch_model";
                Map<String, Tensor> weights = weights(single, graph.getKey());
                String variant = form.startsWith("variant") ? ".fp16" : "";
                if (form.endsWith("shards")) {
                    Map<String, Tensor> odd = new TreeMap<>();
                    Map<String, Tensor> even = new TreeMap<>();
                    StringBuilder map = new StringBuilder();
                    weights.forEach(
                            (name, tensor) -> {
                                boolean first = name.hashCode() % 2 == 0;
                                (first ? even : odd).put(name, tensor);
                                map.append(map.isEmpty() ? "" : ",")
                                        .append(
                                                '"'
                                                        + name
                                                        + "\": \"part-"
                                                        + first
                                                        + ".safetensors\"");
                            });
                    write(even, place.resolve("part-true.safetensors"));
                    write(odd, place.resolve("part-false.safetensors"));
                    Files.writeString(
                            place.resolve(base + ".safetensors.index" + variant + ".json"),
                            "{\"metadata\": {}, \"weight_map\": {" + map + "}}");
                } else {
                    write(weights, place.resolve(base + variant + ".safetensors"));
                }
            }
            try (Checkpoint opened =
                    Checkpoint.openFolderAs(folder, ModelParts.NONE, unet -> SMALL)) {
                for (String graph : GRAPHS.keySet()) {
                    Recipe recipe = recipe(graph);
                    for (Recipe.Value value : recipe.values()) {
                        for (String weight : value.weights()) {
                            assertArrayEquals(
                                    elements(single, recipe.part(), weight),
                                    elements(opened, recipe.part(), weight),
                                    weight);
                        }
                    }
                }
                assertEquals(form.endsWith("shards") ? 6 : 3, opened.files().size());
                assertEquals(temp.getFileName().toString(), opened.name());
            }
        }
    }

    private static float[] elements(Checkpoint checkpoint, Part part, String weight) {
        Checkpoint.Located found = checkpoint.find(part, weight);
        float[] elements = new float[Math.toIntExact(found.elements())];
        found.read(0, elements);
        return elements;
    }

    private static String refusal(Path folder) {
        return assertThrows(
                        BadBundleException.class,
                        () -> Checkpoint.open(folder, ModelParts.NONE, file -> ""))
                .getMessage();
    }

    @ParameterizedTest
    @CsvSource({
        "FluxPipeline, no template; it has those of",
        "StableDiffusionInstructPix2PixPipeline, no template",
        "StableCascadePipeline, no template"
    })
    void aPipelineOfAnotherKindIsRefused(String pipeline, String message) throws IOException {
        String refused = refusal(folder(pipeline));
        assertTrue(refused.contains("is of a " + pipeline), refused);
        assertTrue(refused.contains(message), refused);
    }

    /** The refiner has the second text encoder alone, and says that it is told an aesthetic score. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[null, null] | true | false | text_encoder_2 has no model.safetensors",
                "[null, null] | false | false | requires_aesthetics_score is false, supported is"
                        + " true",
                "[null, null] | true | true | force_zeros_for_empty_prompt is true, supported is"
                        + " false",
                "[\"transformers\", \"CLIPTextModel\"] | false | true | text_encoder has no",
                "[\"transformers\", \"CLIPTextModel\"] | true | true | requires_aesthetics_score"
                        + " is true, supported is false"
            })
    void aFolderOfSdxlSaysWhetherItRefines(
            String first, boolean scored, boolean zeros, String message) throws IOException {
        Files.writeString(
                temp.resolve("model_index.json"),
                "{\"_class_name\": \"StableDiffusionXLImg2ImgPipeline\", \"text_encoder\": "
                        + first
                        + ", \"requires_aesthetics_score\": "
                        + scored
                        + ", \"force_zeros_for_empty_prompt\": "
                        + zeros
                        + "}");
        String refused = refusal(temp);
        assertTrue(refused.contains(message), refused);
    }

    /** T5 may be left out, as diffusers saves it; the others may not. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"text_encoder_3\": [null, null] | transformer has no diffusion_pytorch_model",
                "\"text_encoder_3\": null | transformer has no diffusion_pytorch_model",
                "\"text_encoder_3\": [\"transformers\", \"T5EncoderModel\"] | text_encoder_3 has no"
            })
    void aFolderOfStableDiffusion3IsOpenedWithWhatItsIndexNames(String t5, String missing)
            throws IOException {
        for (String part : List.of("text_encoder", "text_encoder_2")) {
            Files.createDirectories(temp.resolve(part));
            new SafeTensorsFile().write(temp.resolve(part).resolve("model.safetensors"));
        }
        Files.writeString(
                temp.resolve("model_index.json"),
                "{\"_class_name\": \"StableDiffusion3Pipeline\", " + t5 + "}");
        String refused = refusal(temp);
        assertTrue(refused.contains(missing), refused);
    }

    @Test
    void saysWhatAFolderLacks() throws IOException {
        Path folder = folder("StableDiffusionPipeline");
        assertTrue(refusal(folder).contains("text_encoder has no model.safetensors (nor one of"));
        Files.createDirectories(folder.resolve("text_encoder"));
        Files.createFile(folder.resolve("text_encoder/pytorch_model.bin"));
        assertTrue(refusal(folder).contains("only pickles, which can run code"));
        Files.writeString(
                folder.resolve("text_encoder/model.safetensors"),
                "version https://git-lfs.github.com/spec/v1\n");
        assertTrue(refusal(folder).contains("run git lfs pull"));
        Files.delete(folder.resolve("text_encoder/model.safetensors"));
        Files.writeString(
                folder.resolve("text_encoder/model.safetensors.index.json"),
                "{\"weight_map\": {\"a\": \"../../secret.safetensors\"}}");
        assertTrue(refusal(folder).contains("supported is names of files beside it"));
        Files.writeString(folder.resolve("model_index.json"), "{");
        assertTrue(refusal(folder).contains("model_index.json cannot be read"));
    }

    /** Configurations of the published models, and one option after the other changed. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "SD1 | UNET | 'attention_head_dim': 8, 'act_fn': 'silu', 'freq_shift': 0 | ",
                "SD1 | UNET | 'sample_size': 64 | ",
                "SD2 | UNET | 'attention_head_dim': [5, 10, 20, 20], 'dual_cross_attention': false"
                        + " | ",
                "SD2 | UNET | 'sample_size': 96 | attention_head_dim is null (left out), supported"
                        + " is [5.0, 10.0, 20.0, 20.0] for Stable Diffusion 2.x",
                "SDXL_REFINER | UNET | 'attention_head_dim': [6, 12, 24, 24],"
                        + " 'addition_embed_type': 'text_time', 'addition_time_embed_dim': 256,"
                        + " 'projection_class_embeddings_input_dim': 2560 | ",
                "SD1 | UNET | 'attention_head_dim': 8, 'time_cond_proj_dim': 256 | ",
                "SD1 | UNET | 'attention_head_dim': 4 | attention_head_dim is 4, supported is 8",
                "SD1 | UNET | 'act_fn': 'gelu' | act_fn is \"gelu\", supported is \"silu\"",
                "SD1 | UNET | 'resnet_skip_time_act': true | the option is not known",
                "SD1 | UNET | 'resnet_skip_time_act': null | ",
                "SD1 | TEXT_ENCODER | 'hidden_act': 'quick_gelu', 'num_attention_heads': 12,"
                        + " 'num_hidden_layers': 12, 'torch_dtype': 'float16' | ",
                "SD2 | TEXT_ENCODER | 'hidden_act': 'quick_gelu', 'num_attention_heads': 16,"
                        + " 'num_hidden_layers': 23 | hidden_act is \"quick_gelu\", supported is"
                        + " \"gelu\"",
                "SD3_MEDIUM | TRANSFORMER | 'patch_size': 2, 'num_attention_heads': 24,"
                        + " 'num_layers': 24, 'pos_embed_max_size': 192 | ",
                "SD35_MEDIUM | TRANSFORMER | 'num_attention_heads': 24, 'qk_norm': 'rms_norm',"
                        + " 'dual_attention_layers': [0, 1] | ",
                "SD35_LARGE | TRANSFORMER | 'num_attention_heads': 38, 'qk_norm': 'rms_norm' | ",
                "SD3_MEDIUM | TRANSFORMER | 'num_attention_heads': 24, 'qk_norm': 'rms_norm' |"
                        + " qk_norm is \"rms_norm\", supported is null or false",
                "SD35_LARGE | TRANSFORMER | 'num_attention_heads': 24, 'qk_norm': 'rms_norm' |"
                        + " num_attention_heads is 24, supported is 38",
                "SD35_MEDIUM | TRANSFORMER | 'num_attention_heads': 24, 'patch_size': 4, 'qk_norm':"
                        + " 'rms_norm' | patch_size is 4, supported is 2",
                "SD3_MEDIUM | TEXT_ENCODER_3 | 'd_kv': 64, 'num_heads': 64, 'feed_forward_proj':"
                        + " 'gated-gelu', 'num_layers': 24, 'd_model': 4096 | ",
                "SD3_MEDIUM | TEXT_ENCODER_3 | 'num_heads': 32 | num_heads is 32, supported is 64",
                "SDXL | VAE | 'scaling_factor': 0.13025, 'force_upcast': true | ",
                "SDXL | VAE | 'latents_mean': [0, 1] | latents_mean is [0.0, 1.0], supported is"
                        + " null"
            })
    void configurationsAreThoseOfTheTemplate(
            Family family, Part part, String fields, String message) throws IOException {
        FolderJson config =
                FolderJson.parse(Path.of("config.json"), "{" + fields.replace('\'', '"') + "}");
        if (message == null) {
            NetworkConfig.require(config, family, part);
            return;
        }
        String refused =
                assertThrows(
                                BadBundleException.class,
                                () -> NetworkConfig.require(config, family, part))
                        .getMessage();
        assertTrue(refused.contains(message), refused);
    }

    /** diffusers 0.42 writes every option of a UNet that it saves, its class's defaults too. */
    @Test
    void anOptionThatChangesNothingIsLeftAlone() throws IOException {
        FolderJson config =
                FolderJson.parse(
                        Path.of("config.json"),
                        "{\"addition_embed_type\": null, \"addition_embed_type_num_heads\": 64,"
                                + " \"attention_head_dim\": 8, \"dropout\": 0.0}");
        NetworkConfig.require(config, Family.SD1, Part.UNET);
    }

    @Test
    void aTokenizerWithOtherWordsIsRefused() throws IOException {
        byte[] ours =
                ("{\"model\": {\"vocab\": {\"a\": 0, \"<|endoftext|>\": 1}},"
                                + " \"padding\": {\"pad_id\": 1}}")
                        .getBytes(StandardCharsets.UTF_8);
        FolderTokenizer.require(temp, ours);
        Files.writeString(temp.resolve("vocab.json"), "{\"a\": 0, \"<|endoftext|>\": 1}");
        Files.writeString(
                temp.resolve("tokenizer_config.json"),
                "{\"pad_token\": {\"content\": \"<|endoftext|>\"}, \"model_max_length\": 77}");
        FolderTokenizer.require(temp, ours);
        for (List<String> wrong :
                List.of(
                        List.of("tokenizer_config.json", "{\"pad_token\": \"a\"}", "pad_token"),
                        List.of("added_tokens.json", "{\"<cat>\": 2}", "and added ones"),
                        List.of("vocab.json", "{\"b\": 0}", "another vocabulary"))) {
            Path file = temp.resolve(wrong.get(0));
            byte[] before = Files.exists(file) ? Files.readAllBytes(file) : null;
            Files.writeString(file, wrong.get(1));
            String refused =
                    assertThrows(
                                    BadBundleException.class,
                                    () -> FolderTokenizer.require(temp, ours))
                            .getMessage();
            assertTrue(refused.contains(wrong.get(2)), refused);
            if (before == null) {
                Files.delete(file);
            } else {
                Files.write(file, before);
            }
        }
    }
}
