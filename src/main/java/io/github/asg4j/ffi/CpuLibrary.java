// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.Objects;

/**
 * The functions of {@code native/include/asg_cpu.h}, one method each, arguments as there. The
 * caller has checked the size of every segment ({@link Sizes}); a status other than success is an
 * {@link IllegalStateException} that names operation, status and extents. Any number of threads may
 * call; no call allocates. Not {@code critical}: a kernel may run for milliseconds.
 */
public final class CpuLibrary {
    public static final int SCALAR = 0;
    public static final int AVX2 = 1;
    public static final int AVX512 = 2;

    /** ASG_CPU_ABI_VERSION of the header that this class was written for. */
    static final int ABI_VERSION = 7;

    private static final long STATUS_NAME_BYTES = 64;

    /** All functions of the library, or none of them: what a call needs is constant to the JIT. */
    record Functions(
            MethodHandle tierSupported,
            MethodHandle statusName,
            MethodHandle normal,
            MethodHandle interact,
            MethodHandle modelInput,
            MethodHandle gatherWindows,
            MethodHandle guidedStep,
            MethodHandle combine,
            MethodHandle addMap,
            MethodHandle normaliseMask,
            MethodHandle relocate,
            MethodHandle cut,
            MethodHandle windowStep,
            MethodHandle scaleShift,
            MethodHandle addTile,
            MethodHandle divideTiles,
            MethodHandle rgb8,
            MethodHandle blend,
            MethodHandle moments,
            MethodHandle matchMoments,
            MethodHandle blur,
            MethodHandle resample,
            MethodHandle firstNonFinite,
            MethodHandle cudaDevice) {}

    /** How loading went: functions, or the reason why there are none. */
    private record Binding(@Nullable Functions functions, String origin, String failure) {}

    private static final Binding BINDING = load();
    private static final @Nullable Functions FUNCTIONS = BINDING.functions;

    private CpuLibrary() {}

    private static Binding load() {
        try {
            NativeLoader.Library library = NativeLoader.load();
            return new Binding(bind(library.symbols()), library.origin(), "");
        } catch (NativeLoadException e) {
            return new Binding(null, "", reason(e));
        }
    }

    private static String reason(Throwable e) {
        Throwable cause = e.getCause();
        return cause == null ? String.valueOf(e.getMessage()) : e.getMessage() + " [" + cause + "]";
    }

    /** Whether the library is open and complete. */
    public static boolean available() {
        return FUNCTIONS != null;
    }

    /** Why {@link #available()} is false; empty if it is true. */
    public static String failure() {
        return BINDING.failure;
    }

    /** Where the library came from: a path, or "the jar". */
    public static String origin() {
        return BINDING.origin;
    }

    /** Whether this jar was built with the native library: then its absence is a fault. */
    public static boolean built() {
        return NativeLoader.built();
    }

    /**
     * Binds all functions.
     *
     * @throws NativeLoadException if one is missing or the library is of another version
     */
    static Functions bind(SymbolLookup symbols) throws NativeLoadException {
        MethodHandle abiVersion = function(symbols, "asg_abi_version", "i", "");
        int version;
        try {
            version = (int) abiVersion.invokeExact();
        } catch (Throwable e) {
            throw unexpected("asg_abi_version", e);
        }
        if (version != ABI_VERSION) {
            throw new NativeLoadException(
                    "the native library has ABI version "
                            + version
                            + ", this jar needs "
                            + ABI_VERSION
                            + "; use the library of the same build",
                    null);
        }
        return new Functions(
                function(symbols, "asg_tier_supported", "i", "i"),
                function(symbols, "asg_status_name", "p", "i"),
                function(symbols, "asg_normal_f32", "i", "ipijjjjiif"),
                function(symbols, "asg_interact_f32", "i", "ipppiiijjiiif"),
                function(symbols, "asg_model_input_f32", "i", "ippjif"),
                function(symbols, "asg_gather_windows_f32", "i", "ipppiiiiiiif"),
                function(symbols, "asg_guided_step_f32", "i", "ippppppppppppppiijiiiffi"),
                function(symbols, "asg_combine_f32", "i", "ippppjf"),
                function(symbols, "asg_add_map_f32", "i", "ippiiiiii"),
                function(symbols, "asg_normalise_mask_f32", "i", "ipijii"),
                function(symbols, "asg_relocate_f32", "i", "ippiiiii"),
                function(symbols, "asg_cut_f32", "i", "ippiiiii"),
                function(symbols, "asg_window_step_f32", "i", "ippppppppppppiiiiiiii"),
                function(symbols, "asg_scale_shift_f32", "i", "ippjff"),
                function(symbols, "asg_add_tile_f32", "i", "ipppppiiiiiii"),
                function(symbols, "asg_divide_tiles_f32", "i", "ippij"),
                function(symbols, "asg_rgb8_f32", "i", "ippiiiiii"),
                function(symbols, "asg_blend_f32", "i", "ipppjff"),
                function(symbols, "asg_moments_f32", "i", "ippj"),
                function(symbols, "asg_match_moments_f32", "i", "ippppj"),
                function(symbols, "asg_blur_f32", "i", "ippppiiii"),
                function(symbols, "asg_resample_f32", "i", "ipppppppiiiiiii"),
                function(symbols, "asg_first_non_finite_f32", "j", "ipj"),
                function(symbols, "asg_cuda_device", "i", "i"));
    }

    /**
     * One function of the library.
     *
     * @param result letter of its type
     * @param arguments a letter each, as in the header: p a pointer, i int32_t, j int64_t, f float
     */
    private static MethodHandle function(
            SymbolLookup symbols, String name, String result, String arguments)
            throws NativeLoadException {
        MemoryLayout[] layouts =
                arguments.chars().mapToObj(CpuLibrary::layout).toArray(MemoryLayout[]::new);
        return NativeLoader.link(
                symbols,
                "the native library",
                name,
                FunctionDescriptor.of(layout(result.charAt(0)), layouts),
                "use the library of the same build");
    }

    private static MemoryLayout layout(int letter) {
        return switch (letter) {
            case 'p' -> ADDRESS;
            case 'i' -> JAVA_INT;
            case 'j' -> JAVA_LONG;
            case 'f' -> JAVA_FLOAT;
            default -> throw new IllegalArgumentException("no type: " + (char) letter);
        };
    }

    private static Functions functions() {
        return Objects.requireNonNull(FUNCTIONS, BINDING.failure);
    }

    /** 1: yes; 0: the CPU cannot; below 0: the CPU can, but the operating system does not let it. */
    public static int tierSupported(int tier) {
        try {
            return (int) functions().tierSupported.invokeExact(tier);
        } catch (Throwable e) {
            throw unexpected("asg_tier_supported", e);
        }
    }

    /** Name of a status code. */
    @SuppressWarnings("restricted")
    static String statusName(int status) {
        MemorySegment name;
        try {
            name = (MemorySegment) functions().statusName.invokeExact(status);
        } catch (Throwable e) {
            throw unexpected("asg_status_name", e);
        }
        return name.reinterpret(STATUS_NAME_BYTES).getString(0);
    }

    public static void normal(
            int tier,
            MemorySegment out,
            int planes,
            long pitch,
            long count,
            long seed,
            long firstElement,
            int step,
            int purpose,
            float scale) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .normal
                                    .invokeExact(
                                            tier,
                                            out,
                                            planes,
                                            pitch,
                                            count,
                                            seed,
                                            firstElement,
                                            step,
                                            purpose,
                                            scale);
        } catch (Throwable e) {
            throw unexpected("asg_normal_f32", e);
        }
        if (status != 0) {
            throw failed("asg_normal_f32", status, "planes pitch count", planes, pitch, count);
        }
    }

    public static void interact(
            int tier,
            MemorySegment out,
            MemorySegment sample,
            MemorySegment in,
            int firstSlot,
            int slots,
            int patches,
            long plane,
            long seed,
            int fromStep,
            int toStep,
            int copies,
            float scale) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .interact
                                    .invokeExact(
                                            tier, out, sample, in, firstSlot, slots, patches, plane,
                                            seed, fromStep, toStep, copies, scale);
        } catch (Throwable e) {
            throw unexpected("asg_interact_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_interact_f32",
                    status,
                    "firstSlot slots patches plane",
                    firstSlot,
                    slots,
                    patches,
                    plane);
        }
    }

    public static void modelInput(
            int tier, MemorySegment out, MemorySegment in, long count, int copies, float scale) {
        int status;
        try {
            status = (int) functions().modelInput.invokeExact(tier, out, in, count, copies, scale);
        } catch (Throwable e) {
            throw unexpected("asg_model_input_f32", e);
        }
        if (status != 0) {
            throw failed("asg_model_input_f32", status, "count copies", count, copies);
        }
    }

    public static void gatherWindows(
            int tier,
            MemorySegment out,
            MemorySegment canvas,
            MemorySegment starts,
            int channels,
            int canvasHeight,
            int canvasWidth,
            int views,
            int h,
            int w,
            int copies,
            float scale) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .gatherWindows
                                    .invokeExact(
                                            tier,
                                            out,
                                            canvas,
                                            starts,
                                            channels,
                                            canvasHeight,
                                            canvasWidth,
                                            views,
                                            h,
                                            w,
                                            copies,
                                            scale);
        } catch (Throwable e) {
            throw unexpected("asg_gather_windows_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_gather_windows_f32",
                    status,
                    "channels canvasHeight canvasWidth views h w copies",
                    channels,
                    canvasHeight,
                    canvasWidth,
                    views,
                    h,
                    w,
                    copies);
        }
    }

    public static void guidedStep(
            int tier,
            MemorySegment out,
            MemorySegment guideOut,
            MemorySegment found,
            MemorySegment clean,
            MemorySegment x,
            MemorySegment uncond,
            MemorySegment cond,
            MemorySegment guide,
            MemorySegment mask,
            MemorySegment noise,
            MemorySegment past1,
            MemorySegment past2,
            MemorySegment past3,
            MemorySegment row,
            int views,
            int channels,
            long area,
            int keyed,
            int guidePerView,
            int maskPerView,
            float guidanceScale,
            float weight,
            int space) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .guidedStep
                                    .invokeExact(
                                            tier,
                                            out,
                                            guideOut,
                                            found,
                                            clean,
                                            x,
                                            uncond,
                                            cond,
                                            guide,
                                            mask,
                                            noise,
                                            past1,
                                            past2,
                                            past3,
                                            row,
                                            views,
                                            channels,
                                            area,
                                            keyed,
                                            guidePerView,
                                            maskPerView,
                                            guidanceScale,
                                            weight,
                                            space);
        } catch (Throwable e) {
            throw unexpected("asg_guided_step_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_guided_step_f32",
                    status,
                    "views channels area space",
                    views,
                    channels,
                    area,
                    space);
        }
    }

    public static void combine(
            int tier,
            MemorySegment out,
            MemorySegment found,
            MemorySegment uncond,
            MemorySegment cond,
            long count,
            float guidanceScale) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .combine
                                    .invokeExact(
                                            tier, out, found, uncond, cond, count, guidanceScale);
        } catch (Throwable e) {
            throw unexpected("asg_combine_f32", e);
        }
        if (status != 0) {
            throw failed("asg_combine_f32", status, "count", count);
        }
    }

    public static void addMap(
            int tier,
            MemorySegment sum,
            MemorySegment map,
            int views,
            int h,
            int w,
            int mapHeight,
            int mapWidth,
            int first) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .addMap
                                    .invokeExact(
                                            tier, sum, map, views, h, w, mapHeight, mapWidth,
                                            first);
        } catch (Throwable e) {
            throw unexpected("asg_add_map_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_add_map_f32",
                    status,
                    "views h w mapHeight mapWidth",
                    views,
                    h,
                    w,
                    mapHeight,
                    mapWidth);
        }
    }

    public static void normaliseMask(
            int tier, MemorySegment mask, int views, long area, int blocks, int norm) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .normaliseMask
                                    .invokeExact(tier, mask, views, area, blocks, norm);
        } catch (Throwable e) {
            throw unexpected("asg_normalise_mask_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_normalise_mask_f32",
                    status,
                    "views area blocks norm",
                    views,
                    area,
                    blocks,
                    norm);
        }
    }

    public static void relocate(
            int tier,
            MemorySegment canvas,
            MemorySegment patches,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .relocate
                                    .invokeExact(
                                            tier,
                                            canvas,
                                            patches,
                                            channels,
                                            gridHeight,
                                            gridWidth,
                                            h,
                                            w);
        } catch (Throwable e) {
            throw unexpected("asg_relocate_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_relocate_f32",
                    status,
                    "channels gridHeight gridWidth h w",
                    channels,
                    gridHeight,
                    gridWidth,
                    h,
                    w);
        }
    }

    public static void cut(
            int tier,
            MemorySegment patches,
            MemorySegment canvas,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .cut
                                    .invokeExact(
                                            tier,
                                            patches,
                                            canvas,
                                            channels,
                                            gridHeight,
                                            gridWidth,
                                            h,
                                            w);
        } catch (Throwable e) {
            throw unexpected("asg_cut_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_cut_f32",
                    status,
                    "channels gridHeight gridWidth h w",
                    channels,
                    gridHeight,
                    gridWidth,
                    h,
                    w);
        }
    }

    public static void windowStep(
            int tier,
            MemorySegment out,
            MemorySegment clean,
            MemorySegment x,
            MemorySegment windows,
            MemorySegment starts,
            MemorySegment weightY,
            MemorySegment weightX,
            MemorySegment noise,
            MemorySegment past1,
            MemorySegment past2,
            MemorySegment past3,
            MemorySegment row,
            int channels,
            int canvasHeight,
            int canvasWidth,
            int firstRow,
            int rows,
            int views,
            int h,
            int w) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .windowStep
                                    .invokeExact(
                                            tier,
                                            out,
                                            clean,
                                            x,
                                            windows,
                                            starts,
                                            weightY,
                                            weightX,
                                            noise,
                                            past1,
                                            past2,
                                            past3,
                                            row,
                                            channels,
                                            canvasHeight,
                                            canvasWidth,
                                            firstRow,
                                            rows,
                                            views,
                                            h,
                                            w);
        } catch (Throwable e) {
            throw unexpected("asg_window_step_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_window_step_f32",
                    status,
                    "channels canvasHeight canvasWidth firstRow rows views h w",
                    channels,
                    canvasHeight,
                    canvasWidth,
                    firstRow,
                    rows,
                    views,
                    h,
                    w);
        }
    }

    public static void scaleShift(
            int tier, MemorySegment out, MemorySegment in, long count, float scale, float shift) {
        int status;
        try {
            status = (int) functions().scaleShift.invokeExact(tier, out, in, count, scale, shift);
        } catch (Throwable e) {
            throw unexpected("asg_scale_shift_f32", e);
        }
        if (status != 0) {
            throw failed("asg_scale_shift_f32", status, "count", count);
        }
    }

    public static void addTile(
            int tier,
            MemorySegment sum,
            MemorySegment weightSum,
            MemorySegment tile,
            MemorySegment weightY,
            MemorySegment weightX,
            int channels,
            int height,
            int width,
            int top,
            int left,
            int tileHeight,
            int tileWidth) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .addTile
                                    .invokeExact(
                                            tier,
                                            sum,
                                            weightSum,
                                            tile,
                                            weightY,
                                            weightX,
                                            channels,
                                            height,
                                            width,
                                            top,
                                            left,
                                            tileHeight,
                                            tileWidth);
        } catch (Throwable e) {
            throw unexpected("asg_add_tile_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_add_tile_f32",
                    status,
                    "channels height width top left tileHeight tileWidth",
                    channels,
                    height,
                    width,
                    top,
                    left,
                    tileHeight,
                    tileWidth);
        }
    }

    public static void divideTiles(
            int tier, MemorySegment sum, MemorySegment weightSum, int channels, long area) {
        int status;
        try {
            status =
                    (int) functions().divideTiles.invokeExact(tier, sum, weightSum, channels, area);
        } catch (Throwable e) {
            throw unexpected("asg_divide_tiles_f32", e);
        }
        if (status != 0) {
            throw failed("asg_divide_tiles_f32", status, "channels area", channels, area);
        }
    }

    public static void rgb8(
            int tier,
            MemorySegment out,
            MemorySegment image,
            int height,
            int width,
            int top,
            int left,
            int outHeight,
            int outWidth) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .rgb8
                                    .invokeExact(
                                            tier, out, image, height, width, top, left, outHeight,
                                            outWidth);
        } catch (Throwable e) {
            throw unexpected("asg_rgb8_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_rgb8_f32",
                    status,
                    "height width top left outHeight outWidth",
                    height,
                    width,
                    top,
                    left,
                    outHeight,
                    outWidth);
        }
    }

    public static void blend(
            int tier,
            MemorySegment out,
            MemorySegment x,
            MemorySegment y,
            long count,
            float a,
            float b) {
        int status;
        try {
            status = (int) functions().blend.invokeExact(tier, out, x, y, count, a, b);
        } catch (Throwable e) {
            throw unexpected("asg_blend_f32", e);
        }
        if (status != 0) {
            throw failed("asg_blend_f32", status, "count", count);
        }
    }

    public static void moments(int tier, MemorySegment out, MemorySegment in, long count) {
        int status;
        try {
            status = (int) functions().moments.invokeExact(tier, out, in, count);
        } catch (Throwable e) {
            throw unexpected("asg_moments_f32", e);
        }
        if (status != 0) {
            throw failed("asg_moments_f32", status, "count", count);
        }
    }

    public static void matchMoments(
            int tier,
            MemorySegment out,
            MemorySegment in,
            MemorySegment from,
            MemorySegment to,
            long count) {
        int status;
        try {
            status = (int) functions().matchMoments.invokeExact(tier, out, in, from, to, count);
        } catch (Throwable e) {
            throw unexpected("asg_match_moments_f32", e);
        }
        if (status != 0) {
            throw failed("asg_match_moments_f32", status, "count", count);
        }
    }

    public static void blur(
            int tier,
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            MemorySegment weights,
            int channels,
            int h,
            int w,
            int taps) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .blur
                                    .invokeExact(
                                            tier, out, work, in, weights, channels, h, w, taps);
        } catch (Throwable e) {
            throw unexpected("asg_blur_f32", e);
        }
        if (status != 0) {
            throw failed("asg_blur_f32", status, "channels h w taps", channels, h, w, taps);
        }
    }

    public static void resample(
            int tier,
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            MemorySegment indexY,
            MemorySegment weightY,
            MemorySegment indexX,
            MemorySegment weightX,
            int planes,
            int inHeight,
            int inWidth,
            int outHeight,
            int outWidth,
            int tapsY,
            int tapsX) {
        int status;
        try {
            status =
                    (int)
                            functions()
                                    .resample
                                    .invokeExact(
                                            tier, out, work, in, indexY, weightY, indexX, weightX,
                                            planes, inHeight, inWidth, outHeight, outWidth, tapsY,
                                            tapsX);
        } catch (Throwable e) {
            throw unexpected("asg_resample_f32", e);
        }
        if (status != 0) {
            throw failed(
                    "asg_resample_f32",
                    status,
                    "planes inHeight inWidth outHeight outWidth tapsY tapsX",
                    planes,
                    inHeight,
                    inWidth,
                    outHeight,
                    outWidth,
                    tapsY,
                    tapsX);
        }
    }

    /** Index of the first non-finite value, {@code count} if there is none. */
    public static long firstNonFinite(int tier, MemorySegment data, long count) {
        long index;
        try {
            index = (long) functions().firstNonFinite.invokeExact(tier, data, count);
        } catch (Throwable e) {
            throw unexpected("asg_first_non_finite_f32", e);
        }
        if (index < 0) {
            throw failed("asg_first_non_finite_f32", (int) index, "count", count);
        }
        return index;
    }

    /**
     * For each GPU that ONNX Runtime is about to use, CUDA's run-time library being loaded: what kernels
     * are allowed of shared memory on any of these devices, they are on all. ONNX Runtime asks once a
     * process, CUDA wants to be asked for each device (native/src/shared_memory.cpp).
     *
     * @return whether that could be arranged
     */
    public static boolean cudaDevice(int ordinal) {
        if (FUNCTIONS == null) {
            return false;
        }
        try {
            return (int) FUNCTIONS.cudaDevice.invokeExact(ordinal) == 0;
        } catch (Throwable e) {
            throw unexpected("asg_cuda_device", e);
        }
    }

    private static IllegalStateException failed(
            String symbol, int status, String names, long... extents) {
        return new IllegalStateException(
                symbol
                        + " returned "
                        + status
                        + " ("
                        + statusName(status)
                        + ") for "
                        + names
                        + " = "
                        + Arrays.toString(extents));
    }

    /** What invokeExact throws of itself, before or instead of the call: a closed arena, say. */
    private static RuntimeException unexpected(String symbol, Throwable e) {
        if (e instanceof RuntimeException runtime) {
            return runtime;
        }
        if (e instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(symbol + " could not be called", e);
    }
}
