// SPDX-License-Identifier: Apache-2.0
// One pass of the resampling by tables, along y or along x (§9): out [planes, out_height, out_width], in [planes,
// in_height, in_width], which differ along that axis alone; index, weight [extent of that axis of out, taps]. The whole
// is a pass along x into a work tensor and one along y out of it.
#include "asg_device.cuh"

ASG_KERNEL asg_resample_f32(float* out, const float* __restrict__ in, const int* __restrict__ index,
                            const float* __restrict__ weight, int planes, int in_height, int in_width, int out_height,
                            int out_width, int taps, int along_y) {
    asg_for_each<1>((asg_i64)planes * out_height * out_width, false, [&](auto, asg_i64 i) {
        const asg_i64 x = i % out_width, row = i / out_width;
        const asg_i64 y = row % out_height, plane = row / out_height;
        const asg_i64 cell = along_y ? y : x;
        const float* line = in + plane * in_height * in_width + (along_y ? x : y * in_width);
        out[i] = asg_resampled(line, along_y ? in_width : 1, along_y ? in_height : in_width, index + cell * taps,
                               weight + cell * taps, taps);
    });
}
