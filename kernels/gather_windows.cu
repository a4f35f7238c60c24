// SPDX-License-Identifier: Apache-2.0
// out [copies, views, channels, h, w], canvas [channels, canvas_height, canvas_width], starts [views, 2] (top, left; any
// value): scale * cell, 0 outside the canvas (§6). The grid's y axis runs over the planes of a copy. Windows start at any
// column, so cells are read one by one (neighbouring threads, neighbouring cells) and written in packs.
#include "asg_device.cuh"

ASG_KERNEL asg_gather_windows_f32(float* out, const float* __restrict__ canvas, const int* __restrict__ starts,
                                  int channels, int canvas_height, int canvas_width, int views, int h, int w,
                                  int copies, float scale) {
    const bool packs = asg_aligned(out) && w % 4 == 0;
    const asg_i64 area = (asg_i64)h * w;
    const asg_i64 planes = (asg_i64)views * channels;
    for (asg_i64 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const asg_i64 view = plane / channels;
        const asg_i64 top = starts[2 * view], left = starts[2 * view + 1];
        const float* source = canvas + (plane - view * channels) * canvas_height * canvas_width;
        asg_for_each<4>(area, packs, [&](auto n, asg_i64 i) {
            const asg_i64 y = top + i / w, x = left + i % w;  // a pack stays in one row
            const bool row_inside = y >= 0 && y < canvas_height;
            float v[decltype(n)::value];
            for (int k = 0; k < decltype(n)::value; ++k) {
                const bool inside = row_inside && x + k >= 0 && x + k < canvas_width;
                v[k] = inside ? source[y * canvas_width + x + k] * scale : 0.0f;
            }
            for (int copy = 0; copy < copies; ++copy) {
                asg_write(out + (copy * planes + plane) * area + i, v);
            }
        });
    }
}
