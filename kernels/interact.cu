// SPDX-License-Identifier: Apache-2.0
// Pixel interaction (§3). out [slots, plane], in [patches, plane]; a thread works out both permutations of one position
// and moves all of its slots, so neighbouring threads read and write neighbouring cells of each patch.
#include "asg_device.cuh"

ASG_KERNEL asg_interact_f32(float* out, const float* __restrict__ in, int first_slot, int slots, int patches,
                            asg_i64 plane, asg_i64 seed, int from_step, int to_step) {
    asg_for_each<1>(plane, false, [&](auto, asg_i64 q) {
        asg_u8 source[256];
        asg_interaction(source, patches, (asg_u64)seed, (asg_u64)q, from_step, to_step);
        for (int slot = 0; slot < slots; ++slot) {
            out[slot * plane + q] = in[source[first_slot + slot] * plane + q];
        }
    });
}
