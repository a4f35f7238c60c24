// SPDX-License-Identifier: Apache-2.0
// sum [views, h, w], map [views, map_height, map_width]: sets (first != 0) or adds the map, resized bilinearly with
// half-pixel centres (§5). The grid's y axis runs over the views.
#include "asg_device.cuh"

template <typename T>
ASG_FN void add_map(float* sum, const T* __restrict__ map, int views, int h, int w, int map_height, int map_width,
                    int first) {
    const float ratio_y = (float)map_height / (float)h;
    const float ratio_x = (float)map_width / (float)w;
    const asg_i64 area = (asg_i64)h * w;
    const bool packs = asg_aligned(sum) && w % 4 == 0;
    for (asg_i64 view = blockIdx.y; view < views; view += gridDim.y) {
        const T* plane = map + view * map_height * map_width;
        float* out = sum + view * area;
        asg_for_each<4>(area, packs, [&](auto n, asg_i64 i) {
            constexpr int N = decltype(n)::value;
            const int y = (int)(i / w), x = (int)(i % w);  // a pack stays in one row
            const asg_tap ty = asg_tap_of(y, ratio_y, map_height);
            const T* row0 = plane + (asg_i64)ty.i0 * map_width;
            const T* row1 = plane + (asg_i64)ty.i1 * map_width;
            float before[N], v[N];
            if (!first) {
                asg_read(before, out + i);
            }
            for (int k = 0; k < N; ++k) {
                const asg_tap tx = asg_tap_of(x + k, ratio_x, map_width);
                v[k] = asg_bilinear(asg_to_float(row0[tx.i0]), asg_to_float(row0[tx.i1]), asg_to_float(row1[tx.i0]),
                                    asg_to_float(row1[tx.i1]), ty.f, tx.f);
                v[k] = first ? v[k] : before[k] + v[k];
            }
            asg_write(out + i, v);
        });
    }
}

ASG_KERNEL asg_add_map_f32(float* sum, const float* map, int views, int h, int w, int map_height, int map_width,
                           int first) {
    add_map(sum, map, views, h, w, map_height, map_width, first);
}

ASG_KERNEL asg_add_map_f16(float* sum, const asg_half* map, int views, int h, int w, int map_height, int map_width,
                           int first) {
    add_map(sum, map, views, h, w, map_height, map_width, first);
}
