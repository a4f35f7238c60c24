// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
    private static TestServer server;
    private static Browser browser;

    @BeforeAll
    static void open() throws Exception {
        String program = System.getProperty("asg.browser");
        assumeTrue(program != null, "-Dasg.browser names no chromium");
        server = new TestServer(TestServer.options());
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
