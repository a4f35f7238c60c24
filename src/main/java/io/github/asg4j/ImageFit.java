// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

/** What becomes of a start picture whose aspect is another one than that of the picture to draw. */
public enum ImageFit {
    /** It is refused, unless it would be stretched by 5 % at most, and then is. */
    EXACT,
    /** What is beyond the other aspect is cut off, alike on both sides. */
    CROP,
    /** It lies in the middle; its border is repeated beside it. */
    PAD,
    /** It is stretched. */
    STRETCH
}
