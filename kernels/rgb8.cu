// SPDX-License-Identifier: Apache-2.0
// out uint8 [out_height, out_width, 3], image [3, height, width]; the crop at (top, left) is wholly inside (§8). Four
// pixels, 12 bytes, to a thread where rows of the result start on multiples of 4.
#include "asg_device.cuh"

ASG_KERNEL asg_rgb8_f32(asg_u8* out, const float* __restrict__ image, int height, int width, int top, int left,
                        int out_height, int out_width) {
    const asg_i64 area = (asg_i64)height * width;
    const bool packs = (reinterpret_cast<asg_u64>(out) & 3) == 0 && out_width % 4 == 0;
    asg_for_each<4>((asg_i64)out_height * out_width, packs, [&](auto n, asg_i64 i) {
        constexpr int N = decltype(n)::value;
        const asg_i64 y = i / out_width, x = i % out_width;  // a pack stays in one row
        const float* red = image + (top + y) * width + left + x;
        asg_u8 bytes[3 * N];
        for (int k = 0; k < N; ++k) {
            for (int c = 0; c < 3; ++c) {
                bytes[3 * k + c] = asg_byte(red[c * area + k]);
            }
        }
        asg_u8* to = out + 3 * i;
        if constexpr (N == 4) {
            for (int word = 0; word < 3; ++word) {
                asg_u32 v = 0;
                for (int b = 0; b < 4; ++b) {
                    v |= (asg_u32)bytes[4 * word + b] << (8 * b);
                }
                reinterpret_cast<asg_u32*>(to)[word] = v;
            }
        } else {
            for (int b = 0; b < 3 * N; ++b) {
                to[b] = bytes[b];
            }
        }
    });
}
