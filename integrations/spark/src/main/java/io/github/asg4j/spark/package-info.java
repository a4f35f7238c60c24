// SPDX-License-Identifier: Apache-2.0
/**
 * Pictures of the rows of Apache Spark tables: {@link io.github.asg4j.spark.AsgPictures} in a program,
 * {@link io.github.asg4j.spark.DrawTable} for {@code spark-submit}.
 */
@NullMarked
package io.github.asg4j.spark;

import org.jspecify.annotations.NullMarked;
