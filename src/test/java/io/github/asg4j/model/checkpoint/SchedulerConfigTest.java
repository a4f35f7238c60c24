// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;

/** Every option of diffusers' schedulers is honoured or refused. */
class SchedulerConfigTest {
    /** The scheduler_config.json of runwayml/stable-diffusion-v1-5. */
    private static final String SD15 =
            "\"_class_name\": \"PNDMScheduler\", \"_diffusers_version\": \"0.6.0\","
                    + " \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\","
                    + " \"beta_start\": 0.00085, \"num_train_timesteps\": 1000,"
                    + " \"set_alpha_to_one\": false, \"skip_prk_steps\": true,"
                    + " \"steps_offset\": 1, \"trained_betas\": null, \"clip_sample\": false";

    private static SchedulerConfig read(String fields) {
        try {
            return SchedulerConfig.of(
                    FolderJson.parse(
                            Path.of("scheduler_config.json"),
                            "{" + fields.replace('\'', '"') + "}"));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static NoiseLevels.Betas betas(SchedulerConfig config) {
        return (NoiseLevels.Betas) config.levels();
    }

    @Test
    void readsThePublishedOne() {
        SchedulerConfig config = read(SD15);
        assertEquals(
                new SchedulerConfig(
                        "epsilon",
                        new NoiseLevels.Betas("epsilon", "scaled_linear", 0.00085, 0.012, 1000, 1),
                        Solver.DDIM,
                        Spacing.LEADING,
                        "PNDMScheduler"),
                config);
    }

    /** Defaults of diffusers 0.42's classes where the file says nothing. */
    @ParameterizedTest
    @CsvSource({
        "EulerDiscreteScheduler, EULER, LINSPACE, 0.0001, ''",
        "EulerAncestralDiscreteScheduler, EULER_A, LINSPACE, 0.0001, ''",
        "UniPCMultistepScheduler, UNIPC, LINSPACE, 0.0001, ''",
        "DPMSolverMultistepScheduler, DPMPP_2M, LINSPACE, 0.0001, DPMSolverMultistepScheduler",
        "HeunDiscreteScheduler, EULER, LINSPACE, 0.00085, HeunDiscreteScheduler",
        "PNDMScheduler, DDIM, LEADING, 0.0001, PNDMScheduler",
        "SASolverScheduler, EULER, LINSPACE, 0.0001, SASolverScheduler",
        "LCMScheduler, LCM, DISTILLED, 0.00085, ''",
        "TCDScheduler, TCD, DISTILLED, 0.00085, ''",
        "LMSDiscreteScheduler, LMS, LINSPACE, 0.0001, ''",
        "DEISMultistepScheduler, DEIS, LINSPACE, 0.0001, DEISMultistepScheduler",
    })
    void whatIsLeftOutHasTheClasssOwnDefault(
            String name, Solver solver, Spacing spacing, double start, String replaced) {
        SchedulerConfig config = read("'_class_name': '" + name + "'");
        assertEquals(solver, config.solver());
        assertEquals(spacing, config.spacing());
        assertEquals(start, betas(config).betaStart());
        assertEquals(0, betas(config).stepsOffset());
        assertEquals(
                spacing == Spacing.TRAILING || spacing == Spacing.DISTILLED
                        ? "scaled_linear"
                        : "linear",
                betas(config).betaSchedule());
        assertEquals(replaced, config.replaced());
    }

    /** Every option at its default, as save_pretrained of diffusers 0.42 writes it. */
    @Test
    void readsWhatDiffusersWrites() {
        SchedulerConfig config =
                read(
                        "'_class_name': 'DPMSolverMultistepScheduler', '_diffusers_version':"
                                + " '0.42.1', 'algorithm_type': 'dpmsolver++', 'beta_end': 0.02,"
                                + " 'beta_schedule': 'linear', 'beta_start': 0.0001,"
                                + " 'dynamic_thresholding_ratio': 0.995, 'euler_at_final': false,"
                                + " 'final_sigmas_type': 'zero', 'flow_shift': 1.0,"
                                + " 'lambda_min_clipped': -Infinity, 'lower_order_final': true,"
                                + " 'num_train_timesteps': 1000, 'prediction_type': 'epsilon',"
                                + " 'rescale_betas_zero_snr': false, 'sample_max_value': 1.0,"
                                + " 'solver_order': 2, 'solver_type': 'midpoint', 'steps_offset':"
                                + " 0, 'thresholding': false, 'time_shift_type': 'exponential',"
                                + " 'timestep_spacing': 'linspace', 'trained_betas': null,"
                                + " 'use_beta_sigmas': false, 'use_dynamic_shifting': false,"
                                + " 'use_exponential_sigmas': false, 'use_flow_sigmas': false,"
                                + " 'use_karras_sigmas': false, 'use_lu_lambdas': false,"
                                + " 'variance_type': null");
        assertEquals(Solver.DPMPP_2M, config.solver());
        assertEquals(Spacing.LINSPACE, config.spacing());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "'_class_name': 'DDPMScheduler', 'clip_sample': false | DDPM | LEADING | ##",
                "'_class_name': 'DDPMScheduler', 'clip_sample': false, 'use_karras_sigmas': true |"
                        + " EULER | KARRAS | ##",
                "'_class_name': 'EulerAncestralDiscreteScheduler', 'timestep_spacing': 'trailing' |"
                        + " EULER_A | TRAILING | ##",
                "'_class_name': 'DPMSolverMultistepScheduler', 'algorithm_type': 'sde-dpmsolver++'"
                        + " | DPMPP_2M_SDE | LINSPACE | DPMSolverMultistepScheduler",
                "'_class_name': 'UniPCMultistepScheduler', 'solver_order': 2, 'use_beta_sigmas':"
                        + " true | UNIPC | BETA | ##",
                "'_class_name': 'UniPCMultistepScheduler', 'solver_order': 3 | UNIPC | LINSPACE |"
                        + " UniPCMultistepScheduler",
                "'_class_name': 'DEISMultistepScheduler', 'solver_order': 3 | DEIS | LINSPACE | ##",
                "'_class_name': 'DEISMultistepScheduler', 'solver_order': 2 | DEIS | LINSPACE |"
                        + " DEISMultistepScheduler",
                "'_class_name': 'LCMScheduler', 'original_inference_steps': 50 | LCM | DISTILLED |"
                        + " ##"
            })
    void solversAreThoseThatTheFileNames(
            String fields, Solver solver, Spacing spacing, String replaced) {
        SchedulerConfig config = read(fields);
        assertEquals(solver, config.solver());
        assertEquals(spacing, config.spacing());
        assertEquals(replaced, config.replaced());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "'_class_name': 'LCMScheduler', 'original_inference_steps': 100 | supported is 50",
                "'_class_name': 'DDPMScheduler', 'clip_sample': false, 'variance_type': 'learned' |"
                        + " variance_type is \"learned\", supported is \"fixed_small\""
            })
    void whatTheSolverHasOtherwiseIsRefused(String fields, String message) {
        BadBundleException refused = assertThrows(BadBundleException.class, () -> read(fields));
        assertTrue(refused.getMessage().contains(message), refused.getMessage());
    }

    /** As checkpoints that predict v and were trained without signal at the end have it. */
    @Test
    void levelsWithoutSignalAreHonoured() {
        SchedulerConfig config =
                read(
                        "'_class_name': 'EulerDiscreteScheduler', 'prediction_type':"
                            + " 'v_prediction', 'rescale_betas_zero_snr': true, 'timestep_spacing':"
                            + " 'trailing'");
        assertTrue(((NoiseLevels.Betas) config.levels()).zeroTerminalSnr());
        SchedulerConfig usual = read(SD15 + ", 'rescale_betas_zero_snr': null");
        assertFalse(((NoiseLevels.Betas) usual.levels()).zeroTerminalSnr());
    }

    @Test
    void aFlowHasItsShift() throws IOException {
        String flow = "'_class_name': 'FlowMatchEulerDiscreteScheduler', 'base_shift': 0.5";
        SchedulerConfig config = read(flow + ", 'shift': 3.0, 'num_train_timesteps': 1000");
        assertEquals("flow", config.prediction());
        assertEquals(new NoiseLevels.Flow(1000, 3), config.levels());
        assertEquals(Solver.FLOW_EULER, config.solver());
        assertEquals(new NoiseLevels.Flow(1000, 1), read(flow).levels());
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '#',
            value = {
                "'use_dynamic_shifting': true, use_dynamic_shifting",
                "'use_karras_sigmas': true, use_karras_sigmas",
                "'shift_terminal': 0.1, shift_terminal",
                "'invert_sigmas': true, invert_sigmas",
                "'stochastic_sampling': true, stochastic_sampling",
                "'shift': 0, shift"
            })
    void whatAFlowHasOtherwiseIsRefused(String field, String option) {
        String flow = "'_class_name': 'FlowMatchEulerDiscreteScheduler', " + field;
        String message = assertThrows(BadBundleException.class, () -> read(flow)).getMessage();
        assertTrue(message.contains(option + " is "), message);
    }

    @Test
    void karrasSigmasAreHonoured() {
        SchedulerConfig config = read(SD15 + ", 'use_karras_sigmas': true");
        assertEquals(Spacing.KARRAS, config.spacing());
        assertEquals(Solver.EULER, config.solver());
        assertEquals("v", betas(read(SD15 + ", 'prediction_type': 'v_prediction'")).prediction());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "'rescale_betas_zero_snr': true | rescale_betas_zero_snr is true, supported is"
                        + " false unless prediction_type is v_prediction",
                "'trained_betas': [0.1] | trained_betas is [0.1], supported is null",
                "'use_karras_sigmas': true, 'use_beta_sigmas': true | use_beta_sigmas is true,"
                        + " supported is false beside use_karras_sigmas",
                "'thresholding': true | thresholding is true",
                "'final_sigmas_type': 'sigma_min' | supported is \"zero\"",
                "'timestep_type': 'continuous' | supported is \"discrete\"",
                "'sigma_max': 80 | sigma_max is 80, supported is null",
                "'prediction_type': 'sample' | supported is epsilon or v_prediction",
                "'beta_schedule': 'squaredcos_cap_v2' | supported is scaled_linear or linear",
                "'timestep_spacing': 'log' | supported is leading, trailing, linspace",
                "'steps_offset': 0.5 | supported is a whole number from 0 to 999",
                "'steps_offset': null | steps_offset is null, supported is a number",
                "'new_option': 3 | new_option is 3, supported is null or false: the option is not"
                        + " known",
                "'use_karras_sigmas': true, 'use_exponential_sigmas': true |"
                        + " use_exponential_sigmas is true, supported is false beside",
                "'beta_start': -Infinity | supported is a number",
                "'beta_end': 2 | beta_end is 2"
            })
    void anOptionThatIsNotHonouredIsRefused(String field, String message) {
        BadBundleException refused =
                assertThrows(
                        BadBundleException.class,
                        () -> read("'_class_name': 'EulerDiscreteScheduler', " + field));
        assertTrue(refused.getMessage().contains(message), refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "DDIMScheduler, clip_sample is null (left out)",
        "DDPMScheduler, clip_sample is null (left out)",
        "EDMEulerScheduler, supported is one of [DDIMScheduler",
    })
    void aClassWhoseDefaultsAreNotHonouredIsRefused(String name, String message) {
        BadBundleException refused =
                assertThrows(BadBundleException.class, () -> read("'_class_name': '" + name + "'"));
        assertTrue(refused.getMessage().contains(message), refused.getMessage());
        if (name.equals("DDIMScheduler")) {
            String alpha =
                    assertThrows(
                                    BadBundleException.class,
                                    () ->
                                            read(
                                                    "'_class_name': 'DDIMScheduler',"
                                                            + " 'clip_sample': false"))
                            .getMessage();
            assertTrue(alpha.contains("set_alpha_to_one is null (left out)"), alpha);
        }
    }
}
