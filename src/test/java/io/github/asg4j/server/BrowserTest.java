// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.Tiny;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/**
 * The page in a real browser: {@code mvn test -Dtest=BrowserTest -Dasg.browser=chromium}. Its screenshots
 * are in target/browser.
 */
class BrowserTest {
    private static final Path SCREENSHOTS = Path.of("target", "browser");

    @TempDir private static Path profile;
    @TempDir private static Path few;
    private static TestServer server;
    private static Browser browser;

    @BeforeAll
    static void open() throws Exception {
        String program = System.getProperty("asg.browser");
        assumeTrue(program != null, "-Dasg.browser names no chromium");
        server =
                new TestServer(
                        TestServer.options(),
                        Tiny.options(1),
                        Map.of(
                                "stepless",
                                Tiny.options(Tiny.stepless(), 1),
                                "few",
                                Tiny.options(Tiny.usual("relay", few), 1)));
        browser = new Browser(program, profile);
    }

    @AfterAll
    static void close() {
        if (browser != null) {
            browser.close();
        }
        if (server != null) {
            server.close();
        }
    }

    @BeforeEach
    void page() throws Exception {
        server.go();
        browser.send(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", 1200, "height", 900, "deviceScaleFactor", 1, "mobile", false));
        browser.open(server.uri("/"));
        browser.await("document.querySelector('#method option') !== null");
    }

    private static void submit(String prompt, int steps) throws Exception {
        browser.evaluate(
                """
                (() => {
                  const $ = id => document.getElementById(id);
                  $('prompt').value = %s; $('width').value = $('height').value = 128;
                  $('steps').value = %d; $('seed').value = 7;
                  $('form').dispatchEvent(new Event('input', {bubbles: true}));
                  $('form').requestSubmit();
                })()\
                """
                        .formatted(TestServer.JSON.writeValueAsString(prompt), steps));
    }

    private static boolean isDrawn() throws Exception {
        return browser.evaluate("!document.getElementById('tools').hidden").asBoolean();
    }

    @Test
    void previewAppearsBeforeThePictureAndPromptsAreText() throws Exception {
        server.hold();
        submit("<img src=x onerror=alert(1)> a red ball", 100);
        TestServer.until(() -> server.engine.activity().running() == 1);
        String url =
                server.get("/asg/v1/jobs").body().replaceAll("(?s).*\"url\":\"([^\"]+)\".*", "$1");
        while (server.get(url + "/preview").statusCode() != 200) {
            server.step();
            Thread.sleep(20);
        }
        browser.await("document.getElementById('view').ariaLabel.startsWith('Preview of')");
        assertTrue(!isDrawn(), "the picture came before the preview");
        assertTrue(browser.evaluate("document.getElementById('bar').value").asDouble() < 1);
        browser.screenshot(SCREENSHOTS.resolve("preview.png"));
        server.go();
        browser.await("!document.getElementById('tools').hidden");
        assertEquals(
                128, browser.evaluate("document.getElementById('picture').naturalWidth").asInt());
        assertEquals(0, browser.evaluate("document.querySelectorAll('img[src=x]').length").asInt());
        assertTrue(browser.evaluate("document.querySelectorAll('#history li').length").asInt() > 0);
        browser.screenshot(SCREENSHOTS.resolve("picture.png"));
        assertEquals(List.of(), browser.errors);
    }

    @Test
    void cancelEndsThePicture() throws Exception {
        String history = "document.querySelectorAll('#history li').length";
        int before = browser.evaluate(history).asInt();
        server.hold();
        submit("a blue cube", 8);
        browser.await("!document.getElementById('progress').hidden");
        browser.evaluate("document.getElementById('cancel').click()");
        server.go();
        browser.await("document.getElementById('notice').textContent === 'Cancelled.'");
        TestServer.until(() -> server.engine.activity().running() == 0);
        assertEquals(before, browser.evaluate(history).asInt());
        assertEquals(List.of(), browser.errors);
    }

    @Test
    void settingsAreReadFromAPictureThatIsDropped() throws Exception {
        String answer =
                server.post(
                                "/v1/images/generations",
                                "{\"prompt\":\"a \u65e5"
                                        + " cone\",\"size\":\"128x64\",\"steps\":3,\"seed\":11}")
                        .body();
        String file = TestServer.JSON.readTree(answer).at("/data/0/b64_json").asText();
        assertTrue(Base64.getDecoder().decode(file).length > 100);
        browser.evaluate(
                """
                (() => {
                  const bytes = Uint8Array.from(atob('%s'), c => c.charCodeAt(0));
                  const data = new DataTransfer();
                  data.items.add(new File([bytes], 'cone.png', {type: 'image/png'}));
                  document.getElementById('view').dispatchEvent(
                      new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
                })()\
                """
                        .formatted(file));
        browser.await("document.getElementById('prompt').value === 'a \u65e5 cone'");
        for (Map.Entry<String, String> field :
                Map.of("steps", "3", "seed", "11", "width", "128", "height", "64").entrySet()) {
            assertEquals(
                    field.getValue(),
                    browser.evaluate("document.getElementById('" + field.getKey() + "').value")
                            .asText(),
                    field.getKey());
        }
        assertEquals(List.of(), browser.errors);
    }

    @Test
    void anotherModelIsChosenAndComesBackWithThePicturesSettings() throws Exception {
        choose("model-name", "stepless");
        String header = "(document.getElementById('model')?.textContent ?? '')";
        browser.await(header + ".startsWith('stepless, native')");
        server.go();
        submit("a still cone", 3);
        browser.await("document.getElementById('view').ariaLabel === 'a still cone'");
        assertTrue(server.get("/asg/v1/jobs").body().contains("\"model\":\"stepless\""));
        browser.open(server.uri("/"));
        browser.await(header + ".startsWith('tiny, native')");
        browser.await("document.getElementById('view')?.ariaLabel === 'a still cone'");
        browser.evaluate("document.getElementById('reuse').click()");
        browser.await(header + ".startsWith('stepless, native')");
        assertEquals(
                "a still cone",
                browser.evaluate("document.getElementById('prompt').value").asText());
        assertEquals(List.of(), browser.errors);
    }

    private static void choose(String list, String value) throws Exception {
        browser.evaluate(
                ("(() => { const list = document.getElementById('%s'); list.value = '%s';"
                                + " list.dispatchEvent(new Event('change', {bubbles: true})); })()")
                        .formatted(list, value));
    }

    @Test
    void anotherModelBringsItsMethodUnlessOneWasChosen() throws Exception {
        String method = "document.getElementById('method').value";
        String header = "(document.getElementById('model')?.textContent ?? '')";
        assertEquals("asg", browser.evaluate(method).asText());
        choose("model-name", "few");
        browser.await(header + ".startsWith('few, native')");
        assertEquals("relay", browser.evaluate(method).asText());
        choose("model-name", "tiny");
        browser.await(header + ".startsWith('tiny, native')");
        assertEquals("asg", browser.evaluate(method).asText());
        choose("method", "direct");
        choose("model-name", "few");
        browser.await(header + ".startsWith('few, native')");
        assertEquals("direct", browser.evaluate(method).asText());
        assertEquals(List.of(), browser.errors);
    }

    /** What axe finds wrong with the page as it is now: rules with the elements that break them. */
    private static List<String> violations() throws Exception {
        return browser.evaluate(
                        // what is changing its colour is looked at afterwards
                        "Promise.all(document.getAnimations().map(each => each.finished))"
                                + ".then(() => new Promise(requestAnimationFrame)).then(() =>"
                                + " axe.run(document, {resultTypes: ['violations']})).then(found =>"
                                + " found.violations.map(each => each.id + ': ' +"
                                + " each.nodes.map(node => node.target.join(' ') + ' ' +"
                                + " node.any.map(check => check.message)).join(', ')))")
                .valueStream()
                .map(JsonNode::asText)
                .toList();
    }

    /** {@code npm pack axe-core} brings axe.min.js, which {@code -Dasg.axe=FILE} names. */
    @Test
    void axeFindsNothing() throws Exception {
        String axe = System.getProperty("asg.axe");
        assumeTrue(axe != null, "-Dasg.axe names no axe.min.js");
        for (String scheme : List.of("light", "dark")) {
            browser.send(
                    "Emulation.setEmulatedMedia",
                    Map.of(
                            "features",
                            List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
            for (int width : List.of(1200, 380)) {
                browser.send(
                        "Emulation.setDeviceMetricsOverride",
                        Map.of(
                                "width",
                                width,
                                "height",
                                900,
                                "deviceScaleFactor",
                                1,
                                "mobile",
                                false));
                browser.open(server.uri("/"));
                browser.await("document.querySelector('#method option') !== null");
                browser.evaluate(Files.readString(Path.of(axe)) + ";0");
                String where = scheme + ", " + width + " pixels: ";
                assertEquals(List.of(), violations(), where + "the form");
                browser.evaluate("document.getElementById('more').open = true");
                assertEquals(List.of(), violations(), where + "all options");
                server.hold();
                submit("a red ball", 50);
                browser.await("!document.getElementById('progress').hidden");
                assertEquals(List.of(), violations(), where + "in the middle of a picture");
                server.go();
                browser.await("!document.getElementById('tools').hidden");
                browser.await("document.getElementById('queue').hidden");
                assertEquals(List.of(), violations(), where + "a picture");
                submit("a blue cube", 2);
                browser.await("document.querySelectorAll('#history li').length > 1");
                browser.await("document.getElementById('queue').hidden");
                browser.evaluate("document.getElementById('compare').click()");
                browser.evaluate("document.querySelector('#history li:last-child button').click()");
                browser.await("!document.getElementById('slider').hidden");
                browser.screenshot(SCREENSHOTS.resolve("compared-" + scheme + ".png"));
                assertEquals(List.of(), violations(), where + "two pictures compared");
                browser.evaluate("document.getElementById('login').showModal()");
                assertEquals(List.of(), violations(), where + "the question for a key");
            }
        }
        assertEquals(List.of(), browser.errors);
    }

    @Test
    void fitsAPhoneInLightAndDark() throws Exception {
        browser.send(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", 380, "height", 800, "deviceScaleFactor", 2, "mobile", true));
        for (String scheme : List.of("light", "dark")) {
            browser.send(
                    "Emulation.setEmulatedMedia",
                    Map.of(
                            "features",
                            List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
            assertEquals(
                    380, browser.evaluate("document.documentElement.scrollWidth").asInt(), scheme);
            browser.screenshot(SCREENSHOTS.resolve("phone-" + scheme + ".png"));
        }
        assertEquals(List.of(), browser.errors);
    }
}
