// SPDX-License-Identifier: Apache-2.0
// Run by the invoker plugin after the build of the consumer.

// What the artifact brings, and nothing of the command line, the evaluation or the tests.
def tree = new File(basedir, 'target/dependency-tree.txt').readLines()
def brought = tree.drop(1).collect { it.replaceAll('^[^a-z]*', '').tokenize(':')[1] }.toSet()
def expected = ['asg4j', 'javacpp', 'onnxruntime', 'dnnl', 'opencl', 'jackson-core', 'jspecify', 'imageio-webp', 'imageio-core',
    'imageio-metadata', 'common-lang', 'common-io', 'common-image'].toSet()
assert brought == expected : "the artifact brings ${brought}"

def drawn = ['class-path', 'module-path'].collect { way ->
    assert new File(basedir, "target/${way}.png").length() > 1000
    // The last line; the log comes before it.
    def said = new File(basedir, "target/${way}.txt").readLines().last()
    assert said.startsWith(way.replace('-', ' ') + ' ')
    said.tokenize(' ').last()
}
assert drawn[0] ==~ /[0-9a-f]{64}/
assert drawn[0] == drawn[1] : 'the class path and the module path draw different pictures'
