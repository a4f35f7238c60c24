// SPDX-License-Identifier: Apache-2.0
/** Work cut into units, and who does which of them when. */
@NullMarked
package io.github.asg4j.run.work;

import org.jspecify.annotations.NullMarked;
