// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class SamplerTest {
    @ParameterizedTest
    @CsvSource({
        "euler, EULER,",
        "Euler, EULER,",
        "EulerDiscreteScheduler, EULER,",
        "euler_karras, EULER, KARRAS",
        "DDIM, DDIM,",
        "DDIMScheduler, DDIM,",
        "flow_euler, FLOW_EULER,",
        "FlowMatchEulerDiscreteScheduler, FLOW_EULER,",
        "dpmpp_2m, DPMPP_2M,",
        "DPM++ 2M, DPMPP_2M,",
        "DPMSolverMultistepScheduler, DPMPP_2M,",
        "dpmpp_2m_karras, DPMPP_2M, KARRAS",
        "DPM++ 2M Karras, DPMPP_2M, KARRAS",
        "DPM++ 2M SGM Uniform, DPMPP_2M, SGM_UNIFORM",
        "DPM++ 2M Exponential, DPMPP_2M, EXPONENTIAL",
        "DPM++ 2M Polyexponential, DPMPP_2M, EXPONENTIAL",
        "Euler a, EULER_A,",
        "euler_ancestral, EULER_A,",
        "EulerAncestralDiscreteScheduler, EULER_A,",
        "Euler a Karras, EULER_A, KARRAS",
        "Euler AYS, EULER, AYS",
        "Euler Align Your Steps, EULER, AYS",
        "Euler Beta, EULER, BETA",
        "euler_simple, EULER, SIMPLE",
        "DPM++ 2M SDE, DPMPP_2M_SDE,",
        "DPM++ 2M SDE Karras, DPMPP_2M_SDE, KARRAS",
        "dpmpp_2m_sde_beta, DPMPP_2M_SDE, BETA",
        "DPM++ 3M SDE Exponential, DPMPP_3M_SDE, EXPONENTIAL",
        "UniPC, UNIPC,",
        "uni_pc_bh2, UNIPC,",
        "UniPCMultistepScheduler, UNIPC,",
        "LCM, LCM,",
        "LCMScheduler, LCM,",
        "DDPM, DDPM,",
        "res_multistep, RES_MULTISTEP,",
        "LMS, LMS,",
        "LMS Karras, LMS, KARRAS",
        "LMSDiscreteScheduler, LMS,",
        "ipndm, IPNDM,",
        "DEIS Karras, DEIS, KARRAS",
        "DEISMultistepScheduler, DEIS,",
        "TCD, TCD,",
        "TCDScheduler, TCD,",
    })
    void namesOfOtherProgramsAreUnderstood(String name, Solver solver, Spacing spacing) {
        Sampler sampler = new Sampler(solver, spacing);
        assertEquals(sampler, Sampler.named(name));
        assertEquals(sampler, Sampler.named(sampler.toString()));
    }

    @ParameterizedTest
    @EnumSource
    void everySolverIsKnownByItsNameAndByItsLabel(Solver solver) {
        assertEquals(new Sampler(solver, null), Sampler.named(solver.id()));
        assertEquals(new Sampler(solver, null), Sampler.named(solver.label()));
    }

    @ParameterizedTest
    @EnumSource
    void everySpacingIsKnownByItsName(Spacing spacing) {
        assertEquals(spacing, Sampler.spacingNamed(spacing.id()));
    }

    @Test
    void unknownNamesAreRefusedWithThoseThatThereAre() {
        for (String name : new String[] {"pndm", "DPM++ 2M Turbo", ""}) {
            String message =
                    assertThrows(BadRequestException.class, () -> Sampler.named(name)).getMessage();
            assertTrue(message.contains("euler, ddim, flow_euler, dpmpp_2m"), message);
        }
        String message =
                assertThrows(BadRequestException.class, () -> Sampler.spacingNamed("cosine"))
                        .getMessage();
        assertTrue(message.contains("karras, exponential"), message);
    }
}
