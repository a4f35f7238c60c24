// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.util.List;
import java.util.function.Supplier;

/**
 * A row of the input.
 *
 * @param number from 0; lines that are blank do not count
 * @param given reads what it gives, before the next row is asked for; throws {@link
 *     io.github.asg4j.BadRequestException} for a row that cannot be read
 */
record InputRow(long number, Supplier<List<Given>> given) {}
