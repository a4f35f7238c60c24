// SPDX-License-Identifier: Apache-2.0
// out, in [planes, h, w], weights [taps], taps odd: one pass of the separable blur, along y or along x; cells outside
// read 0 (§9). The whole blur is a pass along x into a work tensor and one along y out of it.
#include "asg_device.cuh"

ASG_KERNEL asg_blur_f32(float* out, const float* __restrict__ in, const float* __restrict__ weights, asg_i64 planes,
                        int h, int w, int taps, int along_y) {
    asg_for_each<1>(planes * h * w, false, [&](auto, asg_i64 i) {
        const asg_i64 x = i % w, row = i / w;
        const asg_i64 y = row % h;
        out[i] = along_y ? asg_blurred(in + (i - y * w), w, y, h, weights, taps)
                         : asg_blurred(in + row * w, 1, x, w, weights, taps);
    });
}
