// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.asg4j.EngineInfo;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import org.junit.jupiter.api.Test;

import java.util.Map;

class KeysTest {
    /** Pictures in bf16 are others, also those of another version of the plug-in; names in fp32 stay. */
    @Test
    void precisionAndItsProviderAreOfTheNameUnlessItIsFp32() {
        Size size = new Size(64, 64);
        EngineInfo bf16 = Reports.engine(size, "bf16", "OpenVINO plug-in 1.8.1");
        Map<String, Object> map = Keys.determining(bf16);
        assertEquals("bf16", map.get("precision"));
        assertEquals("OpenVINO plug-in 1.8.1", map.get("provider"));
        assertFalse(Keys.determining(Reports.engine(size)).containsKey("precision"));
    }
}
