// SPDX-License-Identifier: Apache-2.0
// Pixel interaction (§3) and the network's input (§2). out [slots, plane], in [patches, plane], sample [copies, slots,
// plane] or null: scale * out, copies times. A thread works out both permutations of one position and moves all of its
// slots, so neighbouring threads read and write neighbouring cells of each patch.
#include "asg_device.cuh"

ASG_KERNEL asg_interact_f32(float* out, float* sample, const float* __restrict__ in, int first_slot, int slots,
                            int patches, asg_i64 plane, asg_i64 seed, int from_step, int to_step, int copies,
                            float scale) {
    const int samples = sample ? copies : 0;
    asg_for_each<1>(plane, false, [&](auto, asg_i64 q) {
        asg_u8 source[256];
        asg_interaction(source, patches, (asg_u64)seed, (asg_u64)q, from_step, to_step);
        for (int slot = 0; slot < slots; ++slot) {
            const float v = in[source[first_slot + slot] * plane + q];
            out[slot * plane + q] = v;
            for (int copy = 0; copy < samples; ++copy) {
                sample[((asg_i64)copy * slots + slot) * plane + q] = v * scale;
            }
        }
    });
}
