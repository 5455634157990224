//! A headless browser that a test drives, by the protocol WebDriver. Source: the W3C's recommendation of that name.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use wisp_testing::Browser;

/// What keeps a browser quiet, alone and without a screen.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// How often a page is asked for what it shall show, until it counts as missing: half a minute.
const ATTEMPTS: u32 = 300;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// Keys, as WebDriver writes them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const LEFT: &str = "\u{e012}";
const CONTROL: &str = "\u{e009}";

/// A browser with one page. Ended when dropped.
pub(crate) struct Page {
    driver: Child,
    agent: ureq::Agent,
    /// Address of the session.
    session: String,
    folder: TempDir,
}

impl Page {
    /// Starts a browser; a skip of `test` when there is none.
    pub(crate) fn open(test: &str) -> Option<Self> {
        let browser = Browser::get(test)?;
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut driver = start(&browser, &folder);
        let address = format!("http://127.0.0.1:{}", port(&mut driver));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut page = Self { driver, agent, session: address, folder };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", page.folder.path().join("profile").display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": browser.program(), "args": arguments },
        }}});
        let begun = page.call("POST", "/session", &capabilities);
        page.session = format!("{}/session/{}", page.session, begun["sessionId"].as_str().expect("a session"));
        Some(page)
    }

    /// Loads an address.
    pub(crate) fn go(&self, address: &str) {
        self.call("POST", "/url", &json!({ "url": address }));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true, and returns its value.
    pub(crate) fn wait(&self, expression: &str) -> Value {
        for _ in 0..ATTEMPTS {
            let value = self.run(&format!("return {expression}"));
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            std::thread::sleep(ATTEMPT_PAUSE);
        }
        let shown = self.run("return document.body.innerText");
        panic!("`{expression}` never came true; the page shows\n{}", shown.as_str().unwrap_or_default());
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({selector:?})?.textContent"));
        text.as_str().unwrap_or_else(|| panic!("nothing is {selector}")).to_owned()
    }

    /// Presses keys one after the other, with nothing held.
    pub(crate) fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys.chars().flat_map(|key| [down(&key.to_string()), up(&key.to_string())]).collect();
        self.act(&actions);
    }

    /// Presses a key while Control is held.
    pub(crate) fn press_with_control(&self, key: &str) {
        self.act(&[down(CONTROL), down(key), up(key), up(CONTROL)]);
    }

    /// Goes from element to element with the Tab key until one that fits the selector has the focus.
    pub(crate) fn tab_to(&self, selector: &str) {
        for _ in 0..80 {
            self.press(TAB);
            if self.run(&format!("return document.activeElement.matches({selector:?})")) == true {
                return;
            }
        }
        panic!("the keyboard does not reach {selector}");
    }

    /// Sets the size of the window and which colours the system prefers.
    pub(crate) fn look(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tools("Emulation.setEmulatedMedia", &features);
    }

    /// A picture of the window, PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let encoded = self.call("GET", "/screenshot", &Value::Null);
        BASE64.decode(encoded.as_str().expect("a text")).expect("base64")
    }

    /// What the browser complains about since it was asked last: errors, missing files, violations of the policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        log.as_array().expect("a list").iter().map(|entry| entry["message"].to_string()).collect()
    }

    fn tools(&self, command: &str, parameters: &Value) {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    fn act(&self, actions: &[Value]) {
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.call("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json").body(body).expect("a request");
        let mut response = self.agent.run(request).expect("the driver answers");
        let text = response.body_mut().read_to_string().expect("a text");
        assert!(response.status().is_success(), "{method} {path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["value"].clone()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Ends the browser; the driver alone would leave it behind. Both fail when they have ended already.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn down(key: &str) -> Value {
    json!({ "type": "keyDown", "value": key })
}

fn up(key: &str) -> Value {
    json!({ "type": "keyUp", "value": key })
}

/// Everything that the browser writes lands in the folder.
fn start(browser: &Browser, folder: &TempDir) -> Child {
    let fonts = folder.path().join("fonts.conf");
    let (own, kept) = (browser.root().join("usr/share/fonts"), folder.path().join("fonts"));
    let (own, kept) = (own.display(), kept.display());
    let config = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n\
         <fontconfig><dir>{own}</dir><cachedir>{kept}</cachedir></fontconfig>\n"
    );
    let mut file = std::fs::File::create(&fonts).expect("writable");
    file.write_all(config.as_bytes()).expect("writable");
    let mut command = Command::new(browser.driver_program());
    browser
        .with_libraries(&mut command)
        .arg("--port=0")
        .env("FONTCONFIG_FILE", &fonts)
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the driver starts")
}

/// `ChromeDriver was started successfully on port 40123.`
fn port(driver: &mut Child) -> u16 {
    let mut output = BufReader::new(driver.stdout.take().expect("is piped"));
    let mut said = String::new();
    loop {
        let start = said.len();
        assert!(output.read_line(&mut said).expect("the log is text") > 0, "the driver ended: {said}");
        if let Some((_, port)) = said[start..].split_once("successfully on port ") {
            let port = port.trim().trim_end_matches('.').parse().expect("a port");
            // What nobody reads would stop the driver once the pipe is full.
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return port;
        }
    }
}
