// SPDX-License-Identifier: Apache-2.0
/** LangChain4j's image model, drawn by the engine in this process. */
@NullMarked
package io.github.asg4j.langchain4j;

import org.jspecify.annotations.NullMarked;
