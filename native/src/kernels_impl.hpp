// SPDX-License-Identifier: Apache-2.0
// The loops of all kernels, compiled once per instruction set: the including file defines ASG_TABLE, the name of its
// table. Everything else has internal linkage and no template of the standard library is used: functions of the same
// name compiled for different instruction sets must not be merged by the linker.
//
// Plain loops over rows that the compiler vectorises. ASG_INDEPENDENT states that iterations do not depend on each
// other; that is true of separate buffers and of one buffer updated in place, where `restrict` would be a lie.

#include <string.h>

#include "../../kernels/include/asg_math.cuh"
#include "kernels.hpp"

#if defined(__clang__)
#define ASG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"  // a loop that stays scalar is no error
#else
#define ASG_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace asg {
namespace {

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

void normal(float* out, int64_t count, uint64_t seed, uint64_t first_element, uint32_t step, uint32_t purpose,
            float scale) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = scale * asg_normal(seed, first_element + (uint64_t)i, step, purpose);
    }
}

void scaled_row(float* out, const float* in, int64_t count, float scale) {
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        out[i] = in[i] * scale;
    }
}

const int64_t POSITIONS = 64;  // of a plane at a time: bytes of a vector

// What asg_permutation gives for POSITIONS positions from q on: p[slot][i]. Words and exchanges are computed for all of
// them at once; an exchange compares every slot with the one that is drawn, since vectors cannot be indexed by vectors.
void permutations(asg_u8 (*p)[POSITIONS], int patches, uint64_t seed, uint64_t q, int step) {
    for (int slot = 0; slot < patches; ++slot) {
        memset(p[slot], slot, (size_t)POSITIONS);
    }
    if (step < 0) {
        return;
    }
    const uint64_t blocks = (uint64_t)((patches + 2) / 4);
    asg_u32 words[4][POSITIONS];
    int slot = patches - 1;
    for (uint64_t block = 0; slot > 0; ++block) {
        for (int64_t i = 0; i < POSITIONS; ++i) {
            const uint64_t element = (q + (uint64_t)i) * blocks + block;
            const asg_words r = asg_random(seed, element, (asg_u32)step, ASG_PERMUTATION);
            words[0][i] = r.r0;
            words[1][i] = r.r1;
            words[2][i] = r.r2;
            words[3][i] = r.r3;
        }
        for (int d = 0; d < 4 && slot > 0; ++d, --slot) {
            asg_u8 drawn[POSITIONS], last[POSITIONS], found[POSITIONS];
            for (int64_t i = 0; i < POSITIONS; ++i) {
                drawn[i] = (asg_u8)asg_mulhi(words[d][i], (asg_u32)slot + 1);
                last[i] = found[i] = p[slot][i];
            }
            for (int other = 0; other < slot; ++other) {
                asg_u8* const there = p[other];
                ASG_INDEPENDENT
                for (int64_t i = 0; i < POSITIONS; ++i) {
                    const asg_u8 hit = drawn[i] == (asg_u8)other ? 0xFF : 0;
                    found[i] = (asg_u8)((found[i] & ~hit) | (there[i] & hit));
                    there[i] = (asg_u8)((there[i] & ~hit) | (last[i] & hit));
                }
            }
            memcpy(p[slot], found, (size_t)POSITIONS);
        }
    }
}

void interact(float* out, float* sample, const float* in, int64_t first_slot, int64_t slots, int patches,
              int64_t plane, uint64_t seed, int from_step, int to_step, int64_t copies, float scale) {
    const int64_t samples = sample ? copies : 0;
    asg_u8 from[ASG_MAX_PATCHES][POSITIONS], to[ASG_MAX_PATCHES][POSITIONS];
    for (int64_t q = 0; q < plane; q += POSITIONS) {
        const int64_t n = least(POSITIONS, plane - q);
        permutations(from, patches, seed, (uint64_t)q, from_step);
        permutations(to, patches, seed, (uint64_t)q, to_step);
        for (int64_t slot = 0; slot < slots; ++slot) {
            asg_u8 source[POSITIONS] = {};
            for (int other = 0; other < patches; ++other) {
                ASG_INDEPENDENT
                for (int64_t i = 0; i < POSITIONS; ++i) {
                    source[i] = from[other][i] == to[first_slot + slot][i] ? (asg_u8)other : source[i];
                }
            }
            float* row = out + slot * plane + q;
            for (int64_t i = 0; i < n; ++i) {
                row[i] = in[source[i] * plane + q + i];
            }
            for (int64_t copy = 0; copy < samples; ++copy) {
                scaled_row(sample + (copy * slots + slot) * plane + q, row, n, scale);
            }
        }
    }
}

void model_input(float* out, const float* in, int64_t count, int64_t copies, float scale) {
    const int64_t block = 4096;  // stays in the first-level cache for all copies
    for (int64_t start = 0; start < count; start += block) {
        int64_t n = least(block, count - start);
        for (int64_t copy = 0; copy < copies; ++copy) {
            scaled_row(out + copy * count + start, in + start, n, scale);
        }
    }
}

void gather_windows(float* out, const float* canvas, const int32_t* starts, int64_t channels, int64_t canvas_height,
                    int64_t canvas_width, int64_t views, int64_t h, int64_t w, int64_t copies, float scale) {
    const int64_t copy_size = views * channels * h * w;
    for (int64_t view = 0; view < views; ++view) {
        const int64_t top = starts[2 * view], left = starts[2 * view + 1];
        const int64_t begin = least(w, most(0, -left));  // columns begin .. end - 1 are inside the canvas
        const int64_t end = most(begin, least(w, canvas_width - left));
        for (int64_t c = 0; c < channels; ++c) {
            for (int64_t y = 0; y < h; ++y) {
                float* row = out + ((view * channels + c) * h + y) * w;
                const int64_t canvas_y = top + y;
                const bool inside = canvas_y >= 0 && canvas_y < canvas_height && begin < end;
                const float* source = inside ? canvas + (c * canvas_height + canvas_y) * canvas_width + left + begin
                                             : canvas;
                for (int64_t copy = 0; copy < copies; ++copy, row += copy_size) {
                    if (!inside) {
                        memset(row, 0, (size_t)w * sizeof(float));
                        continue;
                    }
                    memset(row, 0, (size_t)begin * sizeof(float));
                    scaled_row(row + begin, source, end - begin, scale);
                    memset(row + end, 0, (size_t)(w - end) * sizeof(float));
                }
            }
        }
    }
}

int64_t first_non_finite(const float* data, int64_t count) {
    const int64_t block = 1024;  // searched only when the count of its non-finite values is not 0
    for (int64_t start = 0; start < count; start += block) {
        const int64_t end = least(count, start + block);
        int32_t found = 0;
        for (int64_t i = start; i < end; ++i) {
            found += asg_finite(data[i]) ? 0 : 1;
        }
        for (int64_t i = start; found != 0 && i < end; ++i) {
            if (!asg_finite(data[i])) {
                return i;
            }
        }
    }
    return count;
}

// Lowers *found, unless it is null, to the first of elements at .. at + count - 1 of which uncond (or null) or cond is not
// finite. There is none unless `seen` says so, the disjunction of asg_non_finite of what was made of them.
void search(int64_t* found, asg_u32 seen, const float* uncond, const float* cond, int64_t at, int64_t count) {
    if (!found || !(seen >> 31)) {
        return;
    }
    int64_t i = first_non_finite(cond + at, count);
    i = uncond ? least(i, first_non_finite(uncond + at, count)) : i;
    *found = i < count ? least(*found, at + i) : *found;
}

// Returns what search() wants to have seen, as key_row and combine_row do.
template <bool CFG, int SPACE, bool MASK, bool NOISE>
asg_u32 step_row(float* out, const float* x, const float* uncond, const float* cond, const float* guide,
                 const float* mask, const float* noise, const asg_step s, int64_t area, float guidance_scale,
                 float weight) {
    asg_u32 seen = 0;
    ASG_INDEPENDENT
    for (int64_t i = 0; i < area; ++i) {
        float m = CFG ? asg_guided(uncond[i], cond[i], guidance_scale) : cond[i];
        float e = asg_noise_of(s, m, x[i]);
        if (SPACE != ASG_GUIDE_NONE) {
            float wm = MASK ? weight * mask[i] : weight;
            e = SPACE == ASG_GUIDE_NOISE ? asg_pull_noise(e, guide[i], wm)
                                         : asg_pull_latent(s, e, x[i], guide[i], wm);
        }
        float next = asg_next(s, e, x[i]);
        next = NOISE ? next + s.step_n * noise[i] : next;
        seen |= asg_non_finite(next);
        out[i] = next;
    }
    return seen;
}

using StepRow = asg_u32 (*)(float*, const float*, const float*, const float*, const float*, const float*,
                            const float*, asg_step, int64_t, float, float);

template <bool CFG, int SPACE>
StepRow choose_step_row(bool mask, bool noise) {
    return mask ? (noise ? step_row<CFG, SPACE, true, true> : step_row<CFG, SPACE, true, false>)
                : (noise ? step_row<CFG, SPACE, false, true> : step_row<CFG, SPACE, false, false>);
}

template <bool CFG>
StepRow choose_step_row(int space, bool mask, bool noise) {
    switch (space) {
        case ASG_GUIDE_NOISE:
            return choose_step_row<CFG, ASG_GUIDE_NOISE>(mask, noise);
        case ASG_GUIDE_LATENT:
            return choose_step_row<CFG, ASG_GUIDE_LATENT>(mask, noise);
        default:
            return choose_step_row<CFG, ASG_GUIDE_NONE>(false, noise);
    }
}

// The key patch: not guided; its guide is a second output.
template <bool CFG, int SPACE, bool NOISE>
asg_u32 key_row(float* out, float* guide_out, const float* x, const float* uncond, const float* cond,
                const float* noise, const asg_step s, int64_t area, float guidance_scale) {
    asg_u32 seen = 0;
    ASG_INDEPENDENT
    for (int64_t i = 0; i < area; ++i) {
        float m = CFG ? asg_guided(uncond[i], cond[i], guidance_scale) : cond[i];
        float e = asg_noise_of(s, m, x[i]);
        guide_out[i] = SPACE == ASG_GUIDE_NOISE ? e : asg_clean_of(s, e, x[i]);
        float next = asg_next(s, e, x[i]);
        next = NOISE ? next + s.step_n * noise[i] : next;
        seen |= asg_non_finite(next);
        out[i] = next;
    }
    return seen;
}

using KeyRow = asg_u32 (*)(float*, float*, const float*, const float*, const float*, const float*, asg_step, int64_t,
                           float);

template <bool CFG>
KeyRow choose_key_row(int space, bool noise) {
    return space == ASG_GUIDE_NOISE ? (noise ? key_row<CFG, ASG_GUIDE_NOISE, true> : key_row<CFG, ASG_GUIDE_NOISE, false>)
                                    : (noise ? key_row<CFG, ASG_GUIDE_LATENT, true>
                                             : key_row<CFG, ASG_GUIDE_LATENT, false>);
}

bool remembers(const History& history, const asg_step& s) {
    return history.clean || s.step_past[0] != 0.0f || s.step_past[1] != 0.0f || s.step_past[2] != 0.0f;
}

History from(const History& h, int64_t at) {
    return {h.clean ? h.clean + at : nullptr,
            {h.past[0] ? h.past[0] + at : nullptr, h.past[1] ? h.past[1] + at : nullptr,
             h.past[2] ? h.past[2] + at : nullptr}};
}

const int64_t HISTORY_BLOCK = 512;  // cells of a row at a time; their estimates stay in the first-level cache

// The step of n <= HISTORY_BLOCK cells from their final estimates e, with past predictions; noise or null.
asg_u32 history_step(float* out, const float* x, const float* e, const float* noise, const History& history,
                     const asg_step s, int64_t n) {
    if (history.clean) {
        ASG_INDEPENDENT
        for (int64_t i = 0; i < n; ++i) {
            history.clean[i] = asg_kept_of(s, e[i], x[i]);
        }
    }
    ASG_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        out[i] = asg_next(s, e[i], x[i]);
    }
    for (int j = 0; j < 3; ++j) {
        const float* past = history.past[j];
        const float weight = s.step_past[j];
        if (weight != 0.0f) {
            ASG_INDEPENDENT
            for (int64_t i = 0; i < n; ++i) {
                out[i] = out[i] + weight * past[i];
            }
        }
    }
    if (noise && s.step_n != 0.0f) {
        ASG_INDEPENDENT
        for (int64_t i = 0; i < n; ++i) {
            out[i] = out[i] + s.step_n * noise[i];
        }
    }
    asg_u32 seen = 0;
    for (int64_t i = 0; i < n; ++i) {
        seen |= asg_non_finite(out[i]);
    }
    return seen;
}

// A row of a step with a history: a pass for each term over blocks of cells. Of the key patch, which is not guided,
// guide_out (or null) receives the guide.
asg_u32 history_row(float* out, float* guide_out, const float* x, const float* uncond, const float* cond,
                    const float* guide, const float* mask, const float* noise, const History& history,
                    const asg_step s, int64_t area, float guidance_scale, float weight, bool key, int space) {
    asg_u32 seen = 0;
    alignas(64) float e[HISTORY_BLOCK];
    for (int64_t start = 0; start < area; start += HISTORY_BLOCK) {
        const int64_t n = least(HISTORY_BLOCK, area - start);
        const float* xs = x + start;
        const float* cs = cond + start;
        if (uncond) {
            const float* us = uncond + start;
            for (int64_t i = 0; i < n; ++i) {
                e[i] = asg_noise_of(s, asg_guided(us[i], cs[i], guidance_scale), xs[i]);
            }
        } else {
            for (int64_t i = 0; i < n; ++i) {
                e[i] = asg_noise_of(s, cs[i], xs[i]);
            }
        }
        for (int64_t i = 0; guide_out && i < n; ++i) {
            guide_out[start + i] = space == ASG_GUIDE_NOISE ? e[i] : asg_clean_of(s, e[i], xs[i]);
        }
        for (int64_t i = 0; !key && space != ASG_GUIDE_NONE && i < n; ++i) {
            const float wm = mask ? weight * mask[start + i] : weight;
            e[i] = space == ASG_GUIDE_NOISE ? asg_pull_noise(e[i], guide[start + i], wm)
                                            : asg_pull_latent(s, e[i], xs[i], guide[start + i], wm);
        }
        seen |= history_step(out + start, xs, e, noise ? noise + start : nullptr, from(history, start), s, n);
    }
    return seen;
}

// View by view in ascending order, so that guide may be guide_out.
void guided_step(float* out, float* guide_out, int64_t* found, const float* x, const float* uncond, const float* cond,
                 const float* guide, const float* mask, const float* noise, const History& history,
                 const asg_step* step, int64_t views, int64_t channels, int64_t area, bool keyed, bool guide_per_view,
                 bool mask_per_view, float guidance_scale, float weight, int space) {
    const bool add_noise = noise && step->step_n != 0.0f;
    const bool with_history = remembers(history, *step);
    const KeyRow key = uncond ? choose_key_row<true>(space, add_noise) : choose_key_row<false>(space, add_noise);
    const StepRow plain = uncond ? choose_step_row<true>(ASG_GUIDE_NONE, false, add_noise)
                                 : choose_step_row<false>(ASG_GUIDE_NONE, false, add_noise);
    const StepRow guided = uncond ? choose_step_row<true>(space, mask, add_noise)
                                  : choose_step_row<false>(space, mask, add_noise);
    for (int64_t view = 0; view < views; ++view) {
        const bool is_key = keyed && view == 0;
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t at = (view * channels + c) * area;
            const float* u = uncond ? uncond + at : nullptr;
            const float* n = noise ? noise + at : nullptr;
            const float* const g = guide ? guide + (guide_per_view ? at : c * area) : nullptr;
            const float* const wm = mask && mask_per_view ? mask + view * area : mask;
            float* const own_guide = is_key && guide_out ? guide_out + c * area : nullptr;
            asg_u32 seen;
            if (with_history) {
                seen = history_row(out + at, own_guide, x + at, u, cond + at, g, wm, n, from(history, at), *step,
                                   area, guidance_scale, weight, is_key, space);
            } else if (own_guide) {
                seen = key(out + at, own_guide, x + at, u, cond + at, n, *step, area, guidance_scale);
            } else {
                const StepRow row = is_key ? plain : guided;
                seen = row(out + at, x + at, u, cond + at, g, wm, n, *step, area, guidance_scale, weight);
            }
            search(found, seen, uncond, cond, at, area);
        }
    }
}

template <bool CFG>
asg_u32 combine_row(float* out, const float* uncond, const float* cond, int64_t count, float guidance_scale) {
    asg_u32 seen = 0;
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float m = CFG ? asg_guided(uncond[i], cond[i], guidance_scale) : cond[i];
        seen |= asg_non_finite(m);
        out[i] = m;
    }
    return seen;
}

void combine(float* out, int64_t* found, const float* uncond, const float* cond, int64_t count, float guidance_scale) {
    const asg_u32 seen = uncond ? combine_row<true>(out, uncond, cond, count, guidance_scale)
                                : combine_row<false>(out, nullptr, cond, count, guidance_scale);
    search(found, seen, uncond, cond, 0, count);
}

const int64_t MAP_BLOCK = 512;  // columns of a map at a time

// Columns of a resized map: where each falls, and up to two rows of the map resized along x.
struct MapColumns {
    int32_t i0[MAP_BLOCK], i1[MAP_BLOCK];
    float f[MAP_BLOCK];
    alignas(64) float rows[2][MAP_BLOCK];
    int64_t row_of[2];  // which row of the map; -1: none

    // Row `row` at `plane`, resized along x; stays until the row after next is asked for.
    const float* row(const float* plane, int64_t row, int map_width, int64_t n) {
        float* out = rows[row & 1];
        if (row_of[row & 1] != row) {
            row_of[row & 1] = row;
            const float* in = plane + row * map_width;
            for (int64_t i = 0; i < n; ++i) {
                out[i] = asg_linear(in[i0[i]], in[i1[i]], f[i]);
            }
        }
        return out;
    }
};

template <bool FIRST>
void map_row(float* out, const float* top, const float* bottom, float f, int64_t n) {
    ASG_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        const float v = asg_linear(top[i], bottom[i], f);
        out[i] = FIRST ? v : out[i] + v;
    }
}

// Rows of the map are resized along x once and serve all rows of the mask between them.
void add_map(float* sum, const float* map, int64_t views, int h, int w, int map_height, int map_width, bool first) {
    const float ratio_y = (float)map_height / (float)h;
    const float ratio_x = (float)map_width / (float)w;
    MapColumns columns;
    for (int64_t start = 0; start < w; start += MAP_BLOCK) {
        const int64_t n = least(MAP_BLOCK, w - start);
        for (int64_t i = 0; i < n; ++i) {
            const asg_tap tx = asg_tap_of((int)(start + i), ratio_x, map_width);
            columns.i0[i] = tx.i0;
            columns.i1[i] = tx.i1;
            columns.f[i] = tx.f;
        }
        for (int64_t view = 0; view < views; ++view) {
            const float* plane = map + view * map_height * map_width;
            columns.row_of[0] = columns.row_of[1] = -1;
            for (int y = 0; y < h; ++y) {
                const asg_tap ty = asg_tap_of(y, ratio_y, map_height);
                const float* top = columns.row(plane, ty.i0, map_width, n);
                const float* bottom = columns.row(plane, ty.i1, map_width, n);
                float* out = sum + (view * h + y) * w + start;
                if (first) {
                    map_row<true>(out, top, bottom, ty.f, n);
                } else {
                    map_row<false>(out, top, bottom, ty.f, n);
                }
            }
        }
    }
}

// Sum of term(v[i]) in float64: 256 partial sums, partial t of i = t, t + 256, ..., then a tree over them.
template <typename Term>
double tree_sum(const float* v, int64_t count, Term term) {
    double partial[256] = {0.0};
    for (int64_t start = 0; start < count; start += 256) {
        const int64_t n = least(256, count - start);
        for (int64_t t = 0; t < n; ++t) {
            partial[t] += term((double)v[start + t]);
        }
    }
    for (int half = 128; half > 0; half /= 2) {
        for (int t = 0; t < half; ++t) {
            partial[t] += partial[t + half];
        }
    }
    return partial[0];
}

double mean_of(const float* v, int64_t count) {
    return tree_sum(v, count, [](double value) { return value; }) / (double)count;
}

// Scales, and gives the smallest and the largest of the scaled values; as many chains of comparisons as fill vectors.
void scaled_range(float* v, int64_t count, float scale, float& low, float& high) {
    const int64_t lanes = 64;
    alignas(64) float lows[lanes], highs[lanes];
    for (int64_t t = 0; t < lanes; ++t) {
        lows[t] = highs[t] = v[0] * scale;
    }
    for (int64_t start = 0; start < count; start += lanes) {
        const int64_t n = least(lanes, count - start);
        for (int64_t t = 0; t < n; ++t) {
            const float scaled = v[start + t] * scale;  // * 1 is exact
            v[start + t] = scaled;
            lows[t] = scaled < lows[t] ? scaled : lows[t];
            highs[t] = scaled > highs[t] ? scaled : highs[t];
        }
    }
    low = lows[0];
    high = highs[0];
    for (int64_t t = 1; t < lanes; ++t) {
        low = lows[t] < low ? lows[t] : low;
        high = highs[t] > high ? highs[t] : high;
    }
}

void normalise_plane(float* v, int64_t area, float block_scale, int norm) {
    float low, high;
    scaled_range(v, area, block_scale, low, high);
    if ((norm == ASG_NORM_MAX ? high : high - low) < 1e-8f) {
        for (int64_t i = 0; i < area; ++i) {
            v[i] = 1.0f;
        }
        return;
    }
    switch (norm) {
        case ASG_NORM_MINMAX: {
            const float factor = 1.0f / (high - low);
            for (int64_t i = 0; i < area; ++i) {
                v[i] = (v[i] - low) * factor;
            }
            break;
        }
        case ASG_NORM_MAX: {
            const float factor = 1.0f / high;
            for (int64_t i = 0; i < area; ++i) {
                v[i] = v[i] * factor;
            }
            break;
        }
        default: {
            const float mean = (float)mean_of(v, area);
            for (int64_t i = 0; i < area; ++i) {
                v[i] = v[i] >= mean ? 1.0f : 0.0f;
            }
        }
    }
}

void normalise_mask(float* mask, int64_t views, int64_t area, int blocks, int norm) {
    const float block_scale = 1.0f / (float)blocks;
    for (int64_t view = 0; view < views; ++view) {
        normalise_plane(mask + view * area, area, block_scale, norm);
    }
}

// A row of the canvas out of the rows of `grid_width` patches, or these out of it; a grid width known to the compiler
// makes it shuffle vectors.
template <bool TO_CANVAS, int GRID_WIDTH>
void grid_row(float* canvas, float* patches, int64_t grid_width, int64_t patch_size, int64_t w) {
    const int64_t width = GRID_WIDTH ? GRID_WIDTH : grid_width;
    ASG_INDEPENDENT
    for (int64_t x = 0; x < w; ++x) {
        for (int64_t b = 0; b < width; ++b) {
            float& cell = canvas[x * width + b];
            float& of_patch = patches[b * patch_size + x];
            (TO_CANVAS ? cell : of_patch) = TO_CANVAS ? of_patch : cell;
        }
    }
}

template <bool TO_CANVAS>
void grid(float* canvas, float* patches, int64_t channels, int64_t grid_height, int64_t grid_width, int64_t h,
          int64_t w) {
    const auto row = grid_width == 2   ? grid_row<TO_CANVAS, 2>
                     : grid_width == 3 ? grid_row<TO_CANVAS, 3>
                     : grid_width == 4 ? grid_row<TO_CANVAS, 4>
                                       : grid_row<TO_CANVAS, 0>;
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t y = 0; y < h; ++y) {
            for (int64_t a = 0; a < grid_height; ++a) {
                const int64_t canvas_row = (c * h + y) * grid_height + a;
                const int64_t patch_row = (a * grid_width * channels + c) * h + y;
                row(canvas + canvas_row * grid_width * w, patches + patch_row * w, grid_width, channels * h * w, w);
            }
        }
    }
}

void relocate(float* canvas, const float* patches, int64_t channels, int64_t grid_height, int64_t grid_width,
              int64_t h, int64_t w) {
    grid<true>(canvas, const_cast<float*>(patches), channels, grid_height, grid_width, h, w);
}

void cut(float* patches, const float* canvas, int64_t channels, int64_t grid_height, int64_t grid_width, int64_t h,
         int64_t w) {
    grid<false>(const_cast<float*>(canvas), patches, channels, grid_height, grid_width, h, w);
}

const int64_t WINDOW_BLOCK = 512;  // cells of a row at a time; the partial sums stay in the first-level cache

template <bool NOISE>
void window_finish(float* out, const float* x, const float* noise, const float* sum, const float* total,
                   const asg_step s, int64_t n) {
    ASG_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        float e = asg_noise_of(s, sum[i] / total[i], x[i]);
        float next = asg_next(s, e, x[i]);
        out[i] = NOISE ? next + s.step_n * noise[i] : next;
    }
}

// The same with a history; sum becomes the estimates.
void window_finish(float* out, const float* x, const float* noise, float* sum, const float* total,
                   const History& history, const asg_step s, int64_t n) {
    static_assert(WINDOW_BLOCK <= HISTORY_BLOCK, "a block of a window is one of a history");
    for (int64_t i = 0; i < n; ++i) {
        sum[i] = asg_noise_of(s, sum[i] / total[i], x[i]);
    }
    history_step(out, x, sum, noise, history, s, n);
}

// The part of a window's row that lies in columns block_x .. block_x + n - 1 of canvas row y.
struct Span {
    int64_t window_row;     // row of the window
    int64_t window_column;  // its first column
    int64_t at;             // first column of the block
    int64_t count;          // 0: the window does not meet the block
};

inline Span span_of(const int32_t* start, int64_t h, int64_t w, int64_t y, int64_t block_x, int64_t n) {
    const int64_t top = start[0], left = start[1];
    const int64_t begin = most(left, block_x);
    const int64_t end = least(left + w, block_x + n);
    const bool meets = y >= top && y < top + h && begin < end;
    return {y - top, begin - left, begin - block_x, meets ? end - begin : 0};
}

// Sums start from -0, the neutral element of addition: -0 + v is v for every v, +0 is not. A cell with one window has
// weight 1 and total 1, and m * 1 / 1 is m.
void window_step(float* out, const float* x, const float* windows, const int32_t* starts, const float* weight_y,
                 const float* weight_x, const float* noise, const History& history, const asg_step* step,
                 int64_t channels, int64_t canvas_height, int64_t canvas_width, int64_t first_row, int64_t rows,
                 int64_t views, int64_t h, int64_t w) {
    const asg_step s = *step;
    const bool add_noise = noise && s.step_n != 0.0f;
    const bool with_history = remembers(history, s);
    alignas(64) float covering[WINDOW_BLOCK];  // how many windows; then 1 for several, 0 for one
    alignas(64) float single[WINDOW_BLOCK];    // 1 for one window, else 0
    alignas(64) float total[WINDOW_BLOCK];
    alignas(64) float sum[WINDOW_BLOCK];
    for (int64_t y = first_row; y < first_row + rows; ++y) {
        int64_t first = views, last = -1;  // the views that meet the row are among first .. last
        for (int64_t view = 0; view < views; ++view) {
            if (span_of(starts + 2 * view, h, w, y, 0, canvas_width).count != 0) {
                first = least(first, view);
                last = view;
            }
        }
        for (int64_t block_x = 0; block_x < canvas_width; block_x += WINDOW_BLOCK) {
            const int64_t n = least(WINDOW_BLOCK, canvas_width - block_x);
            for (int64_t i = 0; i < n; ++i) {
                covering[i] = 0.0f;
                total[i] = -0.0f;
            }
            for (int64_t view = first; view <= last; ++view) {
                const Span span = span_of(starts + 2 * view, h, w, y, block_x, n);
                if (span.count == 0) {
                    continue;
                }
                const float row_weight = weight_y[span.window_row];
                const float* column_weight = weight_x + span.window_column;
                ASG_INDEPENDENT
                for (int64_t i = 0; i < span.count; ++i) {
                    covering[span.at + i] += 1.0f;
                    total[span.at + i] += row_weight * column_weight[i];
                }
            }
            for (int64_t i = 0; i < n; ++i) {
                single[i] = covering[i] == 1.0f ? 1.0f : 0.0f;
                covering[i] = 1.0f - single[i];
                total[i] = total[i] * covering[i] + single[i];
            }
            for (int64_t c = 0; c < channels; ++c) {
                for (int64_t i = 0; i < n; ++i) {
                    sum[i] = -0.0f;
                }
                for (int64_t view = first; view <= last; ++view) {
                    const Span span = span_of(starts + 2 * view, h, w, y, block_x, n);
                    if (span.count == 0) {
                        continue;
                    }
                    const float row_weight = weight_y[span.window_row];
                    const float* column_weight = weight_x + span.window_column;
                    const float* m =
                        windows + ((view * channels + c) * h + span.window_row) * w + span.window_column;
                    ASG_INDEPENDENT
                    for (int64_t i = 0; i < span.count; ++i) {
                        float weight = row_weight * column_weight[i];
                        weight = weight * covering[span.at + i] + single[span.at + i];
                        sum[span.at + i] += weight * m[i];
                    }
                }
                const int64_t at = (c * canvas_height + y) * canvas_width + block_x;
                if (with_history) {
                    window_finish(out + at, x + at, noise ? noise + at : nullptr, sum, total, from(history, at), s, n);
                } else if (add_noise) {
                    window_finish<true>(out + at, x + at, noise + at, sum, total, s, n);
                } else {
                    window_finish<false>(out + at, x + at, nullptr, sum, total, s, n);
                }
            }
        }
    }
}

void scale_shift(float* out, const float* in, int64_t count, float scale, float shift) {
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        out[i] = in[i] * scale + shift;
    }
}

void add_tile(float* sum, float* weight_sum, const float* tile, const float* weight_y, const float* weight_x,
              int64_t channels, int64_t height, int64_t width, int64_t top, int64_t left, int64_t tile_height,
              int64_t tile_width) {
    for (int64_t y = 0; y < tile_height; ++y) {
        const int64_t at = (top + y) * width + left;
        const float row_weight = weight_y[y];
        float* weights = weight_sum + at;
        ASG_INDEPENDENT
        for (int64_t i = 0; i < tile_width; ++i) {
            weights[i] += row_weight * weight_x[i];
        }
        for (int64_t c = 0; c < channels; ++c) {
            float* row = sum + c * height * width + at;
            const float* source = tile + (c * tile_height + y) * tile_width;
            ASG_INDEPENDENT
            for (int64_t i = 0; i < tile_width; ++i) {
                float weight = row_weight * weight_x[i];
                row[i] += weight * source[i];
            }
        }
    }
}

void divide_tiles(float* sum, const float* weight_sum, int64_t channels, int64_t area) {
    for (int64_t c = 0; c < channels; ++c) {
        float* row = sum + c * area;
        ASG_INDEPENDENT
        for (int64_t i = 0; i < area; ++i) {
            row[i] = row[i] / weight_sum[i];
        }
    }
}

void rgb8(uint8_t* out, const float* image, int64_t height, int64_t width, int64_t top, int64_t left,
          int64_t out_height, int64_t out_width) {
    for (int64_t y = 0; y < out_height; ++y) {
        const float* red = image + (top + y) * width + left;
        const float* green = red + height * width;
        const float* blue = green + height * width;
        uint8_t* row = out + y * out_width * 3;
        ASG_INDEPENDENT
        for (int64_t i = 0; i < out_width; ++i) {
            row[3 * i] = asg_byte(red[i]);
            row[3 * i + 1] = asg_byte(green[i]);
            row[3 * i + 2] = asg_byte(blue[i]);
        }
    }
}

void blend(float* out, const float* x, const float* y, int64_t count, float a, float b) {
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        out[i] = asg_blend(x[i], y[i], a, b);
    }
}

void moments(double* out, const float* in, int64_t count) {
    const double mean = mean_of(in, count);
    const double squares = tree_sum(in, count, [mean](double value) { return (value - mean) * (value - mean); });
    out[0] = mean;
    out[1] = asg_deviation(squares, count);
}

void match_moments(float* out, const float* in, const double* from, const double* to, int64_t count) {
    const asg_affine f = asg_match(from, to);
    scale_shift(out, in, count, f.scale, f.shift);
}

// sum[i] = weight * v[i], or with a first term before it sum[i] + weight * v[i].
void tap_row(float* sum, const float* v, float weight, bool first, int64_t count) {
    if (first) {
        scaled_row(sum, v, count, weight);
        return;
    }
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        sum[i] = sum[i] + weight * v[i];
    }
}

// The next four terms at once, in their order: the sum is read and written once for all of them.
void tap_rows(float* sum, const float* v, int64_t stride, const float* weights, int64_t count) {
    const float w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3];
    ASG_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        float s = sum[i] + w0 * v[i];
        s = s + w1 * v[i + stride];
        s = s + w2 * v[i + 2 * stride];
        sum[i] = s + w3 * v[i + 3 * stride];
    }
}

// The same for a row of zeros, which is not nothing: -0 + 0 is 0.
void tap_outside(float* sum, float weight, bool first, int64_t count) {
    const float term = weight * 0.0f;
    for (int64_t i = 0; i < count; ++i) {
        sum[i] = first ? term : sum[i] + term;
    }
}

void blur(float* out, float* work, const float* in, const float* weights, int64_t channels, int64_t h, int64_t w,
          int taps) {
    const int64_t reach = taps / 2;
    const int64_t begin = least(reach, w);  // columns begin .. end - 1 have all their taps inside
    const int64_t end = most(begin, w - reach);
    for (int64_t row = 0; row < channels * h; ++row) {
        const float* source = in + row * w;
        float* sum = work + row * w;
        for (int64_t x = 0; x < begin; ++x) {
            sum[x] = asg_blurred(source, 1, x, w, weights, taps);
        }
        for (int tap = 0; tap < taps && begin < end;) {
            const float* v = source + begin + tap - reach;
            if (tap > 0 && tap + 4 <= taps) {
                tap_rows(sum + begin, v, 1, weights + tap, end - begin);
                tap += 4;
            } else {
                tap_row(sum + begin, v, weights[tap], tap == 0, end - begin);
                tap += 1;
            }
        }
        for (int64_t x = end; x < w; ++x) {
            sum[x] = asg_blurred(source, 1, x, w, weights, taps);
        }
    }
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t y = 0; y < h; ++y) {
            float* sum = out + (c * h + y) * w;
            for (int tap = 0; tap < taps;) {
                const int64_t from = y + tap - reach;
                const int64_t at = (c * h + from) * w;
                if (from >= 0 && from + 4 <= h && tap > 0 && tap + 4 <= taps) {
                    tap_rows(sum, work + at, w, weights + tap, w);
                    tap += 4;
                    continue;
                }
                if (from < 0 || from >= h) {
                    tap_outside(sum, weights[tap], tap == 0, w);
                } else {
                    tap_row(sum, work + at, weights[tap], tap == 0, w);
                }
                tap += 1;
            }
        }
    }
}

void resample(float* out, float* work, const float* in, const int32_t* index_y, const float* weight_y,
              const int32_t* index_x, const float* weight_x, int64_t planes, int64_t in_height, int64_t in_width,
              int64_t out_height, int64_t out_width, int taps_y, int taps_x) {
    for (int64_t row = 0; row < planes * in_height; ++row) {
        for (int64_t x = 0; x < out_width; ++x) {
            work[row * out_width + x] =
                asg_resampled(in + row * in_width, 1, in_width, index_x + x * taps_x, weight_x + x * taps_x, taps_x);
        }
    }
    for (int64_t plane = 0; plane < planes; ++plane) {
        for (int64_t y = 0; y < out_height; ++y) {
            float* sum = out + (plane * out_height + y) * out_width;
            for (int tap = 0; tap < taps_y; ++tap) {
                const int64_t from = asg_border(index_y[y * taps_y + tap], in_height);
                tap_row(sum, work + (plane * in_height + from) * out_width, weight_y[y * taps_y + tap], tap == 0,
                        out_width);
            }
        }
    }
}

}  // namespace

extern const Kernels ASG_TABLE = {normal,         interact,    model_input,    gather_windows, guided_step,
                                  combine,        add_map,     normalise_mask, relocate,       cut,
                                  window_step,    scale_shift, add_tile,       divide_tiles,   rgb8,
                                  blend,          moments,     match_moments,  blur,           resample,
                                  first_non_finite};

}  // namespace asg
