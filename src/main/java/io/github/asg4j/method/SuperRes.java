// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;

import java.util.List;

/**
 * Super-resolution of a picture of native size, the baseline "SDXL + BSRGAN" of the papers: one
 * patch by direct inference, decoded, then enlarged by the bundle's upscalers (BSRGAN, arXiv
 * 2103.14006). A given picture takes the place of the one that is drawn.
 */
final class SuperRes implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        var canvas = setting.canvas();
        return setting.request().image() != null
                ? List.of()
                : List.of(Direct.whole(setting, canvas.y().patch(), canvas.x().patch(), "phase1"));
    }

    @Override
    public Upscaling upscaling(Setting setting) {
        var canvas = setting.canvas();
        List<Manifest.Upscaler> available = setting.manifest().upscalers();
        if (setting.scale() > 1 && available.isEmpty()) {
            throw new BadRequestException(
                    "the bundle \""
                            + setting.manifest().name()
                            + "\" has no upscalers in its manifest, which superres needs for a"
                            + " picture beyond native size: add one with"
                            + " asg4j-export upscaler WEIGHTS --into BUNDLE");
        }
        return Upscaling.of(
                canvas.y().patch() * canvas.y().factor(),
                canvas.x().patch() * canvas.x().factor(),
                setting.scale(),
                available);
    }

    @Override
    public GuideOptions.PatchAspect aspect(GenerationRequest request) {
        return GuideOptions.PatchAspect.PICTURE;
    }

    @Override
    public boolean enlargesPicture() {
        return true;
    }

    @Override
    public boolean noisesPicture() {
        return false;
    }
}
