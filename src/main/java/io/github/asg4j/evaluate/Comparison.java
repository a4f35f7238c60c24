// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.GuideOptions.Mask;
import io.github.asg4j.GuideOptions.Space;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.OptionNames;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * One prompt and seed by several methods, and what explains ASGDiffusion's picture: its attention
 * masks, its parts one by one, and its guide weight. Says what is to be drawn; {@link Gallery} draws
 * it. All requests are the same but for the method and, in the figures, the guidance.
 *
 * @param requests one for each method, in the order in which they are shown, the same in everything
 *     that all methods have
 * @param figures what is shown of ASGDiffusion, if it is among the methods
 */
public record Comparison(List<GenerationRequest> requests, Set<Figure> figures) {
    /** Weights of the sweep; the paper gives no values to its Fig. 8 and 9. */
    public static final List<Double> WEIGHTS = List.of(0.25, 0.5, 0.75, 1.0);

    /** The method that the figures are about. */
    public static final String ASG = "asg";

    public Comparison {
        requests = List.copyOf(requests);
        figures = Set.copyOf(figures);
        if (requests.isEmpty()) {
            throw new IllegalArgumentException("nothing to compare");
        }
    }

    /** {@code base} by each of {@code methods} with its default options. */
    public static Comparison of(GenerationRequest base, List<String> methods, Set<Figure> figures) {
        return new Comparison(
                methods.stream().map(name -> base.toBuilder().method(name).build()).toList(),
                figures);
    }

    /** Prompt, seed, size and everything else that all pictures share. */
    public GenerationRequest base() {
        return requests.getFirst();
    }

    /** Names, in the order in which they are shown. */
    public List<String> methods() {
        return requests.stream().map(GenerationRequest::method).toList();
    }

    /** Figures of the paper (arXiv 2412.06163). */
    public enum Figure {
        /** Fig. 6: attention maps per block and step. */
        ATTENTION,
        /** Fig. 7: interaction, + guidance, + mask. */
        ABLATION,
        /** Fig. 8 and 9: the guide weight with and without mask. */
        SWEEP
    }

    /** The same prompt and noise at the size that the model was trained for. */
    public Shot reference(int nativeWidth, int nativeHeight) {
        return new Shot(
                "native size",
                base().toBuilder()
                        .image(null)
                        .method("direct")
                        .size(nativeWidth, nativeHeight)
                        .build());
    }

    /** A method as asked for. */
    public Shot method(String name) {
        return new Shot(name, request(name));
    }

    private GenerationRequest request(String name) {
        return requests.stream()
                .filter(request -> name.equals(request.method()))
                .findFirst()
                .orElseThrow();
    }

    /** Whether a figure is asked for and can be drawn. */
    public boolean shows(Figure figure) {
        return figures.contains(figure) && methods().contains(ASG);
    }

    /** What guidance is applied to: as published, and as this engine has it. */
    public List<Space> spaces() {
        return base().paperDefaults() ? List.of(Space.NOISE) : List.of(Space.NOISE, Space.LATENT);
    }

    /**
     * The weight of the ablation. On noise estimates the middle of what is useful, since more only
     * adds noise; on clean latents all the way, which does not.
     */
    public double ablationWeight(Space space) {
        return space == Space.NOISE ? 0.5 : 1.0;
    }

    /** Pixel interaction in every step of stage 1 and no guidance (Fig. 7a). */
    public Shot interactionOnly() {
        return new Shot("asg interaction only", asg(GuideOptions.DEFAULT.withWeight(0)));
    }

    /** Pixel interaction and guidance, with the key patch's mask or without one. */
    public Shot guided(Space space, Mask mask, double weight) {
        GuideOptions guide =
                GuideOptions.DEFAULT.withSpace(space).withMask(mask).withWeight(weight);
        return new Shot(
                "asg " + OptionNames.of(space) + " " + weight + " mask " + OptionNames.of(mask),
                asg(guide));
    }

    private GenerationRequest asg(GuideOptions guide) {
        GenerationRequest asg = request(ASG);
        return asg.toBuilder()
                .options(
                        AsgOptions.DEFAULT
                                .withGuide(guide.withInteractionSteps(GuideOptions.EVERY_STEP))
                                .withWindows(asg.windows()))
                .build();
    }

    /** Everything at the full size, each once. */
    public List<Shot> shots() {
        Set<Shot> shots = new LinkedHashSet<>();
        methods().forEach(name -> shots.add(method(name)));
        if (shows(Figure.ABLATION) || shows(Figure.SWEEP)) {
            shots.add(interactionOnly());
        }
        for (Space space : spaces()) {
            for (Mask mask : List.of(Mask.NONE, Mask.KEY)) {
                if (shows(Figure.ABLATION)) {
                    shots.add(guided(space, mask, ablationWeight(space)));
                }
                if (shows(Figure.SWEEP)) {
                    WEIGHTS.forEach(weight -> shots.add(guided(space, mask, weight)));
                }
            }
        }
        return new ArrayList<>(shots);
    }
}
