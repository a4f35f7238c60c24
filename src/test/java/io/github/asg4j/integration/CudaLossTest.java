// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** GPUs that are lost, requests that fail or are cancelled on them: what is told, what goes on, what is freed. */
class CudaLossTest {
    private static final int OUT_OF_MEMORY = 2;
    private static final int INVALID_VALUE = 1;
    private static final int ILLEGAL_ADDRESS = 700;

    /** A GPU that is lost anywhere: the picture is drawn again by the other, the next one too. */
    @ParameterizedTest
    @CsvSource({
        "cuLaunchKernel, 0",
        "cuLaunchKernel, 31",
        "cuLaunchKernel, 110",
        "cuMemcpyPeerAsync, 3",
        "cuEventSynchronize, 5",
        "cuStreamWaitEvent, 7"
    })
    void theOtherGpuDrawsThePictureOfALostOne(String function, int after) {
        GenerationRequest request = Tiny.request().build();
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            EmulatedCuda.fail(function, after, ILLEGAL_ADDRESS);
            String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request));
            for (int i = 0; i < 2; i++) {
                GeneratedImage image = engine.submit(request).join();
                assertEquals(1, image.report().devices().lost().size());
                assertEquals(expected, Tiny.hash(image));
            }
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Nothing of the device works any more, text encoders and VAE neither. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aGpuOnWhichNothingWorksAnyMoreIsLost(int device) {
        GenerationRequest request = Tiny.request().build();
        String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request));
        long before = Memory.bytesInUse();
        EmulatedGpus gpus = new EmulatedGpus();
        AtomicBoolean gone = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (point.step() == 4 && gone.compareAndSet(false, true)) {
                        gpus.lose(device);
                    }
                };
        try (Engine engine = gpus.open("cuda:0,cuda:1", hook)) {
            for (int i = 0; i < 2; i++) {
                GeneratedImage image = engine.submit(request).join();
                assertEquals(List.of("cuda:" + device), image.report().devices().lost());
                assertEquals(expected, Tiny.hash(image));
            }
        }
        assertEquals(before, Memory.bytesInUse(), "host memory that nobody freed");
    }

    /** The text encoders and the VAE were on the GPU that is lost, but are in no memory when it is. */
    @Test
    void freedNetworksAreLoadedOnTheGpuThatIsLeft() {
        String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), Tiny.request().build()));
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            assertEquals(expected, Tiny.hash(engine.draw(Tiny.request().build())));
            engine.unload();
            assertEquals(expected, Tiny.hash(engine.draw(Tiny.request().build())));
            engine.unload();
            gpus.lose(0);
            assertEquals(expected, Tiny.hash(engine.draw(Tiny.request().build())));
            assertEquals(List.of("cuda:0"), engine.activity().lost());
        }
    }

    @Test
    void requestsFailOnceTheOnlyGpuIsLost() {
        try (Engine engine = new EmulatedGpus().open("cuda:0")) {
            EmulatedCuda.fail("cuLaunchKernel", 40, ILLEGAL_ADDRESS);
            for (int i = 0; i < 2; i++) {
                Generation generation = engine.submit(Tiny.request().build());
                DeviceException e = assertThrows(DeviceException.class, generation::join);
                assertTrue(e.getMessage().contains("cuda:0 is lost"), e.getMessage());
                assertTrue(e.lost());
                assertTrue(e.getMessage().contains("CUDA_ERROR_ILLEGAL_ADDRESS"), e.getMessage());
            }
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** What fails on a device that works is the request's affair: the next one has all devices. */
    @ParameterizedTest
    @ValueSource(ints = {40, 90})
    void aFailureOfOneRequestLosesNoDevice(int after) {
        GenerationRequest request = Tiny.request().build();
        String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request));
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1")) {
            EmulatedCuda.fail("cuLaunchKernel", after, INVALID_VALUE);
            Generation generation = engine.submit(request);
            DeviceException e = assertThrows(DeviceException.class, generation::join);
            assertTrue(e.getMessage().contains("(1)"), e.getMessage());
            assertFalse(e.lost());
            GeneratedImage image = engine.submit(request).join();
            assertEquals(List.of(), image.report().devices().lost());
            assertEquals(expected, Tiny.hash(image));
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Whether the device is lost cannot be tried without memory; the other one may not wait for it. */
    @Test
    void aFailureEndsTheRequestThoughTheDeviceCannotBeTried() throws Exception {
        AtomicBoolean failed = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (point.worker() == 0 && point.step() == 2 && !failed.getAndSet(true)) {
                        EmulatedCuda.fail("cuStreamCreate", 0, OUT_OF_MEMORY);
                        throw new IllegalStateException("a fault of ours");
                    }
                };
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1", hook)) {
            Generation generation = engine.submit(Tiny.request().build());
            ExecutionException e =
                    assertThrows(
                            ExecutionException.class,
                            () -> generation.future().get(60, TimeUnit.SECONDS));
            String message = e.getCause().getMessage();
            assertTrue(message.contains("a fault of ours"), message);
            GeneratedImage image = engine.submit(Tiny.request().build()).join();
            assertEquals(List.of(), image.report().devices().lost());
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Found on the device, told when the call's turn comes. */
    @Test
    void aNetworkThatOverflowsFailsItsRequestOnly() {
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            gpus.spoilInputOf(11);
            Generation generation = engine.submit(Tiny.request().build());
            AsgException e = assertThrows(BadBundleException.class, generation::join);
            assertTrue(e.getMessage().contains("NaN or an infinity"), e.getMessage());
            assertTrue(e.getMessage().contains("stage1, step "), e.getMessage());
            engine.submit(Tiny.request().build()).join();
        }
    }

    /** As on a full heap: the workers would draw to the end for nobody, and none could cancel them. */
    @Test
    void anErrorInAPreviewEndsTheWork() throws Exception {
        AtomicBoolean secondStage = new AtomicBoolean();
        EmulatedGpus gpus = new EmulatedGpus();
        WorkerHook hook =
                point -> {
                    gpus.beforeFront(
                            () -> {
                                throw new OutOfMemoryError("no heap for a picture");
                            });
                    secondStage.compareAndSet(false, point.stage().equals("stage2"));
                    Tiny.sleep(20); // some seconds for a stage that is not ended
                };
        gpus.checked().threadsTellEachOther();
        try (Engine engine = gpus.open("cuda:0", hook)) {
            Generation generation =
                    engine.submit(Tiny.request().steps(500).build(), Tiny.previews(image -> {}));
            ExecutionException e =
                    assertThrows(
                            ExecutionException.class,
                            () -> generation.future().get(60, TimeUnit.SECONDS));
            assertInstanceOf(OutOfMemoryError.class, e.getCause());
            assertFalse(secondStage.get(), "it was drawn on");
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void cancellingFreesWhatTheDevicesHold() throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch cancelled = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (point.step() == 3) {
                        reached.countDown();
                        Tiny.await(cancelled);
                    }
                };
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1", hook)) {
            Generation generation = engine.submit(Tiny.request().build());
            assertTrue(reached.await(60, TimeUnit.SECONDS));
            generation.cancel();
            cancelled.countDown();
            assertThrows(CancelledException.class, generation::join);
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }
}
