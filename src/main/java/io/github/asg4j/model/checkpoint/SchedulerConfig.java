// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A scheduler_config.json of diffusers as the engine draws with it: what the network predicts, the noise
 * levels that it was trained on, the solver and its spacing. A solver that the engine does not have gives
 * its noise levels to the nearest one that it has. Every option that changes the levels or the steps is
 * honoured or refused; what is left out has the class's own default.
 *
 * @param prediction "epsilon", "v" or "flow"
 * @param replaced the class whose place {@code solver} takes; empty: the solver is its own
 */
public record SchedulerConfig(
        String prediction, NoiseLevels levels, Solver solver, Spacing spacing, String replaced) {
    private static final String EULER = "euler";
    private static final String DDIM = "ddim";
    private static final String DPMPP_2M = "dpmpp_2m";

    private static final String UNIPC = "UniPCMultistepScheduler";
    private static final String DEIS = "DEISMultistepScheduler";
    private static final String ZERO_SNR = "rescale_betas_zero_snr";
    private static final String FLOW_EULER = "FlowMatchEulerDiscreteScheduler";

    /** Options of a flow's scheduler that count where its shift depends on the size, which is refused. */
    private static final Set<String> OF_DYNAMIC_SHIFT =
            Set.of("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len");

    /** Classes that the engine has itself, and the engine's name. */
    private static final Map<String, String> OWN =
            Map.of(
                    "EulerDiscreteScheduler",
                    EULER,
                    "DDIMScheduler",
                    DDIM,
                    "EulerAncestralDiscreteScheduler",
                    "euler_a",
                    "DDPMScheduler",
                    "ddpm",
                    "LCMScheduler",
                    "lcm",
                    "TCDScheduler",
                    "tcd",
                    "LMSDiscreteScheduler",
                    "lms");

    /** Options of those classes whose other values the engine does not have, and the value that it has. */
    private static final Map<String, Map<String, Object>> REQUIRED =
            Map.of(
                    "DDPMScheduler",
                    Map.of("variance_type", "fixed_small"),
                    "LCMScheduler",
                    Map.of("original_inference_steps", 50, "timestep_scaling", 10.0),
                    "TCDScheduler",
                    Map.of("original_inference_steps", 50));

    /** Options of classes that are the engine's own only where they have these values. */
    private static final Map<String, Map<String, Object>> OWN_WHERE =
            Map.of(
                    UNIPC,
                    Map.of("solver_order", 2, "solver_type", "bh2", "predict_x0", true),
                    DEIS,
                    Map.of("solver_order", 3));

    /** What those options are where nothing is said. */
    private static final Map<String, Integer> USUAL_ORDER = Map.of(UNIPC, 2, DEIS, 2);

    /** Classes whose noise levels suffice, and the engine's solver that draws on them. */
    private static final Map<String, String> OTHERS =
            Map.ofEntries(
                    Map.entry("PNDMScheduler", DDIM),
                    Map.entry("SASolverScheduler", EULER),
                    Map.entry("DPMSolverMultistepScheduler", DPMPP_2M),
                    Map.entry("DPMSolverSinglestepScheduler", EULER),
                    Map.entry("DPMSolverSDEScheduler", EULER),
                    Map.entry(UNIPC, "unipc"),
                    Map.entry(DEIS, "deis"),
                    Map.entry("HeunDiscreteScheduler", EULER),
                    Map.entry("KDPM2DiscreteScheduler", EULER),
                    Map.entry("KDPM2AncestralDiscreteScheduler", EULER));

    /** Classes whose steps lie at leading strides where nothing else is said. */
    private static final Set<String> LEADING =
            Set.of("DDIMScheduler", "PNDMScheduler", "DDPMScheduler");

    /** Classes whose betas are those of Stable Diffusion where nothing else is said. */
    private static final Set<String> FEWER_BETAS =
            Set.of(
                    "LCMScheduler",
                    "TCDScheduler",
                    "HeunDiscreteScheduler",
                    "KDPM2DiscreteScheduler",
                    "KDPM2AncestralDiscreteScheduler",
                    "DPMSolverSDEScheduler");

    /**
     * Classes for distilled networks: every k-th of the timesteps that were distilled, from the noisy
     * end, whatever timestep_spacing says; betas in scaled_linear where nothing else is said.
     */
    private static final Set<String> DISTILLED = Set.of("LCMScheduler", "TCDScheduler");

    /** Options that leave levels and steps as they are at these values only. */
    private static final Map<String, List<Object>> NEUTRAL =
            new TreeMap<>(
                    Map.ofEntries(
                            Map.entry("use_flow_sigmas", List.of(false)),
                            Map.entry("use_lu_lambdas", List.of(false)),
                            Map.entry("use_dynamic_shifting", List.of(false)),
                            Map.entry("thresholding", List.of(false)),
                            Map.entry("final_sigmas_type", List.of("zero")),
                            Map.entry("timestep_type", List.of("discrete")),
                            Map.entry("interpolation_type", List.of("linear")),
                            Map.entry("trained_betas", List.of()),
                            Map.entry("sigma_min", List.of()),
                            Map.entry("sigma_max", List.of()),
                            Map.entry("shift_terminal", List.of()),
                            Map.entry("flow_shift", List.of(1.0)),
                            Map.entry("clip_sample", List.of(false))));

    /** Options of other solvers' steps, of clipping that is off, and of nothing at all. */
    private static final Set<String> UNUSED =
            Set.of(
                    "_class_name",
                    "_diffusers_version",
                    "num_train_timesteps",
                    "beta_start",
                    "beta_end",
                    "beta_schedule",
                    "prediction_type",
                    "timestep_spacing",
                    "steps_offset",
                    "use_karras_sigmas",
                    "use_exponential_sigmas",
                    "use_beta_sigmas",
                    "set_alpha_to_one",
                    "skip_prk_steps",
                    "sample_max_value",
                    "clip_sample_range",
                    "dynamic_thresholding_ratio",
                    "variance_type",
                    "algorithm_type",
                    "solver_type",
                    "solver_order",
                    "solver_p",
                    "lower_order_final",
                    "euler_at_final",
                    "lambda_min_clipped",
                    "predict_x0",
                    "disable_corrector",
                    "noise_sampler_seed",
                    "use_noise_sampler",
                    "time_shift_type",
                    "predictor_order",
                    "corrector_order",
                    "original_inference_steps",
                    "timestep_scaling",
                    ZERO_SNR);

    /**
     * Reads one.
     *
     * @throws BadBundleException if an option asks for what the engine does not do
     */
    public static SchedulerConfig of(FolderJson config) {
        String name = config.text("_class_name", "");
        if (name.equals(FLOW_EULER)) {
            return flow(config);
        }
        String solver = OWN.getOrDefault(name, OTHERS.getOrDefault(name, ""));
        if (solver.isEmpty()) {
            TreeMap<String, String> known = new TreeMap<>(OWN);
            known.putAll(OTHERS);
            known.put(FLOW_EULER, "");
            throw config.refused("_class_name", "one of " + known.keySet());
        }
        config.values().forEach((option, value) -> requireKnown(config, option));
        // DDIM clips samples where nothing else is said: right for pictures, not for latents.
        boolean clips = LEADING.contains(name) && !name.equals("PNDMScheduler");
        if (clips && !config.values().containsKey("clip_sample")) {
            throw config.refused("clip_sample", "false, which the file has to say");
        }
        if (name.equals("DDIMScheduler")
                && !Boolean.FALSE.equals(config.get("set_alpha_to_one", true))) {
            throw config.refused("set_alpha_to_one", "false, which the file has to say");
        }
        REQUIRED.getOrDefault(name, Map.of())
                .forEach((option, value) -> require(config, option, value));
        String prediction =
                switch (config.text("prediction_type", "epsilon")) {
                    case "epsilon" -> "epsilon";
                    case "v_prediction" -> "v";
                    default -> throw config.refused("prediction_type", "epsilon or v_prediction");
                };
        boolean distilled = DISTILLED.contains(name);
        String betas = config.text("beta_schedule", distilled ? "scaled_linear" : "linear");
        if (!NoiseLevels.Betas.BETA_SCHEDULES.contains(betas)) {
            throw config.refused(
                    "beta_schedule", String.join(" or ", NoiseLevels.Betas.BETA_SCHEDULES));
        }
        boolean fewer = FEWER_BETAS.contains(name);
        double start = config.number("beta_start", fewer ? 0.00085 : 0.0001);
        double end = config.number("beta_end", fewer ? 0.012 : 0.02);
        if (!(start > 0 && end >= start && end < 1)) {
            throw config.refused("beta_end", "a number from beta_start, above 0, to below 1");
        }
        int train = whole(config, "num_train_timesteps", 1000, 2, 100_000);
        NoiseLevels.Betas levels =
                new NoiseLevels.Betas(
                        prediction,
                        betas,
                        start,
                        end,
                        train,
                        whole(config, "steps_offset", 0, 0, train - 1),
                        zeroSnr(config, prediction));
        Spacing spacing =
                distilled
                        ? Spacing.DISTILLED
                        : spacing(config, LEADING.contains(name) ? "leading" : "linspace");
        boolean own =
                OWN.containsKey(name)
                        || (OWN_WHERE.containsKey(name)
                                && OWN_WHERE.get(name).entrySet().stream()
                                        .allMatch(e -> is(config, name, e.getKey(), e.getValue())));
        return new SchedulerConfig(
                prediction, levels, solver(solver, spacing, config), spacing, own ? "" : name);
    }

    /** That of SD3, whose network predicts a flow. */
    private static SchedulerConfig flow(FolderJson config) {
        config.values().keySet().stream()
                .filter(option -> !option.equals("shift") && !OF_DYNAMIC_SHIFT.contains(option))
                .forEach(option -> requireKnown(config, option));
        for (String sigmas : List.of("karras", "exponential", "beta")) {
            require(config, "use_" + sigmas + "_sigmas", false);
        }
        double shift = config.number("shift", 1);
        if (!(shift >= 0.001 && shift <= 1000)) {
            throw config.refused("shift", "a number from 0.001 to 1000");
        }
        int train = whole(config, "num_train_timesteps", 1000, 2, 100_000);
        NoiseLevels levels = new NoiseLevels.Flow(train, shift);
        return new SchedulerConfig("flow", levels, Solver.FLOW_EULER, Spacing.LINSPACE, "");
    }

    /** The solver by its name, as far as spacing and options do not make it another. */
    private static Solver solver(String name, Spacing spacing, FolderJson config) {
        boolean stochastic =
                name.equals(DPMPP_2M)
                        && config.text("algorithm_type", "dpmsolver++").equals("sde-dpmsolver++");
        Solver named =
                Arrays.stream(Solver.values())
                        .filter(s -> s.id().equals(name))
                        .findFirst()
                        .orElseThrow();
        if (stochastic) {
            return Solver.DPMPP_2M_SDE;
        }
        // DDIM and DDPM step from trained timestep to trained timestep.
        return named.spacings().contains(spacing) ? named : Solver.EULER;
    }

    /** Whether the last noise level has no signal; only a network that predicts v can be drawn from it. */
    private static boolean zeroSnr(FolderJson config, String prediction) {
        boolean zero = Boolean.TRUE.equals(config.get(ZERO_SNR, false));
        if (zero && !prediction.equals("v")) {
            throw config.refused(ZERO_SNR, "false unless prediction_type is v_prediction");
        }
        return zero;
    }

    private static boolean is(FolderJson config, String name, String option, Object value) {
        boolean order = option.equals("solver_order") && config.values().get(option) == null;
        return order ? value.equals(USUAL_ORDER.get(name)) : has(config, option, value);
    }

    private static boolean has(FolderJson config, String option, Object value) {
        Object found = config.get(option, value);
        return value instanceof Number wanted
                ? found instanceof Number number && number.doubleValue() == wanted.doubleValue()
                : value.equals(found);
    }

    private static void require(FolderJson config, String option, Object value) {
        if (!has(config, option, value)) {
            throw config.refused(option, FolderJson.shown(value));
        }
    }

    private static int whole(FolderJson config, String option, int usual, int least, int most) {
        double number = config.number(option, usual);
        if (number != Math.rint(number) || number < least || number > most) {
            throw config.refused(option, "a whole number from " + least + " to " + most);
        }
        return (int) number;
    }

    private static void requireKnown(FolderJson config, String option) {
        Object value = config.values().get(option);
        List<Object> neutral = NEUTRAL.get(option);
        boolean off = value == null || Boolean.FALSE.equals(value);
        if (neutral == null && !UNUSED.contains(option) && !off) {
            throw config.refused(option, "null or false: the option is not known");
        }
        if (neutral != null && value != null && !neutral.contains(value)) {
            throw config.refused(
                    option, neutral.isEmpty() ? "null" : FolderJson.shown(neutral.getFirst()));
        }
    }

    private static Spacing spacing(FolderJson config, String usual) {
        Spacing ofSigmas = null;
        for (Spacing spacing : List.of(Spacing.KARRAS, Spacing.EXPONENTIAL, Spacing.BETA)) {
            String option = "use_" + spacing.id() + "_sigmas";
            boolean asked = Boolean.TRUE.equals(config.get(option, false));
            if (asked && ofSigmas != null) {
                throw config.refused(option, "false beside use_" + ofSigmas.id() + "_sigmas");
            }
            ofSigmas = asked ? spacing : ofSigmas;
        }
        if (ofSigmas != null) {
            return ofSigmas;
        }
        String asked = config.text("timestep_spacing", usual);
        List<String> known = List.of("leading", "trailing", "linspace");
        return Arrays.stream(Spacing.values())
                .filter(spacing -> spacing.id().equals(asked) && known.contains(asked))
                .findFirst()
                .orElseThrow(() -> config.refused("timestep_spacing", String.join(", ", known)));
    }
}
