//! Chromium without a window, controlled over the DevTools protocol.
//!
//! The messages are JSON values that end with a zero byte. Chromium reads them from file descriptor 3
//! and writes them to 4 (`--remote-debugging-pipe`), so that neither a port nor a WebSocket is needed.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// A browser with one open tab. It is killed when this is dropped.
pub(crate) struct Browser {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    last: u64,
    /// The session of the tab. Empty for the browser itself.
    session: String,
    complaints: Vec<String>,
    is_loaded: bool,
}

impl Browser {
    /// Starts a browser with an empty profile in a folder.
    pub(crate) fn start(folder: &Path) -> Self {
        const FLAGS: &str = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                             --disable-component-update --disable-sync --remote-debugging-pipe";
        let profile = folder.join("browser");
        let mut process = Command::new("sh")
            .args([
                "-c",
                &format!("exec chromium {FLAGS} --user-data-dir=\"$0\" about:blank 3<&0 4>&1 >/dev/null"),
            ])
            .arg(&profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut browser = Self {
            process,
            to,
            from,
            last: 0,
            session: String::new(),
            complaints: Vec::new(),
            is_loaded: false,
        };
        let tab = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens a file in a window of this width in CSS pixels, and waits until it is loaded. `theme` is
    /// `light` or `dark`.
    pub(crate) fn open(&mut self, file: &Path, width: u32, theme: &str) {
        let is_phone = width < 600;
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", theme);
        self.complaints.clear();
        self.is_loaded = false;
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while !self.is_loaded {
            let message = self.receive();
            self.observe(&message);
        }
    }

    /// Evaluates an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result.get("exceptionDetails").is_none(), "{result}");
        result["result"]["value"].clone()
    }

    /// The errors, warnings and exceptions of the page since it was opened, and its requests to hosts.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Calls a method and returns its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut call = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            call["sessionId"] = self.session.clone().into();
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let message = self.receive();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.observe(&message);
        }
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&message).unwrap()
    }

    fn observe(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.is_loaded = true,
            "Runtime.exceptionThrown" => {
                self.complaints.push(parameters["exceptionDetails"].to_string());
            }
            "Runtime.consoleAPICalled" => self.complaints.push(parameters.to_string()),
            "Log.entryAdded" => self.complaints.push(parameters["entry"].to_string()),
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("file:") && !url.starts_with("data:") {
                    self.complaints.push(format!("request to {url}"));
                }
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its main process when the pipe is closed. Errors are ignored: the
        // browser may have ended already.
        self.to = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
