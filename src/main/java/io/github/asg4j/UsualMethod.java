// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.List;

/**
 * The method by which a model draws what names none.
 *
 * @param name one of {@link Engine#methods()}
 * @param model that names it, or leaves it to {@link GenerationRequest#USUAL_METHOD}; for messages
 */
public record UsualMethod(String name, String model) {
    /**
     * The request as the model draws it: one that names a method as it is, else with this one and what was
     * asked of it.
     *
     * @throws BadRequestException if an option was asked for that this method does not have
     */
    public GenerationRequest of(GenerationRequest request) {
        if (!(request.options() instanceof MethodOptions.UsualOptions asked)) {
            return request;
        }
        for (RequestOption<?> option : RequestOptions.ALL) {
            List<String> methods = option.methods();
            if (!methods.contains(name) && option.json(request) != null) {
                throw new BadRequestException(
                        "--"
                                + option.name()
                                + " is an option of "
                                + String.join(", ", methods)
                                + ", not of "
                                + name
                                + ", by which the model \""
                                + model
                                + "\" draws where no method is named: leave it out, or name a"
                                + " method that has it, as in --method "
                                + methods.getFirst());
            }
        }
        return request.toBuilder().options(asked.as(name)).build();
    }
}
