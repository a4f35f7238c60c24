// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.PatchReport;
import io.github.asg4j.PreviewImage;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.denoise.PatchRun;
import io.github.asg4j.schedule.Level;
import io.github.asg4j.schedule.Schedule;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** What a listener is told of stage 1 once it has ended: copies on the heap. */
public final class PatchReports {
    private PatchReports() {}

    /** The key patch's maps of every step; empty without maps or without a real prompt token. */
    public static List<AttentionReport> attention(PatchRun run, Manifest manifest, Memory memory) {
        List<AttentionReport> reports = new ArrayList<>();
        List<Manifest.Mask> blocks = manifest.denoiser().masks();
        for (int k = 0; k < run.attention().length; k++) {
            List<AttentionReport.Map> maps = new ArrayList<>();
            for (int b = 0; b < blocks.size(); b++) {
                maps.add(
                        AttentionReport.Map.copyOf(
                                blocks.get(b).block(),
                                run.mapHeight(b),
                                run.mapWidth(b),
                                run.attention()[k][b].read(memory)));
            }
            Stage stage = run.stage();
            AttentionReport.Map mask =
                    AttentionReport.Map.copyOf(
                            "mask",
                            stage.viewHeight(),
                            stage.viewWidth(),
                            run.masks()[k].read(memory));
            reports.add(new AttentionReport(stage.firstStep() + k, maps, mask));
        }
        return reports;
    }

    public static PatchReport patches(
            PatchRun run,
            Canvas canvas,
            Schedule schedule,
            MemorySegment clean,
            List<PreviewImage> pictures,
            Memory memory) {
        Level after = schedule.levels().get(run.stage().firstStep() + run.stage().steps());
        return PatchReport.copyOf(
                canvas.channels(),
                canvas.y().patch(),
                canvas.x().patch(),
                run.switched().read(memory),
                clean,
                (float) after.alpha(),
                (float) after.sigma(),
                pictures);
    }
}
