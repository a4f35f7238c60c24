// SPDX-License-Identifier: Apache-2.0
/** The demo model, and what {@code asg eval} measures its pictures by: files only. */
open module io.github.asg4j.demo {}
