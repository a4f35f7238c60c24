// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.util.List;
import java.util.function.Supplier;

/**
 * A picture of a batch.
 *
 * @param picture number in the whole batch, from 0
 * @param row of the input, from 0
 * @param variant of the row, from 0
 * @param given what the row gives; throws {@link io.github.asg4j.BadRequestException} where it cannot be
 *     read
 */
record Task(long picture, long row, long variant, Supplier<List<Given>> given) {}
