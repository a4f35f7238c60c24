// SPDX-License-Identifier: Apache-2.0
/** The engine as a bean of Spring Boot. */
@NullMarked
package io.github.asg4j.spring;

import org.jspecify.annotations.NullMarked;
