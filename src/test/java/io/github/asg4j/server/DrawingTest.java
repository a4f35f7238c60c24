// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PictureEncoding;

import org.junit.jupiter.api.Test;

import java.util.List;

/** Who shares a picture. */
class DrawingTest {
    /** A job that joined while the picture is handed out would never get it: it draws anew. */
    @Test
    void takesNobodyWhenThePictureIsHandedOut() {
        Work work = new Work(Reports.plan("asg", new Size(32, 16), 50, 5));
        try (Engine engine = Engine.open(Tiny.options(1))) {
            GenerationRequest request = GenerationRequest.builder("x").build();
            Drawing drawing = new Drawing("a", Model.of(engine), request, work);
            Client client = new Client("a", Limits.NONE);
            Job early = new Job("1", client, PictureEncoding.PNG, 0, drawing);
            assertTrue(drawing.add(early));
            drawing.seal();
            assertFalse(drawing.add(new Job("2", client, PictureEncoding.PNG, 0, drawing)));
            assertEquals(List.of(early), drawing.jobs());
        }
    }
}
