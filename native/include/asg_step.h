// SPDX-License-Identifier: Apache-2.0
// One row of a schedule as the kernels read it (SPEC.md §2, §4). Plain C without includes: NVRTC compiles it too.
#ifndef ASG_STEP_H
#define ASG_STEP_H

// 64 bytes; io.github.asg4j.kernel.StepRow writes it.
typedef struct asg_step {
    float timestep;
    float alpha;      // x = alpha * x0 + sigma * noise
    float sigma;
    float in_scale;   // network input = in_scale * x
    float pred_m;     // noise estimate e = pred_m * m + pred_x * x
    float pred_x;
    float step_x;     // x' = step_x * x + step_e * e (+ step_past[j] * D_j) (+ step_n * n)
    float step_e;
    float step_n;
    float inv_alpha;  // 1 / alpha; of a flow, whose estimate is of the velocity, 1
    float kappa;      // alpha / sigma; of a flow 1 / sigma
    float step_past[3];  // of the clean latents D_j predicted j + 1 steps before, or of their estimates
    float keep_e;        // not 0: what a later step takes for D_0 is the estimate e itself
    float reserved;
} asg_step;

#endif
